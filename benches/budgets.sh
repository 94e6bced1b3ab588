#!/usr/bin/env bash
# Fails if a scenario costs more instructions than its line in budgets.txt allows.
set -euo pipefail
cd "$(dirname "$0")"
over=0
while read -r scenario budget _; do
  case $scenario in '' | '#'*) continue ;; esac
  count=$(./instructions.sh --brief "$scenario" | sed -n "s/^$scenario \\([0-9]*\\)$/\\1/p")
  [ -n "$count" ] || { echo "budgets: $scenario was not counted" >&2; exit 1; }
  verdict=ok
  if [ "$count" -gt "$budget" ]; then
    verdict='TOO MANY'
    over=1
  fi
  printf '%-10s %6d of %6d  %s\n' "$scenario" "$count" "$budget" "$verdict"
done <budgets.txt
exit $over
