#!/usr/bin/env bash
# Fails if a request, a message or an idle connection costs more than benches/budgets.txt allows.
#
#   benches/budgets.sh [instructions] [served] [calls] [memory]
#
# Counts, not times: they hardly depend on what else the machine does. Needs cargo, Linux on x86-64
# and, for what is missing of Python, valgrind, strace and binutils, root on a Debian machine.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
exec timeout --foreground --kill-after=10 600 python3 benches/budgets.py "$@"
