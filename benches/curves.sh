#!/usr/bin/env bash
# What a message costs as connections, bytes and receivers grow: docs/perf/curves.csv and its charts.
#
#   benches/curves.sh [--seconds 0.7] [--rounds 3]
#
# Needs what benches/budgets.sh needs, and 10,100 descriptors for the last point.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
exec timeout --foreground --kill-after=10 1800 python3 benches/curves.py "$@"
