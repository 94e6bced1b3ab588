#!/usr/bin/env bash
# Runs the tests of the one module with `unsafe` code under Miri, which finds undefined behaviour: once
# with the instructions that every x86-64 has, once with AVX2.
#
# Needs a nightly toolchain, and rustup to add Miri to it. Where there is none this says so and passes.
set -euo pipefail
cd "$(dirname "$0")"

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    if ! timeout 300 rustup component add --toolchain nightly miri rust-src >/dev/null 2>&1; then
        echo "tests/miri: there is no nightly with Miri here: not run"
        exit 0
    fi
fi
for features in "" +avx2; do
    echo "Miri, target features: ${features:-those of every machine}"
    RUSTFLAGS="${features:+-C target-feature=$features}" timeout --foreground 600 \
        cargo +nightly miri test --quiet
done
