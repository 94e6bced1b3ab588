//! Request lines (RFC 9112 §3), versions (§2.3), and what is no HTTP at all.

use oneport::bytes::ascii::is_tchar;
use oneport::http::Error;

use crate::row::{Row, get, post, refused, served, waits};

/// A request with this first line.
fn first(line: &str) -> String {
    format!("{line}\nHost: h\n\n")
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        served("line.form", "as it is", &first("GET / HTTP/1.1"), &["GET /"]),
        served(
            "line.form",
            "a method of one's own",
            &first("M-SEARCH / HTTP/1.1"),
            &["M-SEARCH /"],
        ),
        served(
            "line.form",
            "a method of every tchar",
            &first("!#$%&'*+-.^_`|~09AZ / HTTP/1.1"),
            &["!#$%&'*+-.^_`|~09AZ /"],
        ),
        served(
            "line.form",
            "a long method",
            &first(&format!("{} / HTTP/1.1", "M".repeat(100))),
            &[&format!("{} /", "M".repeat(100))],
        ),
        waits("line.form", "nothing", "", &[]),
        waits("line.form", "half a method", "GE", &[]),
        waits("line.form", "no version", "GET /", &[]),
        waits("line.form", "half a version", "GET / HTTP/1", &[]),
        waits("line.form", "no end", "GET / HTTP/1.1", &[]),
        waits("line.form", "half an end", "GET / HTTP/1.1␍", &[]),
        waits("line.form", "no fields", "GET / HTTP/1.1\n", &[]),
        refused("line.form", "a method only", &first("GET"), &[], Error::RequestLine),
        refused("line.form", "no target", &first("GET HTTP/1.1"), &[], Error::RequestLine),
        refused("line.form", "an empty target", &first("GET  HTTP/1.1"), &[], Error::RequestLine),
        refused("line.form", "no method", &first(" / HTTP/1.1"), &[], Error::RequestLine),
        refused(
            "line.form",
            "something behind the version",
            &first("GET / HTTP/1.1 x"),
            &[],
            Error::RequestLine,
        ),
        refused("line.form", "a status line", "HTTP/1.1 200 OK\n\n", &[], Error::RequestLine),
        refused(
            "line.space",
            "two behind the method",
            &first("GET  / HTTP/1.1"),
            &[],
            Error::RequestLine,
        ),
        refused(
            "line.space",
            "two before the version",
            &first("GET /  HTTP/1.1"),
            &[],
            Error::RequestLine,
        ),
        refused(
            "line.space",
            "one behind the version",
            &first("GET / HTTP/1.1 "),
            &[],
            Error::RequestLine,
        ),
        refused(
            "line.space",
            "one before the method",
            &first(" GET / HTTP/1.1"),
            &[],
            Error::RequestLine,
        ),
        refused(
            "line.space",
            "a tab behind the method",
            &first("GET\t/ HTTP/1.1"),
            &[],
            Error::RequestLine,
        ),
        refused(
            "line.space",
            "a tab before the version",
            &first("GET /\tHTTP/1.1"),
            &[],
            Error::RequestLine,
        ),
        refused(
            "line.space",
            "a tab behind the version",
            &first("GET / HTTP/1.1\t"),
            &[],
            Error::Version,
        ),
        refused(
            "line.space",
            "a vertical tab",
            &first("GET\u{b}/ HTTP/1.1"),
            &[],
            Error::RequestLine,
        ),
        refused("line.space", "a form feed", &first("GET /\u{c}HTTP/1.1"), &[], Error::RequestLine),
        refused("line.space", "in a target", &first("GET /a b HTTP/1.1"), &[], Error::RequestLine),
        refused(
            "line.space",
            "in a target that ends like a version",
            &first("GET /a HTTP/1.1 HTTP/1.1"),
            &[],
            Error::RequestLine,
        ),
        refused(
            "line.space",
            "a CR in its place",
            &first("GET␍/ HTTP/1.1"),
            &[],
            Error::RequestLine,
        ),
        refused(
            "line.space",
            "a no-break space",
            &first("GET\u{a0}/ HTTP/1.1"),
            &[],
            Error::RequestLine,
        ),
        refused("line.lf", "at the end", "GET / HTTP/1.1␊Host: h\n\n", &[], Error::BareLf),
        refused("line.lf", "at all ends", "GET / HTTP/1.1␊Host: h␊␊", &[], Error::BareLf),
        refused("line.lf", "behind the target", "GET /␊Host: h\n\n", &[], Error::RequestLine),
        refused(
            "line.lf",
            "behind the method",
            "GET␊/ HTTP/1.1\nHost: h\n\n",
            &[],
            Error::RequestLine,
        ),
        refused("line.cr", "at the end", "GET / HTTP/1.1␍Host: h\n\n", &[], Error::BareCr),
        refused("line.cr", "before CR LF", "GET / HTTP/1.1␍\nHost: h\n\n", &[], Error::BareCr),
        refused("line.cr", "in the target", &first("GET /a␍b HTTP/1.1"), &[], Error::RequestLine),
        refused("line.cr", "in the version", &first("GET / HTTP/␍1.1"), &[], Error::BareCr),
        served("line.empty-before", "one empty line", &format!("\n{}", get("")), &["GET /"]),
        served(
            "line.empty-before",
            "one between two requests",
            &format!("{}\n{}", get(""), get("")),
            &["GET /", "GET /"],
        ),
        served(
            "line.empty-before",
            "one behind a body",
            &format!("{}\n{}", post("Content-Length: 2\n", "hi"), get("")),
            &["POST / hi", "GET /"],
        ),
        waits("line.empty-before", "and nothing behind it", "\n", &[]),
        refused("line.empty-before", "two", &format!("\n\n{}", get("")), &[], Error::RequestLine),
        refused(
            "line.empty-before",
            "two between two requests",
            &format!("{}\n\n{}", get(""), get("")),
            &["GET /"],
            Error::RequestLine,
        ),
        refused("line.empty-before", "an LF", &format!("␊{}", get("")), &[], Error::RequestLine),
        refused("line.empty-before", "a CR", &format!("␍{}", get("")), &[], Error::BareCr),
        refused(
            "line.empty-before",
            "a CR too much",
            &format!("␍\n{}", get("")),
            &[],
            Error::BareCr,
        ),
        refused(
            "line.empty-before",
            "a space",
            &format!(" \n{}", get("")),
            &[],
            Error::RequestLine,
        ),
        refused("line.empty-before", "NUL", &format!("\0{}", get("")), &[], Error::RequestLine),
        refused(
            "line.empty-before",
            "a byte order mark",
            &format!("\u{ef}\u{bb}\u{bf}{}", get("")),
            &[],
            Error::RequestLine,
        ),
        refused(
            "line.limit",
            "a target that is too long",
            &first(&format!("GET /{} HTTP/1.1", "a".repeat(2100))),
            &[],
            Error::TargetTooLong,
        ),
        refused(
            "line.limit",
            "a target without an end",
            &format!("GET /{}", "a".repeat(2100)),
            &[],
            Error::TargetTooLong,
        ),
        refused(
            "line.limit",
            "a method without an end",
            &"A".repeat(2100),
            &[],
            Error::TargetTooLong,
        ),
        served(
            "line.limit",
            "a long target",
            &first(&format!("GET /{} HTTP/1.1", "a".repeat(1900))),
            &[&format!("GET /{}", "a".repeat(1900))],
        ),
        // A method is what was sent: its case decides about a body, and a target.
        refused(
            "line.method-case",
            "connect",
            &first("connect h:1 HTTP/1.1"),
            &[],
            Error::MethodCase,
        ),
        refused(
            "line.method-case",
            "options",
            &first("options * HTTP/1.1"),
            &[],
            Error::MethodCase,
        ),
        refused("line.method-case", "get", &first("get / HTTP/1.1"), &[], Error::MethodCase),
        refused("line.method-case", "Post", &first("Post / HTTP/1.1"), &[], Error::MethodCase),
        served("line.method-case", "of an unknown one", &first("purge / HTTP/1.1"), &["PURGE /"]),
        // Versions.
        served("version.minor", "1.2", &first("GET / HTTP/1.2"), &["GET /"]),
        served("version.minor", "1.9", &first("GET / HTTP/1.9"), &["GET /"]),
        refused("version.major", "0.9", &first("GET / HTTP/0.9"), &[], Error::VersionNotSupported),
        refused("version.major", "0.0", &first("GET / HTTP/0.0"), &[], Error::VersionNotSupported),
        refused("version.major", "2.0", &first("GET / HTTP/2.0"), &[], Error::VersionNotSupported),
        refused("version.major", "3.0", &first("GET / HTTP/3.0"), &[], Error::VersionNotSupported),
        refused("version.major", "9.9", &first("GET / HTTP/9.9"), &[], Error::VersionNotSupported),
        refused(
            "version.major",
            "with a body that is a request",
            &format!("GET / HTTP/2.0\nContent-Length: 0\n\n{}", get("")),
            &[],
            Error::VersionNotSupported,
        ),
        refused("version.none", "HTTP/0.9 has no version", "GET /\n", &[], Error::RequestLine),
        refused("version.none", "a space in its place", "GET / \n", &[], Error::Version),
    ];
    for (name, version) in [
        ("small letters", "http/1.1"),
        ("mixed letters", "Http/1.1"),
        ("two digits", "HTTP/1.10"),
        ("two digits before", "HTTP/11.1"),
        ("a zero before", "HTTP/01.1"),
        ("a zero behind the point", "HTTP/1.01"),
        ("no point", "HTTP/11"),
        ("no minor number", "HTTP/1"),
        ("no minor number behind the point", "HTTP/1."),
        ("no major number", "HTTP/.1"),
        ("no numbers", "HTTP/"),
        ("no slash", "HTTP1.1"),
        ("a comma", "HTTP/1,1"),
        ("a letter", "HTTP/1.x"),
        ("a plus", "HTTP/+1.1"),
        ("a minus", "HTTP/1.-1"),
        ("another name", "HTTPS/1.1"),
        ("a name that is too short", "HTT/1.1"),
        ("another protocol", "ICY/1.0"),
        ("RTSP", "RTSP/1.0"),
        ("a full-width digit", "HTTP/\u{ff11}.1"),
        ("NUL behind", "HTTP/1.1\0"),
        ("NUL before", "\0HTTP/1.1"),
        ("a semicolon", "HTTP/1.1;"),
        ("nothing", ""),
    ] {
        let input = first(&format!("GET /v {version}"));
        rows.push(refused("version.form", name, &input, &[], Error::Version));
    }
    // Every byte that may not stand in a method. 0x16 at the very beginning is TLS.
    for byte in 0..=255u8 {
        if is_tchar(byte) || matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            continue;
        }
        let name = format!("byte {byte:#04x}");
        let input = first(&format!("GE{}T / HTTP/1.1", char::from(byte)));
        rows.push(refused("line.method", &name, &input, &[], Error::RequestLine).family());
    }
    rows.extend(other_protocols());
    rows
}

/// What comes to a port of plain HTTP by mistake, or to find out what is there.
fn other_protocols() -> Vec<Row> {
    let hello = "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}";
    vec![
        refused("other.tls", "a ClientHello", hello, &[], Error::TlsOnPlainPort),
        refused("other.tls", "its first byte", "\u{16}", &[], Error::TlsOnPlainPort),
        refused(
            "other.tls",
            "with a request in it",
            &format!("{hello}\n\n{}", get("X: y\n")),
            &[],
            Error::TlsOnPlainPort,
        ),
        refused(
            "other.tls",
            "behind a request",
            &format!("{}{hello}", get("")),
            &["GET /"],
            Error::TlsOnPlainPort,
        ),
        refused(
            "other.tls",
            "behind an empty line",
            &format!("\n{hello}"),
            &[],
            Error::TlsOnPlainPort,
        ),
        refused(
            "other.tls",
            "an alert is no handshake, but no line either",
            "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{46}\n",
            &[],
            Error::RequestLine,
        ),
        refused(
            "other.http2",
            "the preface of RFC 9113 §3.4",
            "PRI * HTTP/2.0\n\nSM\n\n",
            &[],
            Error::VersionNotSupported,
        ),
        refused(
            "other.http2",
            "the preface and a SETTINGS frame",
            "PRI * HTTP/2.0\n\nSM\n\n\0\0\0\u{4}\0\0\0\0\0",
            &[],
            Error::VersionNotSupported,
        ),
        refused(
            "other.http2",
            "behind a request",
            &format!("{}PRI * HTTP/2.0\n\nSM\n\n", get("")),
            &["GET /"],
            Error::VersionNotSupported,
        ),
        refused(
            "other.http2",
            "its line as HTTP/1.1",
            "PRI * HTTP/1.1\nHost: h\n\nSM\n\n",
            &[],
            Error::Target,
        ),
        refused("other.garbage", "SSH", "SSH-2.0-OpenSSH_9.6\n", &[], Error::RequestLine),
        refused("other.garbage", "SMTP", "EHLO h\n", &[], Error::RequestLine),
        refused("other.garbage", "Redis", "*1␍␊$4␍␊PING␍␊", &[], Error::RequestLine),
        refused(
            "other.garbage",
            "the PROXY protocol",
            &format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n{}", get("Y: z\n")),
            &[],
            Error::RequestLine,
        ),
        refused(
            "other.garbage",
            "the PROXY protocol, version 2",
            "\n\n\0\n\u{51}\u{55}\u{49}\u{54}\n",
            &[],
            Error::RequestLine,
        ),
        refused("other.garbage", "JSON", "{\"a\": 1}\n", &[], Error::RequestLine),
        refused("other.garbage", "an HTML form's body", "a=1&b=2\n", &[], Error::RequestLine),
        waits("other.garbage", "bytes without a line wait for the deadline", "\0\0\0\0", &[]),
    ]
}
