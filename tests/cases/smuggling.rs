//! The known classes of request smuggling, by the names they have in the literature: how the
//! front (a proxy) and the back (we) find the end of a body, or what hides it from one of them.
//! In all of them a request `/evil` would come to be; in none of them is it seen, but where the
//! bytes plainly say that it is a request of its own.

use oneport::http::Error;

use crate::row::{Row, denied, ended, get, post, refused, served, waits};

const EVIL: &str = "GET /evil HTTP/1.1\nHost: h\n\n";

/// A chunked body whose data is a request.
fn in_a_chunk() -> String {
    format!("{:x}\n{EVIL}\n0\n\n", crate::row::wire(EVIL).len())
}

fn evil_body(lines: &str) -> String {
    post(lines, &format!("0\n\n{EVIL}"))
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        // The front believes the length, the back the coding, or the other way round.
        refused(
            "coding.and-length",
            "CL.TE",
            &evil_body("Content-Length: 35\nTransfer-Encoding: chunked\n"),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "TE.CL",
            &post("Content-Length: 4\nTransfer-Encoding: chunked\n", &in_a_chunk()),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "CL.TE with a length of nought",
            &evil_body("Transfer-Encoding: chunked\nContent-Length: 00\n"),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "CL.TE on a GET",
            &format!("{}0\n\n{EVIL}", get("Content-Length: 6\nTransfer-Encoding: chunked\n")),
            &[],
            Error::LengthAndCoding,
        ),
        // CL.CL.
        refused(
            "length.differs",
            "CL.CL",
            &post("Content-Length: 0\nContent-Length: 30\n", EVIL),
            &[],
            Error::ContentLengthDiffers,
        ),
        refused(
            "length.differs",
            "CL.CL in one line",
            &post("Content-Length: 30, 0\n", EVIL),
            &[],
            Error::ContentLengthDiffers,
        ),
        // One side ignores a length: we never do.
        served(
            "length.any-method",
            "CL.0: a GET whose body is a request",
            &format!("{}{EVIL}", get("Content-Length: 31\n")).replace(
                "Content-Length: 31",
                &format!("Content-Length: {}", crate::row::wire(EVIL).len()),
            ),
            &["GET / GET /evil HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"],
        ),
        served(
            "length.any-method",
            "CL.0: a HEAD whose body is a request",
            &format!(
                "HEAD / HTTP/1.1\nHost: h\nContent-Length: {}\n\n{EVIL}",
                crate::row::wire(EVIL).len()
            ),
            &["HEAD / GET /evil HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"],
        ),
        served(
            "pipeline.early",
            "CL.0: an early answer, and the body is dropped",
            &format!(
                "POST /early HTTP/1.1\nHost: h\nContent-Length: {}\n\n{EVIL}",
                crate::row::wire(EVIL).len()
            ),
            &["POST /early"],
        ),
        served(
            "length.none",
            "0.CL: without a length it is the next request for everybody",
            &post("", EVIL),
            &["POST /", "GET /evil"],
        ),
        refused(
            "length.digits",
            "0.CL: a length that the front does not see as one",
            &post("Content-Length: +30\n", EVIL),
            &[],
            Error::ContentLength,
        ),
        refused(
            "field.fold",
            "0.CL: a length behind a folded line",
            &post("X: y\n Content-Length: 30\n", EVIL),
            &[],
            Error::ObsFold,
        ),
        refused(
            "field.fold",
            "0.CL: a length that is folded",
            &post("Content-Length:\n 30\n", EVIL),
            &[],
            Error::ObsFold,
        ),
        refused(
            "field.space",
            "0.CL: a space before the colon of a length",
            &post("Content-Length : 30\n", EVIL),
            &[],
            Error::SpaceBeforeColon,
        ),
        refused(
            "field.fold",
            "0.CL: a length that begins with a space",
            "POST / HTTP/1.1\n Content-Length: 30\nHost: h\n\n",
            &[],
            Error::ObsFold,
        ),
        served(
            "length.lookalike",
            "0.CL: an underscore makes it another field",
            &post("Content_Length: 30\n", EVIL),
            &["POST /", "GET /evil"],
        ),
        // TE.0: one side ignores the coding.
        served(
            "coding.chunked",
            "TE.0: chunks on a GET are its body",
            &format!("{}{}", get("Transfer-Encoding: chunked\n"), in_a_chunk()),
            &["GET / GET /evil HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"],
        ),
        served(
            "coding.chunked",
            "TE.0: chunks on an OPTIONS are its body",
            &format!("OPTIONS / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n{}", in_a_chunk()),
            &["OPTIONS / GET /evil HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"],
        ),
        refused(
            "coding.old",
            "TE.0: on HTTP/1.0",
            &format!("POST / HTTP/1.0\nHost: h\nTransfer-Encoding: chunked\n\n{}", in_a_chunk()),
            &[],
            Error::CodingOnHttp10,
        ),
        // Expect.
        served(
            "expect.continue",
            "the body behind Expect is a body",
            &post(
                &format!(
                    "Content-Length: {}\nExpect: 100-continue\n",
                    crate::row::wire(EVIL).len()
                ),
                EVIL,
            ),
            &["POST / GET /evil HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"],
        )
        .interim(),
        served(
            "expect.continue",
            "a GET, Expect and a body",
            &format!(
                "{}{EVIL}",
                get(&format!(
                    "Expect: 100-continue\nContent-Length: {}\n",
                    crate::row::wire(EVIL).len()
                ))
            ),
            &["GET / GET /evil HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n"],
        )
        .interim(),
        refused(
            "expect.unknown",
            "0.CL by an Expect that the front takes for another",
            &post("Expect: y 100-continue\nContent-Length: 30\n", EVIL),
            &[],
            Error::Expectation,
        ),
        refused(
            "field.fold",
            "a folded Expect",
            &post("Expect:\n 100-continue\nContent-Length: 30\n", EVIL),
            &[],
            Error::ObsFold,
        ),
        refused(
            "expect.refused",
            "Expect with two lengths",
            &evil_body("Expect: 100-continue\nContent-Length: 5\nTransfer-Encoding: chunked\n"),
            &[],
            Error::LengthAndCoding,
        ),
        // Chunks.
        refused(
            "chunk.line-end",
            "TERM.EXT: the front ends the line at LF, the back does not",
            &post(
                "Transfer-Encoding: chunked\n",
                "1;a␊x\n26\n0\n\nGET /evil HTTP/1.1\nHost: h\n\n\n0\n\n",
            ),
            &["POST / cut"],
            Error::Chunk,
        ),
        refused(
            "chunk.line-end",
            "EXT.TERM: the back ends the line at LF, the front does not",
            &post(
                "Transfer-Encoding: chunked\n",
                "1;␊␊x\n45\n0\n\nGET /evil HTTP/1.1\nHost: h\n\n\n0\n\n",
            ),
            &["POST / cut"],
            Error::Chunk,
        ),
        refused(
            "chunk.data-end",
            "SPILL.TERM: two bytes in the place of CR LF",
            &post(
                "Transfer-Encoding: chunked\n",
                "5\nAAAAAXX2\n45\n0\n\nGET /evil HTTP/1.1\nHost: h\n\n",
            ),
            &["POST / cut"],
            Error::Chunk,
        ),
        refused(
            "chunk.data-end",
            "TERM.SPILL: an LF in the place of CR LF",
            &post(
                "Transfer-Encoding: chunked\n",
                "5\nAAAAA␊2\n45\n0\n\nGET /evil HTTP/1.1\nHost: h\n\n",
            ),
            &["POST / cut"],
            Error::Chunk,
        ),
        refused(
            "chunk.data-end",
            "ONE.TWO: one byte in the place of two",
            &post("Transfer-Encoding: chunked\n", "5\nAAAAA␍5\n\n0\n\n"),
            &["POST / cut"],
            Error::Chunk,
        ),
        refused(
            "chunk.line-end",
            "CR alone behind the size",
            &post("Transfer-Encoding: chunked\n", "2␍xx\n0\n\n"),
            &["POST / cut"],
            Error::Chunk,
        ),
        refused(
            "chunk.overflow",
            "a size that wraps to nought",
            &post("Transfer-Encoding: chunked\n", &format!("10000000000000000\n\n{EVIL}")),
            &["POST / cut"],
            Error::Chunk,
        ),
        refused(
            "chunk.digits",
            "a size that some read as hexadecimal with a prefix",
            &post("Transfer-Encoding: chunked\n", &format!("0x1e\n{EVIL}\n0\n\n")),
            &["POST / cut"],
            Error::Chunk,
        ),
        refused(
            "chunk.digits",
            "a size that ends at a byte that is no digit",
            &post("Transfer-Encoding: chunked\n", &format!("0_2e\n\n{EVIL}")),
            &["POST / cut"],
            Error::Chunk,
        ),
        refused(
            "chunk.trailer",
            "a request in the trailers",
            &post("Transfer-Encoding: chunked\n", &format!("0\n{EVIL}")),
            &["POST / cut"],
            Error::Chunk,
        ),
        served(
            "chunk.trailer",
            "a length in the trailers",
            &post("Transfer-Encoding: chunked\n", &format!("0\nContent-Length: 30\n\n{EVIL}")),
            &["POST /", "GET /evil"],
        ),
        waits(
            "chunk.trailer",
            "an end that does not come",
            &post("Transfer-Encoding: chunked\n", "0\nA: b\n"),
            &["POST / cut"],
        ),
        // Hosts and targets: who is asked is a question of who reads.
        refused(
            "host.repeated",
            "the front takes the first, the back the last",
            "GET / HTTP/1.1\nHost: front\nHost: back\n\n",
            &[],
            Error::HostRepeated,
        ),
        refused(
            "host.invalid",
            "a Host with a path",
            "GET / HTTP/1.1\nHost: front/evil\n\n",
            &[],
            Error::HostInvalid,
        ),
        refused(
            "host.invalid",
            "a Host with user information",
            "GET / HTTP/1.1\nHost: front@back\n\n",
            &[],
            Error::HostInvalid,
        ),
        refused(
            "field.space",
            "a Host with a space before its colon",
            "GET / HTTP/1.1\nHost: front\nHost : back\n\n",
            &[],
            Error::SpaceBeforeColon,
        ),
        refused(
            "field.fold",
            "a Host that begins with a space",
            "GET / HTTP/1.1\nHost: front\n Host: back\n\n",
            &[],
            Error::ObsFold,
        ),
        served(
            "target.authority-wins",
            "the URI and Host differ",
            "GET http://front/ HTTP/1.1\nHost: back\n\n",
            &["GET / [front]"],
        ),
        refused(
            "target.authority-valid",
            "user information in a URI",
            "GET http://front@back/ HTTP/1.1\nHost: front\n\n",
            &[],
            Error::Target,
        ),
        // Upgrades that fail.
        denied(
            "upgrade.version",
            "a tunnel that the front believes in",
            &format!(
                "GET /ws HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 99\n\n{EVIL}"
            ),
            oneport::ws::handshake::Refusal::Version,
        ),
        served(
            "upgrade.ignored",
            "h2c: a tunnel that the front believes in",
            &format!(
                "{}{EVIL}",
                get("Upgrade: h2c\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: AA\n")
            ),
            &["GET /", "GET /evil"],
        ),
        // The end of a connection.
        ended(
            "pipeline.close",
            "what stands behind close is not read",
            &format!("{}{EVIL}", get("Connection: close\n")),
            &["GET /"],
        ),
        ended(
            "pipeline.close",
            "what stands behind an HTTP/1.0 request is not read",
            &format!("GET / HTTP/1.0\n\n{EVIL}"),
            &["GET / [no host]"],
        ),
    ];
    // TE.TE: a coding that one of the two does not see.
    for (name, lines, error) in [
        ("an x before", "Transfer-Encoding: xchunked\n", Error::ChunkedNotFinal),
        ("a space before the colon", "Transfer-Encoding : chunked\n", Error::SpaceBeforeColon),
        (
            "a tab before the value and one behind",
            "Transfer-Encoding:\tchunked\t\nTransfer-Encoding: x\n",
            Error::ChunkedNotFinal,
        ),
        (
            "two lines, the second unknown",
            "Transfer-Encoding: chunked\nTransfer-Encoding: cow\n",
            Error::ChunkedNotFinal,
        ),
        (
            "two lines, the first unknown",
            "Transfer-Encoding: cow\nTransfer-Encoding: chunked\n",
            Error::CodingUnknown,
        ),
        ("a line that begins with a space", "X: y\n Transfer-Encoding: chunked\n", Error::ObsFold),
        ("an LF in another value", "X: y␊Transfer-Encoding: chunked\n", Error::BareLf),
        ("a CR in another value", "X: y␍Transfer-Encoding: chunked\n", Error::BareCr),
        ("a folded value", "Transfer-Encoding:\n chunked\n", Error::ObsFold),
        ("a folded value, by a tab", "Transfer-Encoding:\n\tchunked\n", Error::ObsFold),
        ("a vertical tab", "Transfer-Encoding:\u{b}chunked\n", Error::FieldValue),
        ("a form feed behind", "Transfer-Encoding: chunked\u{c}\n", Error::FieldValue),
        ("NUL behind", "Transfer-Encoding: chunked\0\n", Error::FieldValue),
        ("a comma behind", "Transfer-Encoding: chunked,\n", Error::ChunkedNotFinal),
        ("identity behind", "Transfer-Encoding: chunked, identity\n", Error::ChunkedNotFinal),
        ("identity before", "Transfer-Encoding: identity, chunked\n", Error::CodingUnknown),
        ("quotes", "Transfer-Encoding: \"chunked\"\n", Error::ChunkedNotFinal),
        ("a NUL in the name", "Transfer\0-Encoding: chunked\n", Error::FieldName),
        ("a next line in the value", "X: y\u{85}Transfer-Encoding: chunked\n", Error::FieldValue),
        ("a letter that folds to k", "Transfer-Encoding: chun\u{212a}ed\n", Error::ChunkedNotFinal),
        ("a space at the beginning of the name", " Transfer-Encoding: chunked\n", Error::ObsFold),
        ("a name in brackets", "[Transfer-Encoding]: chunked\n", Error::FieldName),
        ("a colon twice", "Transfer-Encoding:: chunked\n", Error::ChunkedNotFinal),
    ] {
        let decision = match error {
            Error::CodingUnknown => "coding.unknown",
            Error::SpaceBeforeColon => "field.space",
            Error::ObsFold => "field.fold",
            Error::BareLf => "field.lf",
            Error::BareCr => "field.cr",
            Error::FieldValue if lines.starts_with("X") => "field.next-line",
            Error::FieldValue => "coding.control",
            Error::FieldName => "field.name",
            _ if lines.contains(",\n") => "coding.empty",
            _ => "coding.last",
        };
        let name = format!("TE.TE: {name}");
        rows.push(refused(decision, &name, &evil_body(lines), &[], error));
    }
    rows
}
