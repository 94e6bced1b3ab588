//! The sender's side: whatever an application asks for, what leaves has one length, no body where
//! none may be, no field that splits it, and a Connection that tells the truth.

use oneport::{AppError, Event, Outbox, SendEvent, app, handler};

use crate::reader;
use crate::rig::Rig;
use crate::row::wire;

/// An application's answer.
type Program = fn(&mut Outbox<'_>) -> Result<(), AppError>;
/// One that knows something more.
type Knowing = Box<dyn Fn(&mut Outbox<'_>) -> Result<(), AppError> + Send + Sync>;

/// An answer, and what leaves.
pub(crate) struct Answer {
    pub(crate) decision: &'static str,
    name: String,
    request: &'static str,
    program: Knowing,
    /// As in [`wire`].
    sent: String,
    /// Can another request follow?
    persists: bool,
}

const GET: &str = "GET / HTTP/1.1\nHost: h\n\n";
const HEAD: &str = "HEAD / HTTP/1.1\nHost: h\n\n";
const OLD: &str = "GET / HTTP/1.0\n\n";
const OLD_KEEP: &str = "GET / HTTP/1.0\nConnection: keep-alive\n\n";
const CLOSE: &str = "GET / HTTP/1.1\nHost: h\nConnection: close\n\n";
const TRAILERS: &str = "GET / HTTP/1.1\nHost: h\nTE: trailers\n\n";
const EXPECT: &str = "POST / HTTP/1.1\nHost: h\nContent-Length: 5\nExpect: 100-continue\n\n";
/// What an application gets that sends what may not be sent.
const FAILED: &str = "HTTP/1.1 500 Internal Server Error\ncontent-type: text/plain; charset=utf-8\n\
                      content-length: 23\nconnection: close\n\nthe application failed␊";

fn answer(
    decision: &'static str,
    name: &str,
    request: &'static str,
    program: Program,
    sent: &str,
    persists: bool,
) -> Answer {
    let (name, sent) = (name.to_string(), sent.to_string());
    Answer { decision, name, request, program: Box::new(program), sent, persists }
}

/// A field that may not be sent.
fn bad_field(decision: &'static str, name: &str, field: (Vec<u8>, Vec<u8>)) -> Answer {
    Answer {
        decision,
        name: name.to_string(),
        request: GET,
        program: Box::new(move |out| {
            out.respond(200, &[(&field.0, &field.1)], b"body")?;
            Ok(())
        }),
        sent: FAILED.to_string(),
        persists: false,
    }
}

fn start(out: &mut Outbox<'_>, status: u16, headers: &[(&[u8], &[u8])]) -> Result<(), AppError> {
    out.send(SendEvent::HttpResponseStart { status, headers, trailers: false })?;
    Ok(())
}

fn piece(out: &mut Outbox<'_>, body: &[u8], more_body: bool) -> Result<(), AppError> {
    out.send(SendEvent::HttpResponseBody { body, more_body })?;
    Ok(())
}

/// Two pieces of a body.
fn two(out: &mut Outbox<'_>, headers: &[(&[u8], &[u8])]) -> Result<(), AppError> {
    start(out, 200, headers)?;
    piece(out, b"ab", true)?;
    piece(out, b"cd", false)
}

fn trailing(out: &mut Outbox<'_>, field: (&[u8], &[u8])) -> Result<(), AppError> {
    out.send(SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: true })?;
    piece(out, b"ab", false)?;
    let headers = &[field];
    out.send(SendEvent::HttpResponseTrailers { headers, more_trailers: false })?;
    Ok(())
}

pub(crate) fn rows() -> Vec<Answer> {
    let mut rows = vec![
        answer(
            "answer.length",
            "the body is at hand",
            GET,
            |out| {
                out.respond(200, &[], b"abcd")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 4\n\nabcd",
            true,
        ),
        answer(
            "answer.length",
            "an empty body",
            GET,
            |out| {
                out.respond(200, &[], b"")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 0\n\n",
            true,
        ),
        answer(
            "answer.length",
            "pieces",
            GET,
            |out| two(out, &[]),
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nab\n2\ncd\n0\n\n",
            true,
        ),
        answer(
            "answer.length",
            "an empty piece is not the last chunk",
            GET,
            |out| {
                start(out, 200, &[])?;
                piece(out, b"", true)?;
                piece(out, b"a", true)?;
                piece(out, b"", true)?;
                piece(out, b"", false)
            },
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n1\na\n0\n\n",
            true,
        ),
        answer(
            "answer.length",
            "pieces with a length",
            GET,
            |out| two(out, &[(b"Content-Length", b"4")]),
            "HTTP/1.1 200 OK\ncontent-length: 4\n\nabcd",
            true,
        ),
        answer(
            "answer.length",
            "an application's coding is not sent",
            GET,
            |out| two(out, &[(b"transfer-encoding", b"gzip, chunked")]),
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nab\n2\ncd\n0\n\n",
            true,
        ),
        answer(
            "answer.length",
            "a coding and a length",
            GET,
            |out| two(out, &[(b"Transfer-Encoding", b"chunked"), (b"content-length", b"4")]),
            "HTTP/1.1 200 OK\ncontent-length: 4\n\nabcd",
            true,
        ),
        answer(
            "answer.length",
            "two lengths",
            GET,
            |out| two(out, &[(b"content-length", b"4"), (b"Content-Length", b"4")]),
            FAILED,
            false,
        ),
        answer(
            "answer.old",
            "no chunks for HTTP/1.0",
            OLD,
            |out| two(out, &[]),
            "HTTP/1.1 200 OK\nconnection: close\n\nabcd",
            false,
        ),
        answer(
            "answer.old",
            "not even if it wants to persist",
            OLD_KEEP,
            |out| two(out, &[]),
            "HTTP/1.1 200 OK\nconnection: close\n\nabcd",
            false,
        ),
        answer(
            "answer.old",
            "it persists with a length",
            OLD_KEEP,
            |out| two(out, &[(b"content-length", b"4")]),
            "HTTP/1.1 200 OK\ncontent-length: 4\nconnection: keep-alive\n\nabcd",
            true,
        ),
        answer(
            "answer.old",
            "no 103",
            OLD,
            |out| {
                out.send(SendEvent::HttpResponseEarlyHint { links: &[b"</a>"] })?;
                out.respond(200, &[], b"")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 0\nconnection: close\n\n",
            false,
        ),
        answer(
            "answer.held-to",
            "a body that is too long",
            GET,
            |out| {
                out.respond(200, &[(b"content-length", b"3")], b"abcd")?;
                Ok(())
            },
            FAILED,
            false,
        ),
        answer(
            "answer.held-to",
            "a later piece that is too long",
            GET,
            |out| two(out, &[(b"content-length", b"3")]),
            FAILED,
            false,
        ),
        answer(
            "answer.held-to",
            "a body that is too short is cut, not filled",
            GET,
            |out| {
                out.respond(200, &[(b"content-length", b"5")], b"abcd")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 5\n\nabcd",
            false,
        ),
        answer(
            "answer.held-to",
            "a length and no body at all",
            GET,
            |out| {
                out.respond(200, &[(b"content-length", b"5")], b"")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 5\n\n",
            false,
        ),
        answer(
            "answer.held-to",
            "pieces without a last one are cut",
            GET,
            |out| {
                start(out, 200, &[])?;
                piece(out, b"ab", true)
            },
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nab\n",
            false,
        ),
        answer(
            "answer.no-body",
            "HEAD",
            HEAD,
            |out| {
                out.respond(200, &[], b"abcd")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 4\n\n",
            true,
        ),
        answer(
            "answer.no-body",
            "HEAD in pieces",
            HEAD,
            |out| two(out, &[]),
            "HTTP/1.1 200 OK\n\n",
            true,
        ),
        answer(
            "answer.no-body",
            "HEAD with a length",
            HEAD,
            |out| {
                out.respond(200, &[(b"content-length", b"400")], b"")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 400\n\n",
            true,
        ),
        answer(
            "answer.no-body",
            "HEAD of an application that fails",
            HEAD,
            |_| Err("asked to fail".into()),
            "HTTP/1.1 500 Internal Server Error\ncontent-type: text/plain; charset=utf-8\ncontent-length: 23\nconnection: close\n\n",
            false,
        ),
        answer(
            "answer.no-body",
            "204",
            GET,
            |out| {
                out.respond(204, &[], b"abcd")?;
                Ok(())
            },
            "HTTP/1.1 204 No Content\n\n",
            true,
        ),
        answer(
            "answer.no-body",
            "204 has no length",
            GET,
            |out| {
                out.respond(204, &[(b"content-length", b"4")], b"abcd")?;
                Ok(())
            },
            "HTTP/1.1 204 No Content\n\n",
            true,
        ),
        answer(
            "answer.no-body",
            "204 in pieces",
            GET,
            |out| {
                start(out, 204, &[])?;
                piece(out, b"ab", true)?;
                piece(out, b"cd", false)
            },
            "HTTP/1.1 204 No Content\n\n",
            true,
        ),
        answer(
            "answer.no-body",
            "304",
            GET,
            |out| {
                out.respond(304, &[], b"abcd")?;
                Ok(())
            },
            "HTTP/1.1 304 Not Modified\n\n",
            true,
        ),
        answer(
            "answer.no-body",
            "304 may tell the length that a 200 would have",
            GET,
            |out| {
                out.respond(304, &[(b"content-length", b"4")], b"")?;
                Ok(())
            },
            "HTTP/1.1 304 Not Modified\ncontent-length: 4\n\n",
            true,
        ),
        answer(
            "answer.no-body",
            "205 is empty and says so",
            GET,
            |out| {
                out.respond(205, &[], b"abcd")?;
                Ok(())
            },
            "HTTP/1.1 205 Reset Content\ncontent-length: 0\n\n",
            true,
        ),
        answer(
            "answer.no-body",
            "205 in pieces",
            GET,
            |out| {
                start(out, 205, &[(b"content-length", b"4")])?;
                piece(out, b"ab", true)?;
                piece(out, b"cd", false)
            },
            "HTTP/1.1 205 Reset Content\ncontent-length: 0\n\n",
            true,
        ),
        answer(
            "answer.connection",
            "a wish to end is granted",
            GET,
            |out| {
                out.respond(200, &[(b"connection", b"close")], b"")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 0\nconnection: close\n\n",
            false,
        ),
        answer(
            "answer.connection",
            "in any case, in a list",
            GET,
            |out| {
                out.respond(200, &[(b"Connection", b"x, CLOSE")], b"")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 0\nconnection: close\n\n",
            false,
        ),
        answer(
            "answer.connection",
            "an untrue one is not sent",
            CLOSE,
            |out| {
                out.respond(
                    200,
                    &[(b"connection", b"keep-alive"), (b"keep-alive", b"timeout=5")],
                    b"",
                )?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 0\nconnection: close\n\n",
            false,
        ),
        answer(
            "answer.connection",
            "options of its own are not sent",
            GET,
            |out| {
                out.respond(200, &[(b"connection", b"content-length")], b"")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 0\n\n",
            true,
        ),
        answer(
            "answer.connection",
            "Upgrade is listed",
            GET,
            |out| {
                out.respond(426, &[(b"upgrade", b"h2c")], b"")?;
                Ok(())
            },
            "HTTP/1.1 426 Upgrade Required\nupgrade: h2c\ncontent-length: 0\nconnection: upgrade\n\n",
            true,
        ),
        answer(
            "answer.status",
            "an empty phrase keeps its space",
            GET,
            |out| {
                out.respond(299, &[], b"")?;
                Ok(())
            },
            "HTTP/1.1 299 \ncontent-length: 0\n\n",
            true,
        ),
        answer(
            "answer.status",
            "999 is the last",
            GET,
            |out| {
                out.respond(999, &[], b"")?;
                Ok(())
            },
            "HTTP/1.1 999 \ncontent-length: 0\n\n",
            true,
        ),
        answer(
            "answer.status",
            "0",
            GET,
            |out| {
                out.respond(0, &[], b"")?;
                Ok(())
            },
            FAILED,
            false,
        ),
        answer(
            "answer.status",
            "99",
            GET,
            |out| {
                out.respond(99, &[], b"")?;
                Ok(())
            },
            FAILED,
            false,
        ),
        answer(
            "answer.status",
            "100 is no end of an exchange",
            GET,
            |out| {
                out.respond(100, &[], b"")?;
                Ok(())
            },
            FAILED,
            false,
        ),
        answer(
            "answer.status",
            "101 belongs to the server",
            GET,
            |out| {
                out.respond(101, &[], b"")?;
                Ok(())
            },
            FAILED,
            false,
        ),
        answer(
            "answer.status",
            "199",
            GET,
            |out| {
                out.respond(199, &[], b"")?;
                Ok(())
            },
            FAILED,
            false,
        ),
        answer(
            "answer.status",
            "1000",
            GET,
            |out| {
                out.respond(1000, &[], b"")?;
                Ok(())
            },
            FAILED,
            false,
        ),
        answer(
            "answer.trailers",
            "to who takes them",
            TRAILERS,
            |out| trailing(out, (b"x-sum", b"1")),
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nab\n0\nx-sum: 1\n\n",
            true,
        ),
        answer(
            "answer.trailers",
            "to nobody else",
            GET,
            |out| trailing(out, (b"x-sum", b"1")),
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nab\n0\n\n",
            true,
        ),
        answer(
            "answer.trailers",
            "not one that splits",
            TRAILERS,
            |out| trailing(out, (b"x", b"1\r\n\r\nHTTP/1.1 200 OK")),
            FAILED,
            false,
        ),
        answer(
            "answer.trailers",
            "not one that splits, though it is dropped",
            GET,
            |out| trailing(out, (b"x", b"1\r\n")),
            FAILED,
            false,
        ),
        answer(
            "answer.trailers",
            "not a length",
            TRAILERS,
            |out| trailing(out, (b"Content-Length", b"1")),
            FAILED,
            false,
        ),
        answer(
            "answer.trailers",
            "not a coding",
            TRAILERS,
            |out| trailing(out, (b"transfer-encoding", b"chunked")),
            FAILED,
            false,
        ),
        answer(
            "answer.trailers",
            "not a cookie",
            TRAILERS,
            |out| trailing(out, (b"set-cookie", b"a=b")),
            FAILED,
            false,
        ),
        answer(
            "answer.trailers",
            "not what a cache goes by",
            TRAILERS,
            |out| trailing(out, (b"Cache-Control", b"public")),
            FAILED,
            false,
        ),
        answer(
            "answer.trailers",
            "not what the content is",
            TRAILERS,
            |out| trailing(out, (b"content-range", b"bytes 0-1/2")),
            FAILED,
            false,
        ),
        answer(
            "answer.trailers",
            "an ETag, which may be one (RFC 9110 §8.8.3)",
            TRAILERS,
            |out| trailing(out, (b"etag", b"\"1\"")),
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nab\n0\netag: \"1\"\n\n",
            true,
        ),
        answer(
            "answer.interim",
            "a 103 before the answer",
            GET,
            |out| {
                out.send(SendEvent::HttpResponseEarlyHint { links: &[b"</a>"] })?;
                out.respond(200, &[], b"")?;
                Ok(())
            },
            "HTTP/1.1 103 Early Hints\nlink: </a>\n\nHTTP/1.1 200 OK\ncontent-length: 0\n\n",
            true,
        ),
        answer(
            "answer.interim",
            "a 103 that splits",
            GET,
            |out| {
                out.send(SendEvent::HttpResponseEarlyHint { links: &[b"</a>\r\n\r\nx"] })?;
                Ok(())
            },
            FAILED,
            false,
        ),
        answer(
            "expect.early",
            "an answer in the place of a 100 ends the connection",
            EXPECT,
            |out| {
                out.respond(413, &[], b"")?;
                Ok(())
            },
            "HTTP/1.1 413 Content Too Large\ncontent-length: 0\nconnection: close\n\n",
            false,
        ),
        answer(
            "expect.early",
            "even if it says yes",
            EXPECT,
            |out| {
                out.respond(200, &[], b"")?;
                Ok(())
            },
            "HTTP/1.1 200 OK\ncontent-length: 0\nconnection: close\n\n",
            false,
        ),
    ];
    for length in [
        "",
        " ",
        "+4",
        "-4",
        "0x4",
        "4_0",
        "4 ",
        " 4",
        "4, 4",
        "4,4",
        "4.0",
        "a",
        "18446744073709551616",
    ] {
        rows.push(bad_field(
            "answer.length",
            &format!("a length of {length:?}"),
            (b"content-length".to_vec(), length.into()),
        ));
    }
    for name in [
        "",
        " ",
        "a b",
        "a ",
        " a",
        "a:",
        ":a",
        "a\r\nb",
        "a\nb",
        "a\rb",
        "a\0",
        "a\"",
        "a(b)",
        "a/b",
        "\u{e4}",
        "a: b\r\nc",
    ] {
        rows.push(bad_field(
            "answer.splitting",
            &format!("a name of {name:?}"),
            (name.into(), b"v".to_vec()),
        ));
    }
    for value in ["a\r\nb: c", "a\r\n\r\nHTTP/1.1 200 OK\r\n", "\r\n", "\na", "a\n b", "a\r\n b"] {
        rows.push(bad_field(
            "answer.splitting",
            &format!("a value of {value:?}"),
            (b"x".to_vec(), value.into()),
        ));
        for ours in [
            "connection",
            "keep-alive",
            "transfer-encoding",
            "content-length",
            "date",
            "server",
            "set-cookie",
            "location",
        ] {
            rows.push(bad_field(
                "answer.splitting",
                &format!("{ours}: {value:?}"),
                (ours.into(), value.into()),
            ));
        }
    }
    for byte in (0..0x20u8).chain([0x7f, 0x85]).filter(|byte| *byte != b'\t') {
        rows.push(bad_field(
            "answer.splitting",
            &format!("byte {byte:#04x} in a value"),
            (b"x".to_vec(), vec![b'a', byte, b'b']),
        ));
    }
    rows
}

// [9110-6.5.1-1] [9110-15.3.6-1]
#[test]
fn each_answer_leaves_as_it_must() {
    let mut failures = Vec::new();
    for row in rows() {
        let Answer { decision, name, request, program, sent, persists } = row;
        let program = std::sync::Arc::new(program);
        let mut rig = Rig::new(app(move |_| {
            let program = std::sync::Arc::clone(&program);
            Some(handler(move |event, out| match event {
                Event::HttpRequest { .. } => program(out),
                _ => Ok(()),
            }))
        }));
        rig.feed(&wire(request));
        let got = rig.text();
        let goes_on = rig.is_open() && !rig.conn().is_lingering();
        // Behind an answer that ends the connection nobody is heard.
        rig.feed(&wire(GET));
        let more = rig.text();
        if got.as_bytes() != wire(&sent) || goes_on != persists || more.is_empty() == persists {
            failures.push(format!("{decision}: {name}: {got:?}, goes on: {goes_on}, {more:?}"));
            continue;
        }
        // What leaves can be read, and says truly whether more can come; but for an answer that
        // is cut, which had promised more.
        let responses = reader::responses(got.as_bytes(), |_| request == HEAD);
        let last = responses.last().expect("an answer");
        assert!(last.closes() != persists || last.short, "{decision}: {name}: {got:?}");
        assert_eq!(last.short, decision == "answer.held-to" && got.contains("200"), "{name}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
