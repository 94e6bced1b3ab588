//! Our chunked decoder beside a plain one on top of httparse.
#![allow(dead_code, unreachable_pub)] // the fuzz target uses a part of it

use oneport::http::Error;
use oneport::http::chunked::Decoder;

/// What a decoder made of some bytes: the body and how many bytes it took; `None` if the body
/// is not complete.
type Made = Result<Option<(Vec<u8>, usize)>, Error>;

/// Our decoder, the input given in the pieces that `cut` makes.
pub fn ours(input: &[u8], cut: usize) -> Made {
    let mut decoder = Decoder::default();
    let (mut body, mut used) = (Vec::new(), 0);
    let (front, back) = input.split_at(cut.min(input.len()));
    for piece in [front, back] {
        let mut piece = piece.to_vec();
        let decoded = decoder.decode(&mut piece)?;
        body.extend_from_slice(&piece[..decoded.data]);
        used += decoded.consumed;
        if decoded.end {
            return Ok(Some((body, used)));
        }
    }
    Ok(None)
}

/// A plain decoder that needs the whole body at once.
fn plain(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(&input[at..])
        else {
            return None;
        };
        at += line;
        if size == 0 {
            // As many as our limit in bytes lets in.
            let mut fields = vec![httparse::EMPTY_HEADER; 8192];
            return match httparse::parse_headers(&input[at..], &mut fields) {
                Ok(httparse::Status::Complete((len, _))) => Some((body, at + len)),
                _ => None,
            };
        }
        let size = usize::try_from(size).ok()?;
        let end = at.checked_add(size)?;
        body.extend_from_slice(input.get(at..end)?);
        if input.get(end..end + 2) != Some(b"\r\n") {
            return None;
        }
        at = end + 2;
    }
}

/// Splits change nothing; what we take the plain decoder takes alike. It takes more: line ends
/// and extensions that we refuse. Tells whether we took the body.
pub fn check(input: &[u8]) -> bool {
    let whole = ours(input, 0);
    for cut in [1, input.len() / 2, input.len().saturating_sub(1)] {
        assert_eq!(
            ours(input, cut),
            whole,
            "split at {cut} of {:?}",
            String::from_utf8_lossy(input)
        );
    }
    match whole {
        Ok(Some(made)) => {
            assert_eq!(plain(input).as_ref(), Some(&made), "{:?}", String::from_utf8_lossy(input));
            true
        }
        _ => false,
    }
}
