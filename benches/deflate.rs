//! What permessage-deflate costs beside the same level of bare flate2, and what a reset of the
//! engines costs: `cargo bench --bench deflate`.
//!
//! Messages like JSON of 100 B, 1 KiB and 16 KiB, level 1, no takeover: every message begins with
//! an engine that was reset.
//!
//! - `oneport`: `Deflater::deflate` and `Inflater::inflate` with the engines of a worker.
//! - `flate2`: reset and one call, into a buffer that is there already.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use oneport::Deflate;
use oneport::ws::deflate::{Deflater, Engines, Inflater};
use oneport::ws::extension::Direction;

const DIRECTION: Direction = Direction { takeover: false, window_bits: 15 };

fn json(len: usize) -> Vec<u8> {
    let items = (0u32..).flat_map(|i| {
        let number = i.wrapping_mul(2_654_435_761);
        let text = format!(
            "{{\"id\":{i},\"name\":\"item {}\",\"price\":{}.{:02},\"tags\":[\"new\",\"red\"]}},",
            number % 1000,
            number % 97,
            number % 100
        );
        text.into_bytes()
    });
    items.take(len).collect()
}

fn messages(criterion: &mut Criterion) {
    for len in [100usize, 1024, 16_384] {
        let message = json(len);
        let mut engines = Engines::default();
        let mut deflater = Deflater::new(DIRECTION, Deflate::default().threshold(0));
        let mut packed = Vec::new();
        let length = deflater.deflate(&message, &mut engines, &mut packed).expect("JSON shrinks");
        let small = packed[..length].to_vec();

        let mut group = criterion.benchmark_group(format!("deflate {len} B to {length}"));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function("oneport", |bench| {
            bench.iter(|| deflater.deflate(black_box(&message), &mut engines, &mut packed));
        });
        let mut compress = Compress::new_with_window_bits(Compression::new(1), false, 15);
        group.bench_function("flate2", |bench| {
            bench.iter(|| {
                compress.reset();
                compress.compress(black_box(&message), &mut packed, FlushCompress::Sync)
            });
        });
        group.finish();

        let mut group = criterion.benchmark_group(format!("inflate {len} B from {length}"));
        group.throughput(Throughput::Bytes(len as u64));
        let mut inflater = Inflater::new(DIRECTION);
        group.bench_function("oneport", |bench| {
            bench.iter(|| {
                let mut plain = engines.take_plain();
                inflater
                    .inflate(black_box(&small), 1 << 20, &mut engines, &mut plain, &mut |_| true)
                    .expect("it is DEFLATE");
                engines.give_back_plain(plain);
            });
        });
        let mut decompress = Decompress::new_with_window_bits(false, 15);
        let mut plain = vec![0; len + 64];
        let whole = [&small[..], &[0, 0, 0xff, 0xff]].concat();
        let mut round = || {
            decompress.reset(false);
            let outcome =
                decompress.decompress(black_box(&whole), &mut plain, FlushDecompress::Sync);
            outcome.map(|_| decompress.total_out())
        };
        assert_eq!(round().ok(), Some(len as u64));
        group.bench_function("flate2", |bench| bench.iter(&mut round));
        group.finish();
    }
}

/// What of that is the engine's beginning.
fn engines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine");
    for bits in [15, 9] {
        let new = || Compress::new_with_window_bits(Compression::new(1), false, bits);
        let mut compress = new();
        group.bench_function(format!("reset to compress, {bits} bits"), |bench| {
            bench.iter(|| compress.reset());
        });
        group.bench_function(format!("new to compress, {bits} bits"), |bench| bench.iter(new));
    }
    let new = || Decompress::new_with_window_bits(false, 15);
    let mut decompress = new();
    group.bench_function("reset to decompress", |bench| {
        bench.iter(|| decompress.reset(false));
    });
    group.bench_function("new to decompress", |bench| bench.iter(new));
    let history = json(32_768);
    group.bench_function("reset to decompress, with 32 KiB to look back at", |bench| {
        bench.iter(|| {
            decompress.reset(false);
            decompress.set_dictionary(&history)
        });
    });
    group.finish();
}

criterion_group!(benches, messages, engines);
criterion_main!(benches);
