//! Transfer-Encoding (RFC 9112 §6.1, §6.3).

use oneport::http::Error;

use crate::row::{Row, get, post, refused, served, waits};

const HELLO: &str = "5\nHello\n0\n\n";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        served(
            "coding.chunked",
            "as it is",
            &post("Transfer-Encoding: chunked\n", HELLO),
            &["POST / Hello"],
        ),
        served(
            "coding.chunked",
            "any case",
            &post("transfer-ENCODING: ChUnKeD\n", HELLO),
            &["POST / Hello"],
        ),
        served(
            "coding.chunked",
            "white space around",
            &post("Transfer-Encoding:\tchunked \t\n", HELLO),
            &["POST / Hello"],
        ),
        served(
            "coding.chunked",
            "no white space",
            &post("Transfer-Encoding:chunked\n", HELLO),
            &["POST / Hello"],
        ),
        served(
            "coding.chunked",
            "a GET",
            &get("Transfer-Encoding: chunked\n").replace("\n\n", "\n\n0\n\n"),
            &["GET /"],
        ),
        served(
            "coding.chunked",
            "a HEAD",
            "HEAD / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n",
            &["HEAD / x"],
        ),
        waits(
            "coding.chunked",
            "the body is missing",
            &post("Transfer-Encoding: chunked\n", ""),
            &["POST / cut"],
        ),
        // Both, in any order and with any length.
        refused(
            "coding.and-length",
            "the length first",
            &post("Content-Length: 10\nTransfer-Encoding: chunked\n", HELLO),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "the coding first",
            &post("Transfer-Encoding: chunked\nContent-Length: 10\n", HELLO),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "a length of nought",
            &post("Content-Length: 0\nTransfer-Encoding: chunked\n", HELLO),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "others between",
            &post("Content-Length: 3\nX: y\nTransfer-Encoding: chunked\n", "0\n\n"),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "an unknown coding",
            &post("Content-Length: 3\nTransfer-Encoding: gzip\n", "abc"),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "identity",
            &post("Content-Length: 3\nTransfer-Encoding: identity\n", "abc"),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "a GET",
            &get("Content-Length: 0\nTransfer-Encoding: chunked\n"),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "coding.and-length",
            "a bad length is told first",
            &post("Content-Length: x\nTransfer-Encoding: chunked\n", "0\n\n"),
            &[],
            Error::ContentLength,
        ),
        // Chunked, but not once and last.
        refused(
            "coding.last",
            "chunked, gzip",
            &post("Transfer-Encoding: chunked, gzip\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.last",
            "chunked, identity",
            &post("Transfer-Encoding: chunked, identity\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.last",
            "two lines",
            &post("Transfer-Encoding: chunked\nTransfer-Encoding: gzip\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.last",
            "chunked, chunked;x",
            &post("Transfer-Encoding: chunked, chunked;x\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.last",
            "chunked and a lookalike",
            &post("Transfer-Encoding: chunked\nTransfer-Encoding: xchunked\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.twice",
            "in one line",
            &post("Transfer-Encoding: chunked, chunked\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.twice",
            "in two lines",
            &post("Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.twice",
            "in two lines of other case",
            &post("Transfer-Encoding: chunked\ntransfer-encoding: CHUNKED\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.twice",
            "around another",
            &post("Transfer-Encoding: chunked, gzip, chunked\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        // A list with a hole.
        refused(
            "coding.empty",
            "nothing",
            &post("Transfer-Encoding:\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.empty",
            "white space",
            &post("Transfer-Encoding: \t \n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.empty",
            "a comma",
            &post("Transfer-Encoding: ,\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.empty",
            "a comma before",
            &post("Transfer-Encoding: ,chunked\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.empty",
            "a comma behind",
            &post("Transfer-Encoding: chunked,\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.empty",
            "a comma and white space behind",
            &post("Transfer-Encoding: chunked , \n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.empty",
            "an empty line of its own before",
            &post("Transfer-Encoding:\nTransfer-Encoding: chunked\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.empty",
            "an empty line of its own behind",
            &post("Transfer-Encoding: chunked\nTransfer-Encoding:\n", HELLO),
            &[],
            Error::ChunkedNotFinal,
        ),
        refused(
            "coding.empty",
            "an empty one beside a length",
            &post("Transfer-Encoding:\nContent-Length: 5\n", "Hello"),
            &[],
            Error::ChunkedNotFinal,
        ),
        // HTTP/1.0 has no transfer codings.
        refused(
            "coding.old",
            "chunked",
            "POST / HTTP/1.0\nHost: h\nTransfer-Encoding: chunked\n\n0\n\n",
            &[],
            Error::CodingOnHttp10,
        ),
        refused(
            "coding.old",
            "with a length",
            "POST / HTTP/1.0\nHost: h\nTransfer-Encoding: chunked\nContent-Length: 5\n\nHello",
            &[],
            Error::CodingOnHttp10,
        ),
        refused(
            "coding.old",
            "that wants to persist",
            "POST / HTTP/1.0\nHost: h\nConnection: keep-alive\nTransfer-Encoding: chunked\n\n0\n\n",
            &[],
            Error::CodingOnHttp10,
        ),
        refused(
            "coding.old",
            "identity",
            "GET / HTTP/1.0\nTransfer-Encoding: identity\n\n",
            &[],
            Error::CodingOnHttp10,
        ),
        refused(
            "coding.old",
            "gzip, chunked",
            "GET / HTTP/1.0\nTransfer-Encoding: gzip, chunked\n\n",
            &[],
            Error::CodingOnHttp10,
        ),
        // Names that only look like it mean nothing.
        served(
            "coding.lookalike",
            "an underscore",
            &post("Transfer_Encoding: chunked\n", ""),
            &["POST /"],
        ),
        served(
            "coding.lookalike",
            "another name",
            &post("X-Transfer-Encoding: chunked\n", ""),
            &["POST /"],
        ),
        served(
            "coding.lookalike",
            "no hyphen",
            &post("TransferEncoding: chunked\n", ""),
            &["POST /"],
        ),
        served(
            "coding.lookalike",
            "an underscore and a length",
            &post("Transfer_Encoding: chunked\nContent-Length: 5\n", "Hello"),
            &["POST / Hello"],
        ),
        served(
            "coding.lookalike",
            "in a value",
            &post("X: y Transfer-Encoding: chunked\n", ""),
            &["POST /"],
        ),
        served(
            "coding.lookalike",
            "Content-Encoding is no framing",
            &post("Content-Encoding: chunked\nContent-Length: 5\n", "Hello"),
            &["POST / Hello"],
        ),
        served(
            "coding.lookalike",
            "TE is no framing",
            &post("TE: chunked\nContent-Length: 5\n", "Hello"),
            &["POST / Hello"],
        ),
    ];
    for (name, value) in [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("compress", "compress"),
        ("identity", "identity"),
        ("gzip, chunked", "gzip, chunked"),
        ("identity, chunked", "identity, chunked"),
        ("cow", "cow"),
        ("cow, chunked", "cow, chunked"),
        ("an x before", "xchunked"),
        ("an x behind", "chunkedx"),
        ("one letter less", "chunke"),
        ("quotes", "\"chunked\""),
        ("apostrophes", "'chunked'"),
        ("a parameter", "chunked;q=1"),
        ("an empty parameter", "chunked;"),
        ("a semicolon before", ";chunked"),
        ("two words", "chunked chunked"),
        ("a word before, no comma", "gzip chunked"),
        ("a word behind, no comma", "chunked gzip"),
        ("a colon before", ": chunked"),
        ("brackets", "[chunked]"),
        ("a Kelvin sign for k", "chun\u{212a}ed"),
        ("a no-break space before", "\u{a0}chunked"),
        ("a no-break space behind", "chunked\u{a0}"),
        ("a byte of 0xff behind", "chunked\u{ff}"),
        ("a tab inside", "chun\tked"),
        ("a space inside", "chun ked"),
    ] {
        // Is the last one chunked? Then we know where the body ends, but not what it says.
        let (decision, error) = if value.ends_with(", chunked") {
            ("coding.unknown", Error::CodingUnknown)
        } else {
            ("coding.last", Error::ChunkedNotFinal)
        };
        let request = post(&format!("Transfer-Encoding: {value}\n"), HELLO);
        rows.push(refused(decision, name, &request, &[], error));
    }
    for (name, value) in [
        ("a vertical tab before", "\u{b}chunked"),
        ("a vertical tab behind", "chunked\u{b}"),
        ("a form feed before", "\u{c}chunked"),
        ("NUL behind", "chunked\0"),
        ("NUL before", "\0chunked"),
        ("DEL behind", "chunked\u{7f}"),
        ("a next line before", "\u{85}chunked"),
        ("a next line behind", "chunked\u{85}"),
        ("a backspace behind", "chunkedx\u{8}"),
        ("an escape behind", "chunked\u{1b}"),
    ] {
        rows.push(refused(
            "coding.control",
            name,
            &post(&format!("Transfer-Encoding: {value}\n"), HELLO),
            &[],
            Error::FieldValue,
        ));
    }
    rows
}
