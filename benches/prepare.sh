# What the scripts of this directory have in common: sourced, after `set -euo pipefail`. Installs
# what is missing, builds the programs under measurement, and names them for measure.py.

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

missing=()
command -v python3 >/dev/null || missing+=(python3)
command -v valgrind >/dev/null || missing+=(valgrind)
command -v strace >/dev/null || missing+=(strace)
command -v addr2line >/dev/null || missing+=(binutils)
if ((${#missing[@]})); then
    command -v apt-get >/dev/null || fail "missing: ${missing[*]}; there is no apt-get to install them"
    [ "$(id -u)" = 0 ] || fail "missing: ${missing[*]}; run this as root once, or install them"
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || fail "apt-get update failed"
    apt-get install -qq -y --no-install-recommends "${missing[@]}" || fail "cannot install ${missing[*]}"
fi
command -v cargo >/dev/null || fail "cargo is missing: install Rust, 1.88 or later"

# Valgrind knows the C library's functions by their debug symbols and does not start without.
valgrind --error-exitcode=9 --tool=none true >/dev/null 2>&1 ||
    fail "valgrind does not run a program here: $(valgrind --tool=none true 2>&1 | tail -n 3)"

# The testbed as users build it; the benches with their symbols.
built() { # arguments of cargo...
    cargo "$@" --message-format=json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}
TESTBED=$(built build --release --example testbed)
INSTRUCTIONS=$(built bench --no-run --bench instructions)
LOAD=$(built bench --no-run --bench load)
[ -x "$TESTBED" ] && [ -x "$INSTRUCTIONS" ] && [ -x "$LOAD" ] || fail "a program did not build"
export TESTBED INSTRUCTIONS LOAD PYTHONDONTWRITEBYTECODE=1
