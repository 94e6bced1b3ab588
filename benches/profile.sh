#!/usr/bin/env bash
# Where the instructions of a request or message go: docs/perf/profile.csv, profile.md, calls.md, floors.svg and
# flame graphs. With scenarios, only those, and the table on the terminal.
#
#   benches/profile.sh [get] [get16] [echo] [echo16]
#
# Needs what benches/budgets.sh needs.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
# The same code as users build, with its debug information.
TESTBED=$(built build --profile bench --example testbed)
exec timeout --foreground --kill-after=10 900 python3 benches/profile.py "$@"
