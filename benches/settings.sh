#!/usr/bin/env bash
# What other settings of the compiler would do: instructions of a request or message in memory, each
# setting in a build of its own (some minutes each). Writes docs/perf/settings.md.
#
#   benches/settings.sh
#
# Needs what benches/budgets.sh needs.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
target=${CARGO_TARGET_DIR:-target}

count() { # what the table says, then variables for cargo
    local what=$1
    shift
    INSTRUCTIONS=$(env CARGO_TARGET_DIR="$target/settings" "$@" cargo bench --no-run \
        --bench instructions --message-format=json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    python3 - "$what" <<'PYTHON'
import sys

sys.path.insert(0, "benches")
import measure

counts = measure.side_by_side(measure.in_memory, ["get", "get16", "echo", "echo16"])
print("|", sys.argv[1], "|", " | ".join(f"{count:.0f}" for count in counts), "|")
PYTHON
}

out=$(mktemp)
trap 'rm -f "$out"' EXIT
{
    echo "| setting | get | get16 | echo | echo16 |"
    echo "|---|---:|---:|---:|---:|"
    count 'as it is: `lto = "fat"`, one codegen unit' CARGO_PROFILE_BENCH_LTO=fat
    count '`lto = "thin"`, 16 codegen units' CARGO_PROFILE_BENCH_LTO=thin CARGO_PROFILE_BENCH_CODEGEN_UNITS=16
    count '`opt-level = 2`' CARGO_PROFILE_BENCH_OPT_LEVEL=2
    count '`-C target-cpu=x86-64-v3`' RUSTFLAGS="-C target-cpu=x86-64-v3"
    count '`-C panic=abort`' RUSTFLAGS="-C panic=abort"
} | tee "$out"
cat "$out" >docs/perf/settings.md
