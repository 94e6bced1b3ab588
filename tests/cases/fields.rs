//! Field lines (RFC 9112 §5, RFC 9110 §5).

use oneport::bytes::ascii::is_tchar;
use oneport::http::Error;

use crate::row::{Row, get, post, refused, served, waits};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        served("field.form", "as it is", &get("A: b\n"), &["GET /"]),
        served("field.form", "an empty value", &get("A:\n"), &["GET /"]),
        served("field.form", "a value of white space", &get("A: \t \n"), &["GET /"]),
        served("field.form", "no white space", &get("A:b\n"), &["GET /"]),
        served(
            "field.form",
            "much white space",
            &get(&format!("A:{}b{}\n", " ".repeat(100), "\t".repeat(100))),
            &["GET /"],
        ),
        served("field.form", "colons in a value", &get("A: :b::c:\n"), &["GET /"]),
        served("field.form", "every tchar", &get("!#$%&'*+-.^_`|~09azAZ: b\n"), &["GET /"]),
        served("field.form", "the same name many times", &get("A: 1\nA: 2\na: 3\n"), &["GET /"]),
        served("field.form", "a tab inside a value", &get("A: b\tc\n"), &["GET /"]),
        served(
            "field.form",
            "bytes of 0x80 and above",
            &get("A: \u{e4}\u{ff}\u{80}\n"),
            &["GET /"],
        ),
        served("field.form", "UTF-8", &get("A: \u{201c}\u{1f600}\u{201d}\n"), &["GET /"]),
        waits("field.form", "no end of the line", "GET / HTTP/1.1\nHost: h\nA: b", &[]),
        waits("field.form", "half an end of the line", "GET / HTTP/1.1\nHost: h\nA: b␍", &[]),
        waits("field.form", "no empty line", "GET / HTTP/1.1\nHost: h\nA: b\n", &[]),
        waits("field.form", "half an empty line", "GET / HTTP/1.1\nHost: h\nA: b\n␍", &[]),
        refused("field.form", "no colon", &get("abc\n"), &[], Error::FieldName),
        refused("field.form", "no name", &get(": b\n"), &[], Error::FieldName),
        refused(
            "field.form",
            "a request in its place",
            &get("GET /evil HTTP/1.1\n"),
            &[],
            Error::FieldName,
        ),
        refused(
            "field.form",
            "a refused HEAD has no body",
            "HEAD / HTTP/1.1\nHost: h\nabc\n\n",
            &[],
            Error::FieldName,
        )
        .head(),
        refused(
            "field.form",
            "behind a HEAD",
            "HEAD / HTTP/1.1\nHost: h\n\nGET / HTTP/1.1\nabc\n\n",
            &["HEAD /"],
            Error::FieldName,
        ),
        // White space around names.
        refused("field.space", "before the colon", &get("A : b\n"), &[], Error::SpaceBeforeColon),
        refused(
            "field.space",
            "a tab before the colon",
            &get("A\t: b\n"),
            &[],
            Error::SpaceBeforeColon,
        ),
        refused(
            "field.space",
            "much before the colon",
            &get("A \t  : b\n"),
            &[],
            Error::SpaceBeforeColon,
        ),
        refused(
            "field.space",
            "before the colon of a length",
            &post("Content-Length : 5\n", "Hello"),
            &[],
            Error::SpaceBeforeColon,
        ),
        refused(
            "field.space",
            "before the colon of a coding",
            &post("Transfer-Encoding : chunked\n", "0\n\n"),
            &[],
            Error::SpaceBeforeColon,
        ),
        refused(
            "field.space",
            "before the colon of a second coding",
            &post("Content-Length: 3\nTransfer-Encoding\t: chunked\n", "0\n\n"),
            &[],
            Error::SpaceBeforeColon,
        ),
        refused(
            "field.space",
            "before the colon of Host",
            "GET / HTTP/1.1\nHost : h\n\n",
            &[],
            Error::SpaceBeforeColon,
        ),
        refused(
            "field.space",
            "on HTTP/1.0",
            "GET / HTTP/1.0\nA : b\n\n",
            &[],
            Error::SpaceBeforeColon,
        ),
        refused("field.space", "inside a name", &get("A B: c\n"), &[], Error::FieldName),
        refused(
            "field.space",
            "inside the name of a length",
            &post("Content Length: 5\n", "Hello"),
            &[],
            Error::FieldName,
        ),
        refused(
            "field.space",
            "a no-break space before the colon",
            &get("A\u{a0}: b\n"),
            &[],
            Error::FieldName,
        ),
        // Folding.
        refused("field.fold", "a space", &get("A: b\n c\n"), &[], Error::ObsFold),
        refused("field.fold", "a tab", &get("A: b\n\tc\n"), &[], Error::ObsFold),
        refused(
            "field.fold",
            "of a length",
            &post("Content-Length:\n 5\n", "Hello"),
            &[],
            Error::ObsFold,
        ),
        refused(
            "field.fold",
            "that hides a length",
            &post("A: b\n Content-Length: 5\n", "Hello"),
            &[],
            Error::ObsFold,
        ),
        refused(
            "field.fold",
            "that hides a coding",
            &post("A: b\n\tTransfer-Encoding: chunked\n", "0\n\n"),
            &[],
            Error::ObsFold,
        ),
        refused(
            "field.fold",
            "of a coding",
            &post("Transfer-Encoding:\n chunked\n", "0\n\n"),
            &[],
            Error::ObsFold,
        ),
        refused(
            "field.fold",
            "of a coding, in the middle",
            &post("Transfer-Encoding: chu\n nked\n", "0\n\n"),
            &[],
            Error::ObsFold,
        ),
        refused(
            "field.fold",
            "behind the request line",
            "GET / HTTP/1.1\n Host: h\n\n",
            &[],
            Error::ObsFold,
        ),
        refused(
            "field.fold",
            "a name with a space before, behind the request line",
            "GET / HTTP/1.1\n\tContent-Length: 5\nHost: h\n\nHello",
            &[],
            Error::ObsFold,
        ),
        refused("field.fold", "white space only", &get("A: b\n \n"), &[], Error::ObsFold),
        refused(
            "field.fold",
            "white space in the place of the empty line",
            "GET / HTTP/1.1\nHost: h\n \n\n",
            &[],
            Error::ObsFold,
        ),
        // Ends of lines.
        refused("field.lf", "behind a value", &get("A: b␊B: c\n"), &[], Error::BareLf),
        refused(
            "field.lf",
            "that hides a length",
            &post("A: b␊Content-Length: 5\n", "Hello"),
            &[],
            Error::BareLf,
        ),
        refused(
            "field.lf",
            "that hides a coding",
            &post("A: b␊Transfer-Encoding: chunked\n", "0\n\n"),
            &[],
            Error::BareLf,
        ),
        refused("field.lf", "behind an empty value", &get("A:␊\n"), &[], Error::BareLf),
        refused("field.lf", "as the empty line", "GET / HTTP/1.1\nHost: h\n␊", &[], Error::BareLf),
        refused("field.lf", "two of them", "GET / HTTP/1.1\nHost: h␊␊", &[], Error::BareLf),
        refused("field.lf", "LF CR", &get("A: b␊␍B: c\n"), &[], Error::BareLf),
        refused("field.lf", "inside a name", &get("A␊B: c\n"), &[], Error::FieldName),
        refused("field.lf", "before the colon", &get("A␊: c\n"), &[], Error::FieldName),
        refused("field.cr", "inside a value", &get("A: b␍c\n"), &[], Error::BareCr),
        refused("field.cr", "behind a value", &get("A: b␍B: c\n"), &[], Error::BareCr),
        refused(
            "field.cr",
            "that hides a length",
            &post("A: b␍Content-Length: 5\n", "Hello"),
            &[],
            Error::BareCr,
        ),
        refused(
            "field.cr",
            "that hides a coding",
            &post("A: b␍Transfer-Encoding: chunked\n", "0\n\n"),
            &[],
            Error::BareCr,
        ),
        refused("field.cr", "before CR LF", &get("A: b␍\nB: c\n"), &[], Error::BareCr),
        refused("field.cr", "in an empty value", &get("A:␍b\n"), &[], Error::BareCr),
        refused("field.cr", "before a value", &get("A: ␍b\n"), &[], Error::BareCr),
        refused(
            "field.cr",
            "in the place of the empty line",
            "GET / HTTP/1.1\nHost: h\n␍␍\n",
            &[],
            Error::BareCr,
        ),
        refused("field.cr", "before a name", &get("␍A: b\n"), &[], Error::BareCr),
        refused("field.cr", "inside a name", &get("A␍B: c\n"), &[], Error::FieldName),
        refused("field.cr", "before the colon", &get("A␍: c\n"), &[], Error::FieldName),
        refused(
            "field.cr",
            "in a coding",
            &post("Transfer-Encoding: ␍chunked\n", "0\n\n"),
            &[],
            Error::BareCr,
        ),
        refused(
            "field.cr",
            "in a length",
            &post("Content-Length: 5␍5\n", "Hello"),
            &[],
            Error::BareCr,
        ),
        // The next line byte.
        refused("field.next-line", "alone", &get("A: b\u{85}c\n"), &[], Error::FieldValue),
        refused("field.next-line", "as UTF-8", &get("A: b\u{c2}\u{85}c\n"), &[], Error::FieldValue),
        refused(
            "field.next-line",
            "that hides a length",
            &post("A: b\u{85}Content-Length: 5\n", "Hello"),
            &[],
            Error::FieldValue,
        ),
        refused("field.next-line", "in a name", &get("A\u{85}: b\n"), &[], Error::FieldName),
        served(
            "field.next-line",
            "as a part of a character",
            &get("A: \u{c3}\u{85}\n"),
            &["GET /"],
        ),
        served(
            "field.next-line",
            "LINE SEPARATOR is three harmless bytes",
            &get("A: b\u{2028}c\n"),
            &["GET /"],
        ),
        // Limits.
        served(
            "field.limit",
            "as many fields as are allowed",
            &get(&"A: b\n".repeat(19)),
            &["GET /"],
        ),
        refused(
            "field.limit",
            "one field more",
            &get(&"A: b\n".repeat(20)),
            &[],
            Error::TooManyFields,
        ),
        served(
            "field.limit",
            "a large head",
            &get(&format!("A: {}\n", "b".repeat(1900))),
            &["GET /"],
        ),
        refused(
            "field.limit",
            "a head that is too large",
            &get(&format!("A: {}\n", "b".repeat(2100))),
            &[],
            Error::HeadTooLarge,
        ),
        refused(
            "field.limit",
            "a name that is too long",
            &get(&format!("{}: b\n", "A".repeat(2100))),
            &[],
            Error::HeadTooLarge,
        ),
        refused(
            "field.limit",
            "a name without an end",
            &get(&"A".repeat(2100)),
            &[],
            Error::HeadTooLarge,
        ),
        refused(
            "field.limit",
            "white space without an end",
            &get(&format!("A:{}", " ".repeat(2100))),
            &[],
            Error::HeadTooLarge,
        ),
        // A length in an underscore's clothes is another field: see length.lookalike.
        served(
            "field.underscore",
            "is a byte of a name like others",
            &get("X_Forwarded_For: 1\n"),
            &["GET /"],
        ),
        served("field.underscore", "beside its twin", &get("X-A: 1\nX_A: 2\n"), &["GET /"]),
    ];
    // Every byte that may not stand in a name.
    for byte in 0..=255u8 {
        // A colon ends a name; CR, LF and white space have rows of their own.
        if is_tchar(byte) || matches!(byte, b':' | b'\r' | b'\n' | b' ' | b'\t') {
            continue;
        }
        let name = format!("byte {byte:#04x} in a name");
        let input = get(&format!("A{}B: c\n", char::from(byte)));
        rows.push(refused("field.name", &name, &input, &[], Error::FieldName).family());
    }
    for byte in *b"\0\x0b\x0c\x1f\"/()\x7f\x80\xff" {
        let name = format!("byte {byte:#04x} before a name");
        let input = post(&format!("{}Content-Length: 5\n", char::from(byte)), "Hello");
        rows.push(refused("field.name", &name, &input, &[], Error::FieldName).family());
        let name = format!("byte {byte:#04x} behind a name");
        let input = post(&format!("Transfer-Encoding{}: chunked\n", char::from(byte)), "0\n\n");
        rows.push(refused("field.name", &name, &input, &[], Error::FieldName).family());
    }
    // Every control byte in a value.
    for byte in (0..0x20u8).chain([0x7f]) {
        if matches!(byte, b'\t' | b'\r' | b'\n') {
            continue;
        }
        for (place, value) in [("inside", "b?c"), ("before", "?b"), ("behind", "b?")] {
            let name = format!("byte {byte:#04x} {place} a value");
            let value = value.replace('?', &char::from(byte).to_string());
            let input = get(&format!("A: {value}\n"));
            rows.push(refused("field.value", &name, &input, &[], Error::FieldValue).family());
        }
    }
    rows
}
