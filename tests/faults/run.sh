#!/usr/bin/env bash
# What peers may do to a server, over real sockets: slow ones, deaf ones, too many, resets, a signal
# under load, everything at once. Prints a table of figures and fails if one is past its bound.
#
#   tests/faults/run.sh [--seconds N] [FAULT...]       for example: --seconds 60 mixed
#
# Needs cargo, Linux and Python 3 with nothing besides; 2,000 descriptors.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --release --example testbed
export TESTBED=${CARGO_TARGET_DIR:-$PWD/target}/release/examples/testbed
export PYTHONPATH=$PWD/tests/interop PYTHONDONTWRITEBYTECODE=1
exec timeout --foreground --kill-after=10 900 python3 tests/faults/faults.py "$@"
