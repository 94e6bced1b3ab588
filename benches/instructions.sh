#!/usr/bin/env bash
# User instructions per request and per message, in memory, by callgrind: two runs of different
# length, the difference taken, so that starting and ending do not count.
#
#   benches/instructions.sh            all scenarios
#   benches/instructions.sh get        one, and where its instructions go
#   benches/instructions.sh --brief get httparse-1    some, only counted
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "instructions: valgrind is missing (apt-get install valgrind)" >&2; exit 1; }
bin=$(cargo bench --no-run --bench instructions --message-format=json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*instructions[^"]*\)".*/\1/p' | tail -n 1)
[ -x "$bin" ] || { echo "instructions: the bench did not build" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

count() { # scenario runs
  valgrind --tool=callgrind --callgrind-out-file="$out/$1.$2" "$bin" "$1" "$2" 2>&1 |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

brief=
if [ "${1-}" = --brief ]; then
  brief=1
  shift
fi
[ $# -gt 0 ] || { brief=1; set -- get get16 echo echo16; }
for scenario in "$@"; do
  per=1
  case $scenario in *16) per=16 ;; esac
  few=$(count "$scenario" 1000)
  many=$(count "$scenario" 3000)
  echo "$scenario $(((many - few) / 2000 / per))"
  if [ -z "$brief" ]; then
    callgrind_annotate "$out/$scenario.3000" 2>/dev/null | grep -E '^ *[0-9,]+ \(' | head -n 30
  fi
done
