#!/usr/bin/env bash
# Drives the testbed and the echo example with clients of other people: curl, aiohttp, httpx, five
# WebSocket libraries for Python, Node and Go, and programs that others wrote for other servers.
# And drives servers of other people with our client.
#
#   tests/interop/run.sh [argument of pytest...]       for example: -k flood
#
# Needs cargo and, for what is missing of curl, Python, Node and Go, root on a Debian machine. The
# rest goes into target/, from the registries of Python and Node.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "tests/interop: $*" >&2
    exit 1
}

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
here=$PWD/tests/interop

# Where Debian puts the source of Go libraries.
gocode=/usr/share/gocode

. tests/packages.sh
missing=()
command -v curl >/dev/null || missing+=(curl ca-certificates)
# Debian has venv in a package of its own, without which `python3 -m venv` fails halfway.
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v go >/dev/null || missing+=(golang-go)
[ -d "$gocode/src/github.com/gorilla/websocket" ] || missing+=(golang-github-gorilla-websocket-dev)
install_missing
command -v cargo >/dev/null || fail "cargo is missing: install Rust, 1.88 or later"

# Each environment is made anew unless it was completed with these very requirements, a copy of
# which is put there last.

python_environment() { # directory, requirements
    if ! cmp -s "$2" "$1/complete.txt" || ! "$1/bin/python" -c ''; then
        echo "making $1"
        rm -rf "$1"
        python3 -m venv "$1" || fail "cannot make a Python environment in $1"
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$2" ||
            fail "cannot install what $2 asks for"
        cp "$2" "$1/complete.txt"
    fi
}

node_environment() { # directory, package.json
    if ! cmp -s "$2" "$1/complete.json"; then
        echo "making $1"
        rm -rf "$1"
        mkdir "$1"
        cp "$2" "$1/package.json"
        npm install --prefix "$1" --no-package-lock --no-audit --no-fund --loglevel=error ||
            fail "cannot install what $2 asks for"
        cp "$2" "$1/complete.json"
    fi
}

python_environment "$target/venv-interop" "$here/requirements.txt"
python_environment "$target/venv-websockets-13" "$here/programs/requirements.txt"
node_environment "$target/node-interop" "$here/drivers/package.json"

# Go takes libraries from Debian alone: no modules, nothing from elsewhere, no C.
export GO111MODULE=off GOPATH=$gocode GOFLAGS= GOPROXY=off CGO_ENABLED=0
export GOCACHE=$target/go-interop/cache
go build -o "$target/go-interop/gorilla" "$here/drivers/gorilla.go" ||
    fail "the client in Go does not build"

cargo build --release --example testbed --example echo --example echo_client \
    --example ticker_client --example interop_client || fail "the examples do not build"

export TESTBED=$target/release/examples/testbed
export ECHO=$target/release/examples/echo
export ECHO_CLIENT=$target/release/examples/echo_client
export TICKER_CLIENT=$target/release/examples/ticker_client
export INTEROP_CLIENT=$target/release/examples/interop_client
export GORILLA=$target/go-interop/gorilla
export NODE_PATH=$target/node-interop/node_modules
export PYTHON_WEBSOCKETS_13=$target/venv-websockets-13/bin/python
export PYTHONDONTWRITEBYTECODE=1
# Each test has a limit of its own; this one is for all of them. The signal lets pytest end the
# programs that it started.
exec timeout --foreground --signal=INT --kill-after=30 1800 \
    "$target/venv-interop/bin/python" -m pytest -c tests/interop/pytest.ini \
    --rootdir tests/interop -p no:cacheprovider "$@" tests/interop
