//! What the protocol routines cost, beside the reference where there is one:
//! `cargo bench --bench protocol`.

mod heads;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

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

fn unmasking(criterion: &mut Criterion) {
    for len in [16usize, 128, 1024, 65_536] {
        let mut payload = vec![7u8; len];
        let mut group = criterion.benchmark_group("unmask");
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("{len} B"), |bench| {
            bench.iter(|| mask::apply(black_box(&mut payload), [1, 2, 3, 4]));
        });
        group.finish();
    }
}

criterion_group!(benches, head_parsing, unmasking);
criterion_main!(benches);
