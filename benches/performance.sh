#!/usr/bin/env bash
# Everything that docs/PERFORMANCE.md and README.md show, measured anew: docs/perf, and the copies in the
# documents. Half an hour on an idle machine; --short for a try of all but
# the settings of the compiler.
#
#   benches/performance.sh [--short]
#
# Needs what benches/budgets.sh needs, and 10,100 descriptors.
set -euo pipefail
cd "$(dirname "$0")/.."
short=${1-}
peers=(--seconds 2 --rounds 7)
curves=(--seconds 1 --rounds 5)
if [ "$short" = --short ]; then
    peers=(--seconds 0.5 --rounds 1)
    curves=(--seconds 0.2 --rounds 1)
fi
mkdir -p docs/perf

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

step benches/profile.sh
step benches/curves.sh "${curves[@]}"
[ "$short" = --short ] || step benches/settings.sh
step cargo run --release --locked --manifest-path benches/peers/Cargo.toml -- "${peers[@]}" \
    --chart docs/perf/peers.svg --table docs/perf/peers.md
kind=$(grep -qw hypervisor /proc/cpuinfo && echo 'virtual machine' || echo machine)
printf 'Measured on %s with %s, on %s cores of a shared %s %s.\n' "$(date +%F)" \
    "$(rustc --version | cut -d ' ' -f 1,2)" "$(nproc)" "$(uname -m | tr _ -)" "$kind" \
    >docs/perf/measured.md
step env UPDATE_DOCS=1 cargo test --test documents
