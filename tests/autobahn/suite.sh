# What run.sh and whole.sh share: the Autobahn test suite in either role. To be sourced.
#
#   environment                      installs the suite, once
#   as_server NAME SPEC FLAGS...     the fuzzing client against the testbed with these flags
#   as_client NAME SPEC              the fuzzing server against examples/autobahn_client.rs
#
# SPEC is one of the selections below. What a run leaves is in $work/NAME: the report and the logs.
#
# The suite exists for Python 2.7 alone. That is taken from $PYTHON27, from the path, or from
# pyenv; without one the check fails.

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
here=$PWD/tests/autobahn
venv=$target/autobahn/venv

# The cases: patterns that are in, patterns that are out. 12.* and 13.* are compression.
compression='"12.*", "13.*"'
sample='"12.1.1", "12.1.10", "12.2.5", "12.3.5", "12.4.5", "12.5.5", "13.1.5", "13.2.5", "13.4.5", "13.5.5", "13.6.5", "13.7.5"'
basic='"1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "11.*"'
all="\"cases\": [\"*\"]"
all_but_compression="\"cases\": [\"*\"], \"exclude-cases\": [$compression]"
only_compression="\"cases\": [$compression]"
with_a_sample="\"cases\": [$basic, $sample]"

running=()
trap 'for process in "${running[@]}"; do kill "$process" 2>/dev/null || true; done' EXIT

fail() {
  echo "autobahn: $*" >&2
  exit 1
}

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
  fail "no Python 2.7 found: set PYTHON27 to one, or install pyenv"
}

environment() {
  # Made anew unless it was completed with these very requirements, at this place.
  { echo "# $venv"; cat "$here/requirements.txt"; } >"$target/autobahn-requirements.txt"
  if ! cmp -s "$target/autobahn-requirements.txt" "$venv/complete.txt"; then
    local python
    python=$(find_python27)
    rm -rf "$target/autobahn"
    "$python" -m pip install --quiet --disable-pip-version-check \
      --target "$target/autobahn/virtualenv" virtualenv==20.15.1
    PYTHONPATH=$target/autobahn/virtualenv "$python" -m virtualenv --quiet --no-download "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$target/autobahn-requirements.txt" "$venv/complete.txt"
  fi
}

# Waits until a program that was just started says where it listens, and puts that into $address.
listening() { # log
  for _ in $(seq 600); do
    address=$(sed -n 's/^listening on \([a-z]*:\/\/.*:[0-9]*\)$/\1/p' "$1")
    [ -n "$address" ] && return
    kill -0 "${running[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  cat "$1" >&2
  fail "it does not start"
}

stop() {
  kill "${running[-1]}" 2>/dev/null || true
  wait "${running[-1]}" 2>/dev/null || true
  unset 'running[-1]'
}

as_server() { # name, spec, flags of the testbed...
  local name=$1 spec=$2 out=$work/$1
  shift 2
  rm -rf "$out"
  mkdir -p "$out"
  : >"$out/testbed.log"
  "$target/release/examples/testbed" --port 0 "$@" 2>"$out/testbed.log" &
  running+=($!)
  listening "$out/testbed.log"
  cat >"$out/spec.json" <<JSON
{"outdir": "$out/report", $spec,
 "servers": [{"agent": "oneport", "url": "ws${address#http}/ws"}], "exclude-agent-cases": {}}
JSON
  timeout "$patience" "$venv/bin/wstest" -m fuzzingclient -s "$out/spec.json" >"$out/wstest.log" 2>&1 || {
    tail -n 30 "$out/wstest.log" >&2
    fail "$name: the fuzzing client fails"
  }
  stop
  judge "$name"
}

as_client() { # name, spec
  local name=$1 spec=$2 out=$work/$1
  rm -rf "$out"
  mkdir -p "$out"
  echo "{\"outdir\": \"$out/report\", $spec, \"exclude-agent-cases\": {}}" >"$out/spec.json"
  : >"$out/wstest.log"
  "$venv/bin/python" -u "$here/fuzzingserver.py" "$out/spec.json" >"$out/wstest.log" 2>&1 &
  running+=($!)
  listening "$out/wstest.log"
  timeout "$patience" "$target/release/examples/autobahn_client" "$address" >"$out/client.log" 2>&1 || {
    tail -n 30 "$out/client.log" "$out/wstest.log" >&2
    fail "$name: the client fails"
  }
  stop
  judge "$name"
}

judge() { # name
  # What had to run, from the suite itself: a run that broke off is short of some.
  "$venv/bin/python" -W ignore "$here/selected.py" "$work/$1/spec.json" >"$work/$1/selected"
  python3 "$here/judge.py" "$1" "$work/$1/report/index.json" "$work/$1/selected"
}
