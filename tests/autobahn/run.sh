#!/usr/bin/env bash
# The Autobahn test suite in both roles: all cases but compression (12.*, 13.*), and a sample of
# those where compression is on. About two minutes; whole.sh runs all of them.
#
#   tests/autobahn/run.sh
#
# Reports stay in target/autobahn-run. See suite.sh for what is needed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/autobahn/suite.sh
work=$target/autobahn-run
patience=900 # seconds for each run

python3 tests/autobahn/judge.py test
environment
cargo build --release --example testbed --example autobahn_client

as_server server-plain "$all_but_compression"
as_server server-deflate "$with_a_sample" --deflate
as_client client "$with_a_sample"
