//! Persistence, pipelining, Expect and Upgrade (RFC 9112 §9, RFC 9110 §7.8, §10.1.1).

use oneport::http::Error;
use oneport::ws::handshake::Refusal;

use crate::row::{Row, chunked, denied, ended, get, post, refused, served, upgraded, waits};

/// The opening handshake of RFC 6455 §1.3, with these words replaced.
fn handshake(replaced: &[(&str, &str)]) -> String {
    let mut text = "GET /ws HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: Upgrade\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n\n"
        .to_string();
    for (from, to) in replaced {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

/// The same with one more field, whose name begins with `Sec-WebSocket-`.
fn with(field: &str) -> String {
    handshake(&[(
        "Sec-WebSocket-Version",
        &format!("Sec-WebSocket-{field}\nSec-WebSocket-Version"),
    )])
}

fn old(lines: &str) -> String {
    format!("GET / HTTP/1.0\nHost: h\n{lines}\n")
}

pub(crate) fn rows() -> Vec<Row> {
    [persistence(), pipelining(), expectations(), upgrades()].concat()
}

fn persistence() -> Vec<Row> {
    vec![
        served("persist.default", "HTTP/1.1 persists", &get(""), &["GET /"]),
        served(
            "persist.default",
            "keep-alive changes nothing",
            &get("Connection: keep-alive\n"),
            &["GET /"],
        ),
        served("persist.default", "an unknown option", &get("Connection: x\n"), &["GET /"]),
        served("persist.default", "an empty Connection", &get("Connection:\n"), &["GET /"]),
        served(
            "persist.default",
            "close in a word",
            &get("Connection: closed, not-close\n"),
            &["GET /"],
        ),
        served(
            "persist.default",
            "close in another field",
            &get("Keep-Alive: close\nProxy-Connection: close\n"),
            &["GET /"],
        ),
        ended("persist.close", "close", &get("Connection: close\n"), &["GET /"]),
        ended("persist.close", "any case", &get("connection: CLOSE\n"), &["GET /"]),
        ended("persist.close", "in a list", &get("Connection: x,\tclose ,y\n"), &["GET /"]),
        ended(
            "persist.close",
            "with holes in the list",
            &get("Connection: ,,close,\n"),
            &["GET /"],
        ),
        ended(
            "persist.close",
            "beside bytes of 0x80 and above",
            &get("Connection: \u{e4}, close\n"),
            &["GET /"],
        ),
        ended(
            "persist.close",
            "in a second line",
            &get("Connection: x\nConnection: close\n"),
            &["GET /"],
        ),
        ended(
            "persist.close",
            "wins over keep-alive",
            &get("Connection: keep-alive, close\n"),
            &["GET /"],
        ),
        ended(
            "persist.close",
            "wins over a later keep-alive",
            &get("Connection: close\nConnection: keep-alive\n"),
            &["GET /"],
        ),
        ended(
            "persist.close",
            "behind a body",
            &post("Connection: close\nContent-Length: 2\n", "hi"),
            &["POST / hi"],
        ),
        ended(
            "persist.close",
            "behind a chunked body",
            &post("Connection: close\nTransfer-Encoding: chunked\n", "2\nhi\n0\n\n"),
            &["POST / hi"],
        ),
        ended(
            "persist.close",
            "of a HEAD",
            "HEAD / HTTP/1.1\nHost: h\nConnection: close\n\n",
            &["HEAD /"],
        ),
        ended("persist.old", "HTTP/1.0 does not persist", &old(""), &["GET /"]),
        ended(
            "persist.old",
            "with a body",
            "POST / HTTP/1.0\nHost: h\nContent-Length: 2\n\nhi",
            &["POST / hi"],
        ),
        ended("persist.old", "close", &old("Connection: close\n"), &["GET /"]),
        ended(
            "persist.old",
            "close wins over keep-alive",
            &old("Connection: keep-alive\nConnection: close\n"),
            &["GET /"],
        ),
        ended(
            "persist.old",
            "Keep-Alive alone is not enough",
            &old("Keep-Alive: timeout=5\n"),
            &["GET /"],
        ),
        ended(
            "persist.old",
            "Proxy-Connection is not Connection",
            &old("Proxy-Connection: keep-alive\n"),
            &["GET /"],
        ),
        served("persist.old", "keep-alive", &old("Connection: keep-alive\n"), &["GET /"]),
        served(
            "persist.old",
            "keep-alive in any case",
            &old("Connection: Keep-Alive\n"),
            &["GET /"],
        ),
        served(
            "persist.old",
            "then HTTP/1.1",
            &format!("{}{}", old("Connection: keep-alive\n"), get("")),
            &["GET /", "GET /"],
        ),
        // Connection lists fields that a proxy removes; here nothing is removed.
        served(
            "persist.options",
            "a length that is listed still counts",
            &post("Connection: Content-Length\nContent-Length: 2\n", "hi"),
            &["POST / hi"],
        ),
        served(
            "persist.options",
            "a coding that is listed still counts",
            &post("Connection: Transfer-Encoding\nTransfer-Encoding: chunked\n", "2\nhi\n0\n\n"),
            &["POST / hi"],
        ),
        served(
            "persist.options",
            "Host that is listed still counts",
            &get("Connection: Host\n"),
            &["GET /"],
        ),
    ]
}

fn pipelining() -> Vec<Row> {
    let three =
        format!("{}{}{}", get(""), post("Content-Length: 2\n", "hi"), chunked("2\nhi\n0\n\n"));
    vec![
        served("pipeline.order", "three requests", &three, &["GET /", "POST / hi", "POST / hi"]),
        served("pipeline.order", "ten requests", &get("").repeat(10), &["GET /"; 10]),
        served(
            "pipeline.order",
            "a HEAD between",
            &format!("{}HEAD / HTTP/1.1\nHost: h\n\n{}", get(""), get("")),
            &["GET /", "HEAD /", "GET /"],
        ),
        waits("pipeline.order", "half a second one", &format!("{}GET /se", get("")), &["GET /"]),
        served(
            "pipeline.early",
            "the rest of a body is dropped",
            "POST /early HTTP/1.1\nHost: h\nContent-Length: 5\n\nHello",
            &["POST /early"],
        ),
        served(
            "pipeline.early",
            "and the next request is found",
            &format!(
                "POST /early HTTP/1.1\nHost: h\nContent-Length: 29\n\n{}{}",
                "GET /evil HTTP/1.1\nHost: evil\n\n".split_at(28).0,
                get("")
            ),
            &["POST /early", "GET /"],
        ),
        waits(
            "pipeline.early",
            "while it is missing",
            "POST /early HTTP/1.1\nHost: h\nContent-Length: 5\n\nHell",
            &["POST /early"],
        ),
        ended(
            "pipeline.close",
            "nothing behind close",
            &format!("{}{}", get("Connection: close\n"), get("A: b\n")),
            &["GET /"],
        ),
        ended(
            "pipeline.close",
            "nothing behind HTTP/1.0",
            &format!("{}{}", old(""), get("")),
            &["GET /"],
        ),
        refused(
            "pipeline.refused",
            "the second",
            &format!("{}GET /a b HTTP/1.1\n\n", get("")),
            &["GET /"],
            Error::RequestLine,
        ),
        refused(
            "pipeline.refused",
            "the first",
            &format!("GET / HTTP/1.1\n\n{}", get("")),
            &[],
            Error::HostMissing,
        ),
        refused(
            "pipeline.refused",
            "the second of three",
            &format!("{}{}{}", get(""), post("Content-Length: x\n", ""), get("")),
            &["GET /"],
            Error::ContentLength,
        ),
        refused(
            "pipeline.refused",
            "a body of the second",
            &format!("{}{}", get(""), chunked("x\n")),
            &["GET /", "POST / cut"],
            Error::Chunk,
        ),
        refused(
            "pipeline.refused",
            "a body that was too long for its length",
            &post("Content-Length: 2\n", "hi!\n"),
            &["POST / hi"],
            Error::RequestLine,
        ),
    ]
}

fn expectations() -> Vec<Row> {
    let mut rows = vec![
        served(
            "expect.continue",
            "a length",
            &post("Content-Length: 2\nExpect: 100-continue\n", "hi"),
            &["POST / hi"],
        )
        .interim(),
        served(
            "expect.continue",
            "chunked",
            &post("Transfer-Encoding: chunked\nExpect: 100-continue\n", "2\nhi\n0\n\n"),
            &["POST / hi"],
        )
        .interim(),
        served(
            "expect.continue",
            "any case",
            &post("Content-Length: 2\nexpect: 100-Continue\n", "hi"),
            &["POST / hi"],
        )
        .interim(),
        served(
            "expect.continue",
            "twice",
            &post("Content-Length: 2\nExpect: 100-continue, 100-continue\n", "hi"),
            &["POST / hi"],
        )
        .interim(),
        served(
            "expect.continue",
            "a GET with a body",
            &get("Content-Length: 2\nExpect: 100-continue\n").replace("\n\n", "\n\nhi"),
            &["GET / hi"],
        )
        .interim(),
        served(
            "expect.continue",
            "the body is no request",
            &post("Content-Length: 18\nExpect: 100-continue\n", "GET / HTTP/1.1\n\n"),
            &["POST / GET / HTTP/1.1\\r\\n\\r\\n"],
        )
        .interim(),
        waits(
            "expect.continue",
            "and no body",
            &post("Content-Length: 2\nExpect: 100-continue\n", ""),
            &["POST / cut"],
        )
        .interim(),
        served("expect.no-body", "no length", &get("Expect: 100-continue\n"), &["GET /"]),
        served(
            "expect.no-body",
            "a length of nought",
            &post("Content-Length: 0\nExpect: 100-continue\n", ""),
            &["POST /"],
        ),
        served("expect.no-body", "an empty field", &get("Expect:\n"), &["GET /"]),
        ended(
            "expect.old",
            "HTTP/1.0 gets no 100",
            "POST / HTTP/1.0\nHost: h\nContent-Length: 2\nExpect: 100-continue\n\nhi",
            &["POST / hi"],
        ),
        refused(
            "expect.refused",
            "the framing is refused instead of a 100",
            &post("Content-Length: 2\nTransfer-Encoding: chunked\nExpect: 100-continue\n", ""),
            &[],
            Error::LengthAndCoding,
        ),
        refused(
            "expect.refused",
            "no Host",
            "POST / HTTP/1.1\nContent-Length: 2\nExpect: 100-continue\n\n",
            &[],
            Error::HostMissing,
        ),
        refused("expect.unknown", "in HTTP/1.0", &old("Expect: x\n"), &[], Error::Expectation),
        refused(
            "expect.unknown",
            "of a HEAD",
            "HEAD / HTTP/1.1\nHost: h\nExpect: x\n\n",
            &[],
            Error::Expectation,
        )
        .head(),
    ];
    for (name, value) in [
        ("a word", "x"),
        ("another number", "200-ok"),
        ("a lookalike", "100-continued"),
        ("the known one and another", "100-continue, x"),
        ("another and the known one", "x, 100-continue"),
        ("a parameter", "100-continue;a=b"),
        ("a value", "100-continue=1"),
        ("quotes", "\"100-continue\""),
        ("a space for the hyphen", "100 continue"),
        ("two words", "y 100-continue"),
        ("a newline's escape", "100-continue\\r\\n"),
    ] {
        rows.push(refused(
            "expect.unknown",
            name,
            &post(&format!("Content-Length: 2\nExpect: {value}\n"), "hi"),
            &[],
            Error::Expectation,
        ));
    }
    rows
}

fn upgrades() -> Vec<Row> {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
    vec![
        upgraded("upgrade.websocket", "the example of RFC 6455", &handshake(&[]), &["ws /ws"]),
        upgraded(
            "upgrade.websocket",
            "any case",
            &handshake(&[("websocket", "WebSocket"), ("Connection: U", "connection: u")]),
            &["ws /ws"],
        ),
        upgraded(
            "upgrade.websocket",
            "in lists",
            &handshake(&[
                ("Upgrade: websocket", "Upgrade: h2c, websocket"),
                ("Connection: ", "Connection: keep-alive, "),
            ]),
            &["ws /ws"],
        ),
        upgraded(
            "upgrade.websocket",
            "behind a request",
            &format!("{}{}", get(""), handshake(&[])),
            &["GET /", "ws /ws"],
        ),
        upgraded(
            "upgrade.websocket",
            "with a length of nought",
            &handshake(&[("Host", "Content-Length: 0\nHost")]),
            &["ws /ws"],
        ),
        upgraded(
            "upgrade.websocket",
            "an absolute target",
            &handshake(&[("/ws", "ws://h/ws")]),
            &["ws /ws"],
        ),
        refused(
            "target.secure",
            "a handshake",
            &handshake(&[("/ws", "wss://h/ws")]),
            &[],
            Error::Misdirected,
        ),
        upgraded("upgrade.protocols", "tokens", &with("Protocol: a, ,b.2,"), &["ws /ws"]),
        upgraded("upgrade.protocols", "a list of nothing", &with("Protocol: ,"), &["ws /ws"]),
        denied("upgrade.protocols", "a space", &with("Protocol: a, b c"), Refusal::Protocols),
        denied("upgrade.protocols", "quotes", &with("Protocol: \"a\""), Refusal::Protocols),
        denied("upgrade.protocols", "a parameter", &with("Protocol: a;b=1"), Refusal::Protocols),
        denied("upgrade.protocols", "UTF-8", &with("Protocol: \u{3b1}"), Refusal::Protocols),
        upgraded(
            "upgrade.extensions",
            "unknown ones",
            &with("Extensions: x; y=\"z\", a"),
            &["ws /ws"],
        ),
        denied("upgrade.extensions", "no name", &with("Extensions: x, ; y"), Refusal::Extensions),
        denied("upgrade.extensions", "no value", &with("Extensions: x; y="), Refusal::Extensions),
        denied("upgrade.extensions", "a space", &with("Extensions: x y"), Refusal::Extensions),
        denied(
            "upgrade.extensions",
            "a quoted value that is no token",
            &with("Extensions: x; y=\"a b\""),
            Refusal::Extensions,
        ),
        denied(
            "upgrade.extensions",
            "no end of quotes",
            &with("Extensions: x; y=\"a"),
            Refusal::Extensions,
        ),
        waits("upgrade.websocket", "half of it", handshake(&[]).trim_end(), &[]),
        served(
            "upgrade.ignored",
            "Connection does not list it",
            &handshake(&[("Connection: Upgrade\n", "")]),
            &["GET /ws"],
        ),
        served(
            "upgrade.ignored",
            "Connection lists it, but there is none",
            &handshake(&[("Upgrade: websocket\n", "")]),
            &["GET /ws"],
        ),
        served(
            "upgrade.ignored",
            "h2c",
            &get(
                "Upgrade: h2c\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: AAMAAABkAAQAAP__\n",
            ),
            &["GET /"],
        ),
        served(
            "upgrade.ignored",
            "TLS",
            &get("Upgrade: TLS/1.0\nConnection: Upgrade\n"),
            &["GET /"],
        ),
        served(
            "upgrade.ignored",
            "a lookalike",
            &handshake(&[("websocket", "websockets")]),
            &["GET /ws"],
        ),
        served(
            "upgrade.ignored",
            "with a body that is read",
            &post("Upgrade: h2c\nConnection: Upgrade\nContent-Length: 2\n", "hi"),
            &["POST / hi"],
        ),
        ended(
            "upgrade.old",
            "HTTP/1.0 without a key",
            &old("Upgrade: websocket\nConnection: Upgrade\n"),
            &["GET /"],
        ),
        denied(
            "upgrade.old",
            "HTTP/1.0 with a key",
            &handshake(&[("HTTP/1.1", "HTTP/1.0")]),
            Refusal::HttpVersion,
        ),
        denied(
            "upgrade.body",
            "a length",
            &handshake(&[("Host", "Content-Length: 5\nHost")]),
            Refusal::BodyAnnounced,
        ),
        denied(
            "upgrade.body",
            "chunked",
            &handshake(&[("Host", "Transfer-Encoding: chunked\nHost")]),
            Refusal::BodyAnnounced,
        ),
        denied(
            "upgrade.body",
            "a length, and the body is a request",
            &format!("{}{}", handshake(&[("Host", "Content-Length: 26\nHost")]), get("")),
            Refusal::BodyAnnounced,
        ),
        denied("upgrade.method", "POST", &handshake(&[("GET", "POST")]), Refusal::Method),
        denied("upgrade.method", "HEAD", &handshake(&[("GET", "HEAD")]), Refusal::Method).head(),
        denied("upgrade.version", "an old one", &handshake(&[("13", "8")]), Refusal::Version),
        denied("upgrade.version", "a new one", &handshake(&[("13", "14")]), Refusal::Version),
        denied(
            "upgrade.version",
            "none",
            &handshake(&[("Sec-WebSocket-Version: 13\n", "")]),
            Refusal::Version,
        ),
        denied(
            "upgrade.version",
            "two",
            &handshake(&[(
                "Sec-WebSocket-Version: 13\n",
                "Sec-WebSocket-Version: 13\nSec-WebSocket-Version: 13\n",
            )]),
            Refusal::Version,
        ),
        denied(
            "upgrade.version",
            "and the request behind it (an upgrade that failed)",
            &format!("{}{}", handshake(&[("13", "777")]), get("")),
            Refusal::Version,
        ),
        denied("upgrade.key", "none", &handshake(&[(key, "")]), Refusal::KeyMissing),
        denied(
            "upgrade.key",
            "too short",
            &handshake(&[("dGhlIHNhbXBsZSBub25jZQ==", "dGhl")]),
            Refusal::KeyInvalid,
        ),
        denied(
            "upgrade.key",
            "too long",
            &handshake(&[("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQAA")]),
            Refusal::KeyInvalid,
        ),
        denied(
            "upgrade.key",
            "no base64",
            &handshake(&[("dGhlIHNhbXBsZSBub25jZQ==", "!!!!!!!!!!!!!!!!!!!!!!==")]),
            Refusal::KeyInvalid,
        ),
        denied(
            "upgrade.key",
            "without its padding",
            &handshake(&[("ZQ==", "ZQ")]),
            Refusal::KeyInvalid,
        ),
        denied(
            "upgrade.key",
            "empty",
            &handshake(&[("dGhlIHNhbXBsZSBub25jZQ==", "")]),
            Refusal::KeyInvalid,
        ),
        denied("upgrade.key", "two", &handshake(&[(key, &key.repeat(2))]), Refusal::KeyInvalid),
    ]
}
