#!/usr/bin/env bash
# The whole Autobahn test suite in both roles, 12.* and 13.* (compression) included. What came of
# it is kept in RESULTS.md, beside this file.
#
#   tests/autobahn/whole.sh                all of it
#   tests/autobahn/whole.sh client ...     some of it: server-plain, server-deflate,
#                                          server-takeover, client
#
# Reports stay in target/autobahn-whole. See suite.sh for what is needed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/autobahn/suite.sh
work=$target/autobahn-whole
patience=5400 # seconds for each run

# Two at once would write over each other.
mkdir -p "$work"
exec 9>"$work/lock"
flock --nonblock 9 || fail "another whole.sh runs"

python3 tests/autobahn/judge.py test
environment
(($#)) || set -- server-plain server-deflate server-takeover client
programs=()
[[ " $* " != *" server-"* ]] || programs+=(--example testbed)
[[ " $* " != *" client "* ]] || programs+=(--example autobahn_client)
cargo build --release "${programs[@]}"

commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- src examples Cargo.toml Cargo.lock)" ] || commit="$commit and changes"
failed=0
for name in "$@"; do
  began=$SECONDS
  case $name in
    # Where compression is never accepted, 12.* and 13.* have nothing to test.
    server-plain) as_server "$name" "$all_but_compression" || failed=1 ;;
    server-deflate) as_server "$name" "$all" --deflate || failed=1 ;;
    server-takeover) as_server "$name" "$only_compression" --deflate=takeover || failed=1 ;;
    client) as_client "$name" "$all" || failed=1 ;;
    *) fail "no such run: $name" ;;
  esac
  python3 tests/autobahn/results.py "$name" "$work/$name/report/index.json" "$work/$name/selected" \
    "$commit" $((SECONDS - began))
done
exit "$failed"
