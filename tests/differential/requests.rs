//! Whole requests, framing included: our connection beside hyper's, on the same bytes. Every known
//! difference is a row of [`DIFFERENCES`] with its reason; a new one is a failure.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use hyper::body::{Body as _, Incoming};
use hyper::rt::ReadBufCursor;
use oneport::conn::record::Cause;
use oneport::http::Error;
use oneport::{App, Event, Scope, app, handler};

use crate::rig::Rig;

/// A request that an application saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    method: String,
    /// Path and query.
    target: String,
    /// `None` if its end did not come.
    body: Option<Vec<u8>>,
}

/// How the connection is when all bytes are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// More can come: the rest of a message, or another request.
    Open,
    /// It ended well.
    Closed,
    /// A request was refused.
    Refused,
}

/// What a server made of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) seen: Vec<Seen>,
    pub(crate) end: End,
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// A target as both can tell it: path and query, without the question mark of an empty one.
fn target(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_string() } else { format!("{path}?{query}") }
}

// ---- ours -----------------------------------------------------------------------------------

fn our_app(log: Log) -> impl App {
    app(move |scope| {
        let Scope::Http(http) = scope else { return None };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let target = target(&text(http.raw_path), &text(http.query_string));
        let log = Arc::clone(&log);
        let mut bytes = Vec::new();
        let at = {
            let mut seen = log.lock().unwrap();
            seen.push(Seen { method: http.method.to_string(), target, body: None });
            seen.len() - 1
        };
        Some(handler(move |event, out| {
            if let Event::HttpRequest { body, more_body } = event {
                bytes.extend_from_slice(body);
                if !more_body {
                    log.lock().unwrap()[at].body = Some(std::mem::take(&mut bytes));
                    out.respond(200, &[], b"ok")?;
                }
            }
            Ok(())
        }))
    })
}

/// What our connection makes of them, and why it ended.
pub(crate) fn ours(input: &[u8]) -> (Made, Option<Cause>) {
    let log = Log::default();
    let mut rig = Rig::new(our_app(Arc::clone(&log)));
    rig.feed(input);
    let open = rig.is_open() && !rig.conn().is_lingering();
    rig.end();
    let cause = rig.record.as_ref().map(|record| record.cause).filter(|_| !open);
    let end = match cause {
        None => End::Open,
        Some(Cause::RequestRefused(_) | Cause::HandshakeRefused(_)) => End::Refused,
        Some(_) => End::Closed,
    };
    let seen = log.lock().unwrap().clone();
    (Made { seen, end }, cause)
}

// ---- hyper's --------------------------------------------------------------------------------

/// A peer in memory: it has sent these bytes, and takes everything.
struct Memory {
    input: Vec<u8>,
    at: usize,
}

impl hyper::rt::Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let n = buffer.remaining().min(self.input.len() - self.at);
        if n == 0 {
            // No end: whether more is expected is what we want to know.
            return Poll::Pending;
        }
        buffer.put_slice(&self.input[self.at..self.at + n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Was it woken?
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All of a body; `None` if its framing is broken.
async fn whole(mut body: Incoming) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        match frame {
            None => return Some(bytes),
            Some(Err(_)) => return None,
            Some(Ok(frame)) => bytes.extend(frame.into_data().into_iter().flatten()),
        }
    }
}

/// What hyper makes of them.
pub(crate) fn theirs(input: &[u8]) -> Made {
    let log = Log::default();
    let broken = Arc::new(AtomicBool::new(false));
    let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| {
        let (log, broken) = (Arc::clone(&log), Arc::clone(&broken));
        async move {
            let method = request.method().as_str().to_ascii_uppercase();
            let target = target(request.uri().path(), request.uri().query().unwrap_or_default());
            let at = {
                let mut seen = log.lock().unwrap();
                seen.push(Seen { method, target, body: None });
                seen.len() - 1
            };
            match whole(request.into_body()).await {
                Some(body) => log.lock().unwrap()[at].body = Some(body),
                None => broken.store(true, Ordering::Relaxed),
            }
            Ok::<_, Infallible>(hyper::Response::new("ok".to_string()))
        }
    });
    let memory = Memory { input: input.to_vec(), at: 0 };
    let mut connection = std::pin::pin!(
        hyper::server::conn::http1::Builder::new().serve_connection(memory, service)
    );
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let outcome = loop {
        match connection.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => break Some(outcome),
            Poll::Pending if woken.0.swap(false, Ordering::Relaxed) => {}
            Poll::Pending => break None,
        }
    };
    let end = match outcome {
        _ if broken.load(Ordering::Relaxed) => End::Refused,
        None => End::Open,
        Some(Ok(())) => End::Closed,
        Some(Err(_)) => End::Refused,
    };
    let seen = log.lock().unwrap().clone();
    Made { seen, end }
}

// ---- the differences ------------------------------------------------------------------------

/// One comparison.
pub(crate) struct Pair<'a> {
    input: &'a [u8],
    ours: &'a Made,
    cause: Option<Cause>,
    theirs: &'a Made,
}

impl Pair<'_> {
    /// We refused for one of these reasons, and up to there both saw the same: the difference is
    /// on the safe side.
    fn refused(&self, errors: &[Error]) -> bool {
        matches!(self.cause, Some(Cause::RequestRefused(error)) if errors.contains(&error))
            && self.agree_so_far()
    }

    /// What we saw is the beginning of what hyper saw.
    fn agree_so_far(&self) -> bool {
        let complete = self.ours.seen.iter().take_while(|seen| seen.body.is_some());
        let complete: Vec<_> = complete.collect();
        let theirs = self.theirs.seen.iter().take(complete.len());
        complete.into_iter().eq(theirs)
    }

    /// hyper refuses, we do not yet; both saw the same.
    fn they_refuse(&self) -> bool {
        self.theirs.end == End::Refused
            && self.ours.end == End::Open
            && self.theirs.seen == self.ours.seen
    }

    fn ends_with_lf(&self) -> bool {
        self.input.ends_with(b"\n")
    }

    /// More empty lines than one before a request.
    fn has_empty_lines(&self) -> bool {
        let two = ["\n\n", "\n\r\n\r\n", "\r\n\n"];
        self.input.starts_with(b"\n")
            || self.input.starts_with(b"\r\n\r\n")
            || two.iter().any(|lines| self.contains(lines))
    }

    /// An empty line behind the last body that we saw whole.
    fn has_line_behind_body(&self) -> bool {
        let mut bodies = self.ours.seen.iter().filter_map(|seen| seen.body.as_deref());
        let Some(body) = bodies.next_back().filter(|body| !body.is_empty()) else { return false };
        let (mut windows, len) = (self.input.windows(body.len() + 1), body.len());
        windows.any(|window| window.starts_with(body) && matches!(window[len], b'\r' | b'\n'))
    }

    fn contains(&self, text: &str) -> bool {
        self.input.to_ascii_lowercase().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Is this difference known?
pub(crate) type Known = fn(&Pair<'_>) -> bool;

pub(crate) const DIFFERENCES: &[(&str, Known)] = &[
    ("RFC 9110 §2.5: a later minor version is read as HTTP/1.1; hyper refuses it", |pair| {
        pair.theirs.end == End::Refused && crate::heads::has_later_minor(pair.input)
    }),
    (
        "RFC 9110 §9.1: a known method in another case is refused; hyper leaves it to the application",
        |pair| pair.refused(&[Error::MethodCase]),
    ),
    (
        "we act on complete lines only, so that splits of the input change nothing: a mistake in a \
         line without an end is not reported yet",
        |pair| pair.they_refuse() && !pair.ends_with_lf(),
    ),
    ("RFC 9112 §2.2 lets a recipient take LF alone as the end of a line; we refuse it", |pair| {
        pair.refused(&[Error::BareLf])
    }),
    (
        "RFC 9112 §2.2: at least one empty line before a request is ignored; hyper ignores any \
         number, also of LF alone, we one",
        |pair| {
            pair.refused(&[Error::RequestLine, Error::BareCr])
                && (pair.has_empty_lines() || pair.has_line_behind_body())
        },
    ),
    (
        "RFC 9112 §3.2: hyper leaves the form of a target to the application: other schemes, \
         authority-form and asterisk-form with any method; it cuts fragments off",
        |pair| pair.refused(&[Error::Target]),
    ),
    (
        "0x85 that is no part of a UTF-8 character is refused in field values (CVE-2026-44546)",
        |pair| pair.refused(&[Error::FieldValue]) && pair.input.contains(&0x85),
    ),
    (
        "RFC 9112 §6.3 no. 3: both a length and a coding may be refused, or the coding believed; \
         we refuse, hyper believes, does not look at the length, and closes",
        |pair| {
            pair.refused(&[Error::LengthAndCoding])
                || (pair.contains("transfer-encoding:")
                    && pair.refused(&[Error::ContentLength, Error::ContentLengthDiffers]))
        },
    ),
    (
        "RFC 9112 §3.2: bytes of a target that no URI may contain (quotes, angle brackets, braces \
         and their kin): browsers send some, we take them, hyper's URI type refuses them",
        |pair| {
            let next = pair.ours.seen.get(pair.theirs.seen.len());
            pair.theirs.end == End::Refused
                && next
                    .is_some_and(|seen| seen.target.contains(['"', '<', '>', '^', '`', '{', '}']))
        },
    ),
    ("RFC 3986 §3.2.2: a host may have escapes; hyper's URI type refuses them", |pair| {
        pair.theirs.end == End::Refused && pair.contains("://") && pair.contains("%")
    }),
    (
        "RFC 9110 §7.6.1: a Connection with a byte of 0x80 or above: hyper does not look at it, we \
         find `close` in the rest of the list",
        |pair| {
            let foreign = pair.input.iter().any(|byte| *byte >= 0x80);
            pair.cause == Some(Cause::NotPersistent)
                && pair.contains("connection:")
                && foreign
                && pair.agree_so_far()
        },
    ),
    (
        "RFC 9112 §6.1, §6.3: hyper looks at the last coding only; what stands before it (an unknown \
         coding, chunked once more, nothing) is the application's business",
        |pair| pair.refused(&[Error::CodingUnknown, Error::ChunkedNotFinal]),
    ),
    ("RFC 9110 §7.4: hyper leaves the scheme of a target to the application", |pair| {
        pair.refused(&[Error::Misdirected])
    }),
    ("RFC 9112 §3.2: hyper leaves Host to the application", |pair| {
        pair.refused(&[Error::HostMissing, Error::HostRepeated, Error::HostInvalid])
    }),
    ("RFC 9110 §10.1.1: hyper ignores expectations that it does not know; we answer 417", |pair| {
        pair.refused(&[Error::Expectation])
    }),
    (
        "RFC 9112 §7.1: hyper takes more digits than a number can have if they are zeros, white \
         space behind a size, and any extension or trailer without a bare LF; it drops them, and \
         so could we, but what is not checked is where things are hidden",
        |pair| pair.refused(&[Error::Chunk]) && pair.contains("chunked"),
    ),
    ("RFC 9110 §15.5.14: hyper leaves the limit of a body to the application", |pair| {
        pair.refused(&[Error::BodyTooLarge])
    }),
    ("RFC 9110 §9.3.6: hyper offers CONNECT to the application; we make no tunnels", |pair| {
        pair.refused(&[Error::Connect])
    }),
    ("RFC 6455: a handshake is ours; for hyper it is a request like any other", |pair| {
        let refused = matches!(pair.cause, Some(Cause::HandshakeRefused(_)));
        let declined = pair.cause == Some(Cause::NotPersistent);
        (refused || declined) && pair.contains("websocket") && pair.agree_so_far()
    }),
    (
        "RFC 9110 §8.6: a list of equal lengths in one line may be taken for one; hyper refuses it",
        |pair| {
            pair.theirs.end == End::Refused
                && pair.theirs.seen.len() < pair.ours.seen.len()
                && pair.contains("content-length:")
                && pair.contains(",")
        },
    ),
];
/// Compares; tells the requests that both saw to their end.
pub(crate) fn check(input: &[u8], seen: &mut [usize]) -> Result<usize, String> {
    let (our, cause) = ours(input);
    let their = theirs(input);
    if our == their {
        return Ok(our.seen.iter().filter(|seen| seen.body.is_some()).count());
    }
    let pair = Pair { input, ours: &our, cause, theirs: &their };
    match DIFFERENCES.iter().position(|(_, known)| known(&pair)) {
        Some(at) => {
            seen[at] += 1;
            Ok(0)
        }
        None => Err(format!(
            "a new difference on {}\n ours:   {our:?} {cause:?}\n theirs: {their:?}",
            input.escape_ascii()
        )),
    }
}
