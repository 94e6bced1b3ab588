# What the scripts of this directory have in common: sourced, after `set -euo pipefail`. Installs
# what is missing, builds the programs under measurement, and names them for measure.py.

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

. tests/packages.sh
missing=()
command -v python3 >/dev/null || missing+=(python3)
command -v valgrind >/dev/null || missing+=(valgrind)
command -v strace >/dev/null || missing+=(strace)
command -v addr2line >/dev/null || missing+=(binutils)
install_missing
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
