#!/usr/bin/env bash
# Each fuzz target for a bounded time: tests/fuzz/run.sh [SECONDS EACH] [TARGET...]
#
#   SANITIZER=address tests/fuzz/run.sh 60 connection    under AddressSanitizer
#   MINIMIZE=1 tests/fuzz/run.sh 60 head                 and drop from the corpus what adds nothing
#
# Works on a stable toolchain; for a sanitizer the compiler is told to take unstable flags. Corpora
# are kept in tests/fuzz/corpus, what a run finds beside them in tests/fuzz/target; only MINIMIZE
# brings it into the corpus. Prints the number of executions and the coverage.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-15}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(head chunked frames handshake connection inflate)
sanitizer=${SANITIZER:-none}
if [ "$sanitizer" != none ]; then
  export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/target/$sanitizer
fi
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --version 0.13.2 --locked
for target in "${targets[@]}"; do
  echo "== fuzz $target, $seconds s, sanitizer: $sanitizer"
  found=target/found/$target
  mkdir -p "corpus/$target" "$found"
  log=$(mktemp)
  if ! cargo fuzz run --fuzz-dir . -s "$sanitizer" "$target" "$found" "corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=30 -rss_limit_mb=2048 >"$log" 2>&1; then
    tail -n 100 "$log"
    exit 1
  fi
  # The last line is libFuzzer's own sum: executions, coverage.
  grep -a '^#.*DONE' "$log" || tail -n 1 "$log"
  rm -f "$log"
  if [ -n "${MINIMIZE:-}" ]; then
    rm -rf target/merged
    mkdir -p target/merged
    cargo fuzz run --fuzz-dir . -s "$sanitizer" "$target" target/merged "corpus/$target" "$found" -- \
      -set_cover_merge=1 -max_len=512 -verbosity=0 >/dev/null 2>&1
    rm -rf "corpus/$target" "$found"
    mv target/merged "corpus/$target"
    echo "corpus: $(find "corpus/$target" -type f | wc -l) inputs"
  fi
done
echo "fuzz: nothing found"
