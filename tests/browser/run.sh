#!/usr/bin/env bash
# The testbed's page, its compression, and tabs of the chat example that exchange messages, in a
# real browser: Debian's Chromium, headless.
#
#   tests/browser/run.sh
#
# Needs cargo and, for what is missing of chromium, chromium-driver and python3, root on a Debian
# machine. The rest goes into target/. See chat.py for what is checked.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
venv=$target/venv-browser
requirements=tests/browser/requirements.txt

fail() {
    echo "tests/browser: $*" >&2
    exit 1
}

. tests/packages.sh
missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
# Debian has venv in a package of its own, without which `python3 -m venv` fails halfway.
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
install_missing

command -v cargo >/dev/null || fail "cargo is missing: install Rust, 1.88 or later"
cargo build --release --example chat --example testbed || fail "the examples do not build"

# The environment is made anew unless it was completed with these very requirements.
if ! cmp -s "$requirements" "$venv/done"; then
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "cannot make a Python environment in $venv"
    "$venv/bin/python" -m pip install --quiet --requirement "$requirements" ||
        fail "cannot install $(tr '\n' ' ' <"$requirements")"
    cp "$requirements" "$venv/done"
fi

"$venv/bin/python" tests/browser/testbed.py "$target/release/examples/testbed" "$target/browser"

# chat.py ends what it starts: the server, the driver and its browser.
exec "$venv/bin/python" tests/browser/chat.py "$target/release/examples/chat" "$target/browser"
