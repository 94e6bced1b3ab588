//! What the protocol routines cost, beside the reference where there is one:
//! `cargo bench --bench protocol`.

mod heads;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use oneport::bytes::utf8::{self, Utf8};
use oneport::http::framing;
use oneport::http::head::{self, Limits, Progress};
use oneport::ws::mask;

/// All heads in turn, so that one constant input cannot flatter. (Names are in lower case from the
/// second round on; that makes no difference to either parser, which looks at all bytes alike.)
fn head_parsing(criterion: &mut Criterion) {
    let mut inputs: Vec<Vec<u8>> = heads::real().into_iter().map(|(_, head)| head).collect();
    assert!(inputs.len() >= 32);
    let bytes = inputs.iter().map(|head| head.len() as u64).sum();
    let mut group = criterion.benchmark_group("heads");
    group.throughput(Throughput::Bytes(bytes));
    let mut fields = Vec::with_capacity(101);
    group.bench_function("oneport, with framing", |bench| {
        bench.iter(|| {
            for input in &mut inputs {
                let mut progress = Progress::default();
                let head = head::parse(input, &mut progress, &mut fields, Limits::default())
                    .expect("the heads are valid")
                    .expect("and complete");
                let framing = framing::decide(head.version, &head.facts);
                let _ = black_box(framing.expect("and their framing is sound"));
            }
        });
    });
    group.bench_function("oneport, without framing", |bench| {
        bench.iter(|| {
            for input in &mut inputs {
                let mut progress = Progress::default();
                let head = head::parse(input, &mut progress, &mut fields, Limits::default());
                let _ = black_box(head);
            }
        });
    });
    group.bench_function("httparse, without framing", |bench| {
        bench.iter(|| {
            for input in &inputs {
                let mut fields = [httparse::EMPTY_HEADER; 100];
                let mut request = httparse::Request::new(&mut fields);
                let _ = black_box(request.parse(input));
            }
        });
    });
    group.finish();
}

/// A payload seldom begins where a vector does: behind a header of 6, 8 or 14 bytes.
fn unmasking(criterion: &mut Criterion) {
    const KEY: [u8; 4] = [1, 2, 3, 4];
    for (len, header) in [(16usize, 6), (128, 8), (1024, 8), (16_384, 8), (65_536, 14)] {
        let mut frame = vec![7u8; header + len];
        let mut group = criterion.benchmark_group(format!("unmask {len} B"));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function("oneport", |bench| {
            bench.iter(|| mask::apply(black_box(&mut frame[header..]), black_box(KEY)));
        });
        group.bench_function("fastwebsockets", |bench| {
            bench.iter(|| fastwebsockets::unmask(black_box(&mut frame[header..]), black_box(KEY)));
        });
        group.finish();
    }
}

/// Whole texts, and such that arrive in blocks which cut characters.
fn utf8_checking(criterion: &mut Criterion) {
    let ascii = "plain text, as most of it is; ".repeat(3000);
    let mixed = "naïve café, Привет мир, 你好 🦀 ".repeat(3000);
    for (name, text) in [("ASCII", &ascii), ("mixed", &mixed)] {
        for len in [20usize, 128, 1024, 65_536] {
            let len = (0..=len).rev().find(|len| text.is_char_boundary(*len)).expect("0 is one");
            let bytes = &text.as_bytes()[..len];
            let mut group = criterion.benchmark_group(format!("UTF-8 {name} {len} B"));
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function("oneport", |bench| {
                bench.iter(|| utf8::text(black_box(bytes)).is_ok());
            });
            group.bench_function("oneport, in blocks", |bench| {
                bench.iter(|| {
                    let mut utf8 = Utf8::default();
                    black_box(bytes).chunks(8192).all(|block| utf8.feed(block).is_ok())
                });
            });
            group.bench_function("std", |bench| {
                bench.iter(|| std::str::from_utf8(black_box(bytes)).is_ok());
            });
            group.finish();
        }
    }
}

criterion_group!(benches, head_parsing, unmasking, utf8_checking);
criterion_main!(benches);
