#!/usr/bin/env bash
# Each fuzz target for a bounded time: tests/fuzz/run.sh [SECONDS EACH] [TARGET...]
# Works on a stable toolchain (no sanitizer); corpora are kept in tests/fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-15}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(head chunked frames handshake connection inflate)
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --version 0.13.2 --locked
for target in "${targets[@]}"; do
  echo "== fuzz $target, $seconds s"
  mkdir -p "corpus/$target"
  log=$(mktemp)
  if ! cargo fuzz run --fuzz-dir . -s none "$target" -- -max_total_time="$seconds" -max_len=4096 \
    -timeout=10 -rss_limit_mb=2048 -verbosity=0 >"$log" 2>&1; then
    tail -n 100 "$log"
    exit 1
  fi
  rm -f "$log"
done
echo "fuzz: nothing found"
