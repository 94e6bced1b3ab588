#!/usr/bin/env bash
# The Autobahn test suite against the testbed: all cases but compression (12.*, 13.*).
#
#   tests/autobahn/run.sh              the fuzzing client, about a minute
#
# The suite exists for Python 2.7 alone. It is taken from $PYTHON27, from the path, or from
# pyenv; without one this check fails. The report stays in target/autobahn/report.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/target/autobahn
mkdir -p "$work"

find_python27() {
  local candidate
  for candidate in "${PYTHON27:-}" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7 python2.7 python2; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  if command -v pyenv >/dev/null && pyenv install --skip-existing 2.7.18 >&2; then
    echo "$(pyenv root)/versions/2.7.18/bin/python2.7"
    return
  fi
  echo "autobahn: no Python 2.7 found: set PYTHON27 to one, or install pyenv" >&2
  return 1
}

wstest=$work/venv/bin/wstest
if ! [ -f "$work/venv/complete" ]; then
  python=$(find_python27)
  rm -rf "$work/venv" "$work/virtualenv"
  "$python" -m pip install --quiet --disable-pip-version-check --target "$work/virtualenv" virtualenv==20.15.1
  PYTHONPATH=$work/virtualenv "$python" -m virtualenv --quiet --no-download "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/autobahn/requirements.txt
  touch "$work/venv/complete"
fi

cargo build --release --example testbed
log=$work/testbed.log
target/release/examples/testbed --port 0 2>"$log" &
testbed=$!
trap 'kill "$testbed" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
  port=$(sed -n 's/^listening on http:\/\/.*:\([0-9]*\)$/\1/p' "$log")
  [ -n "$port" ] && break
  kill -0 "$testbed" || { cat "$log" >&2; exit 1; }
  sleep 0.1
done
[ -n "$port" ] || { echo "autobahn: the testbed does not start" >&2; exit 1; }

rm -rf "$work/report"
cat >"$work/spec.json" <<JSON
{"outdir": "$work/report",
 "servers": [{"agent": "oneport", "url": "ws://127.0.0.1:$port/ws"}],
 "cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {}}
JSON
if ! "$wstest" -m fuzzingclient -s "$work/spec.json" >"$work/wstest.log" 2>&1; then
  tail -n 30 "$work/wstest.log" >&2
  exit 1
fi
python3 tests/autobahn/judge.py "$work/report/index.json" 300
