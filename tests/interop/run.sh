#!/usr/bin/env bash
# Drives the testbed with clients of other people: curl, aiohttp, httpx, three WebSocket
# libraries. Installs what it needs (a virtual environment below target, curl if it is missing).
# Arguments go to pytest: `tests/interop/run.sh -k flood`.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
venv=$target/venv-interop
wanted=tests/interop/requirements.txt

install() {
    echo "installing $*"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
}

command -v curl >/dev/null || install curl ca-certificates

# The copy of the requirements is put there last: it says that the environment is complete.
if ! cmp -s "$wanted" "$venv/complete.txt" || ! "$venv/bin/python" -c 'import pytest'; then
    echo "making $venv"
    rm -rf "$venv"
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
    cp "$wanted" "$venv/complete.txt"
fi

cargo build --release --example testbed

export TESTBED=$target/release/examples/testbed
export PYTHONDONTWRITEBYTECODE=1
# Each test has a limit of its own; this one is for all of them. The signal lets pytest end the
# testbeds that it started.
exec timeout --foreground --signal=INT --kill-after=30 900 \
    "$venv/bin/python" -m pytest -c tests/interop/pytest.ini --rootdir tests/interop \
    -p no:cacheprovider "$@" tests/interop
