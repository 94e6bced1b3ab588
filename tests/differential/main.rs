//! Our parsers beside those of others, on real-looking input and on mutations of it.

mod chunked;
mod heads;
#[path = "../../benches/heads/mod.rs"]
mod real_heads;
mod requests;
#[path = "../rig/mod.rs"]
mod rig;

#[cfg(feature = "deflate")]
mod inflate;
#[path = "../cases/row.rs"]
#[allow(dead_code)] // only inputs and names are of use here
mod row;
#[path = "../cases/table.rs"]
mod table;

use heads::{DIFFERENCES, HEADS, Made, check, ours};

/// A small generator of numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Bytes that are likely to matter.
const SPICE: &[u8] = b"\r\n\r\n \t:;,/?#%\0\x0b\x7f\x80\xff\x16aA0HTP.1";

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let spice = SPICE[random.below(SPICE.len())];
        match random.below(7) {
            6 => _ = bytes.splice(at..at, "ä".bytes()),
            0 => bytes[at] = spice,
            1 => bytes.insert(at, spice),
            2 => _ = bytes.remove(at),
            3 => bytes.truncate(at),
            4 => {
                let end = (at + 1 + random.below(20)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => bytes[at] = random.below(256) as u8,
        }
    }
}

/// The small heads that show each peculiarity, and those of real clients.
fn corpus() -> Vec<Vec<u8>> {
    let real = real_heads::real();
    let names: std::collections::BTreeSet<_> = real.iter().map(|(name, _)| *name).collect();
    assert!(names.len() >= 32, "{}", names.len());
    let small = HEADS.iter().map(|head| head.as_bytes().to_vec());
    small.chain(real.into_iter().map(|(_, head)| head)).collect()
}

#[test]
fn real_looking_heads_are_read_alike() {
    let mut seen = vec![0; DIFFERENCES.len()];
    for head in corpus() {
        check(&head, &mut seen);
        let (made, _) = ours(&head);
        let text = String::from_utf8_lossy(&head);
        assert!(matches!(made, Made::Head(.., len) if len == head.len()), "{text}");
    }
    assert_eq!(seen.iter().sum::<usize>(), 0, "without any difference");
}

#[test]
fn every_beginning_of_a_head_is_read_alike() {
    let mut seen = vec![0; DIFFERENCES.len()];
    for head in corpus() {
        for end in 0..head.len() {
            check(&head[..end], &mut seen);
        }
    }
}

#[test]
fn mutated_heads_are_read_alike_but_for_the_known_differences() {
    let mut random = Random(2026);
    let mut seen = vec![0; DIFFERENCES.len()];
    let mut accepted = 0;
    let heads = corpus();
    for round in 0..150_000 {
        let mut bytes = heads[round % heads.len()].clone();
        mutate(&mut bytes, &mut random);
        accepted += usize::from(matches!(ours(&bytes).0, Made::Head(..)));
        check(&bytes, &mut seen);
    }
    assert!(accepted > 20_000, "many mutations stay heads: {accepted}");
    assert!(seen.iter().all(|&count| count > 0), "every row is met: {seen:?}");
}

#[test]
fn a_head_of_random_bytes_is_read_alike() {
    let mut random = Random(7);
    let mut seen = vec![0; DIFFERENCES.len()];
    for _ in 0..50_000 {
        let len = random.below(60);
        let bytes: Vec<u8> = (0..len).map(|_| SPICE[random.below(SPICE.len())]).collect();
        check(&bytes, &mut seen);
    }
}

#[test]
fn chunked_bodies_are_read_alike_by_a_plain_decoder_on_httparse() {
    const BODIES: &[&[u8]] = &[
        b"5\r\nHello\r\n0\r\n\r\n",
        b"a\r\n0123456789\r\n1;x=y\r\n!\r\n000\r\nX-Sum: 1\r\n\r\n",
        b"1;a=\"b;c\"\r\nx\r\n2 ; d\r\nyz\r\n0;end\r\n\r\n",
    ];
    let mut random = Random(99);
    let mut accepted = 0;
    for round in 0..150_000 {
        let mut bytes = BODIES[round % BODIES.len()].to_vec();
        mutate(&mut bytes, &mut random);
        accepted += usize::from(chunked::check(&bytes));
    }
    assert!(accepted > 5_000, "{accepted}");
}

#[test]
fn the_table_of_cases_is_read_like_hyper_does_but_for_the_known_differences() {
    let mut seen = vec![0; requests::DIFFERENCES.len()];
    let rows = table::rows();
    let mut failures = Vec::new();
    let mut alike = 0;
    for row in &rows {
        match requests::check(&row.input, &mut seen) {
            Ok(n) => alike += n,
            Err(why) => failures.push(format!("{}: {why}", row.name)),
        }
    }
    assert!(failures.is_empty(), "{}: {}", failures.len(), failures.join("\n"));
    assert!(alike > 100, "{alike}");
}

#[test]
fn mutated_requests_are_read_like_hyper_does_but_for_the_known_differences() {
    let mut random = Random(6);
    let mut seen = vec![0; requests::DIFFERENCES.len()];
    let corpus = table::rows();
    let (mut alike, mut failures) = (0, Vec::new());
    // As they are, so that each difference is met; then mutated.
    for row in &corpus {
        failures.extend(requests::check(&row.input, &mut seen).err());
    }
    for round in 0..80_000 {
        let mut bytes = corpus[round % corpus.len()].input.clone();
        mutate(&mut bytes, &mut random);
        match requests::check(&bytes, &mut seen) {
            Ok(n) => alike += n,
            Err(why) => failures.push(why),
        }
    }
    assert!(
        failures.is_empty(),
        "{}: {}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n")
    );
    assert!(alike > 1_000, "{alike}");
    assert!(seen.iter().all(|&count| count > 0), "every row is met: {seen:?}");
}

#[test]
#[cfg(feature = "deflate")]
fn compressed_payloads_are_read_alike_by_bare_flate2() {
    use flate2::{Compress, Compression, FlushCompress};
    let mut random = Random(7692);
    let (mut messages, mut refused) = (0, 0);
    for round in 0..20_000 {
        let words = ["over ", "and ", "again ", "x"];
        let text: String = (0..random.below(200)).map(|_| words[random.below(4)]).collect();
        let mut payload = Vec::with_capacity(4096);
        let mut compress = Compress::new(Compression::new(random.below(10) as u32), false);
        let history = if round % 2 == 0 { &b""[..] } else { b"over and over and over again" };
        if !history.is_empty() {
            compress.set_dictionary(history).expect("a raw stream takes a dictionary");
        }
        compress.compress_vec(text.as_bytes(), &mut payload, FlushCompress::Sync).unwrap();
        payload.truncate(payload.len() - 4);
        if round % 3 > 0 {
            mutate(&mut payload, &mut random);
        }
        let limit = random.below(text.len() + 100);
        let cuts = (random.below(4096), random.below(4096));
        if inflate::check(&payload, history, limit, cuts) {
            messages += 1;
        } else {
            refused += 1;
        }
    }
    assert!(messages > 2_000 && refused > 3_000, "{messages} and {refused}");
}
