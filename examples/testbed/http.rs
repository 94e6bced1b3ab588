//! The pages: one variant each, so that a page costs no box.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oneport::{AppError, Event, Field, Flow, HttpScope, Outbox, Scope, SendError, SendEvent};
use serde_json::json;

use oneport::http::target::query_value;

use crate::shared::{SHARED, Started, files, query_number, record, scope_json};

const TEXT: Field<'static> = (b"content-type", b"text/plain");
const JSON: Field<'static> = (b"content-type", b"application/json");
const HTML: Field<'static> = (b"content-type", b"text/html; charset=utf-8");

/// The page by which servers are compared.
const PLAINTEXT: &str = "/plaintext";

/// Paths that only speak WebSocket.
const WEBSOCKET_PATHS: [&str; 9] = [
    "/ws",
    "/broadcast",
    "/subprotocol",
    "/deny",
    "/deny-custom",
    "/headers",
    "/close",
    "/flood",
    "/origin",
];

pub(crate) enum Page {
    Index,
    Plaintext,
    Json,
    Echo(Echo),
    Stream { left: u64, size: usize, begun: bool },
    Trailers,
    Hints,
    Slow { ms: u64 },
    File(Box<Path>),
    NoFile,
    Events { left: u64, next: u64, ms: u64 },
    Document(Box<str>),
    Disconnects,
    Stats,
    Panic,
    Error,
    Half { begun: bool },
    Nothing,
    NotFound,
    UpgradeRequired,
    MethodNotAllowed(&'static str),
}

/// What `/echo` remembers between the pieces of a body.
pub(crate) struct Echo {
    content_type: Option<Box<[u8]>>,
    content_length: Option<Box<[u8]>>,
    begun: bool,
}

/// Is it this page, without a query?
#[inline]
pub(crate) fn is_plaintext(scope: &HttpScope<'_>) -> bool {
    scope.path == PLAINTEXT && scope.method == "GET" && scope.query_string.is_empty()
}

/// Answers the events of `GET /plaintext`.
#[inline]
pub(crate) fn plaintext(event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
    match event {
        Event::HttpRequest { more_body: false, .. } => {
            hello(out)?;
        }
        Event::HttpDisconnect => record(PLAINTEXT, "", "http.disconnect", None, ""),
        _ => {}
    }
    Ok(())
}

#[inline]
fn hello(out: &mut Outbox<'_>) -> Result<Flow, SendError> {
    out.respond(200, &[TEXT], b"Hello, World!")
}

/// Chooses the page.
pub(crate) fn route(scope: &HttpScope<'_>) -> Page {
    let query = scope.query_string;
    let page = match scope.path {
        PLAINTEXT => Page::Plaintext,
        "/" => Page::Index,
        "/json" => Page::Json,
        "/echo" => return route_echo(scope),
        "/stream" => Page::Stream {
            left: query_number(query, "chunks", 10),
            size: query_number(query, "size", 1024) as usize,
            begun: false,
        },
        "/trailers" => Page::Trailers,
        "/hints" => Page::Hints,
        "/slow" => Page::Slow { ms: query_number(query, "ms", 100) },
        "/file" => file_named(query_value(query, "name")).map_or(Page::NoFile, Page::File),
        "/events" => Page::Events {
            left: query_number(query, "n", 3),
            next: 1,
            ms: query_number(query, "ms", 100),
        },
        "/state" => {
            let requests = SHARED.state_requests.fetch_add(1, Ordering::Relaxed) + 1;
            let started = scope.state.get::<Started>().is_some_and(|started| started.0);
            Page::Document(
                json!({"state": {"started": started}, "requests": requests}).to_string().into(),
            )
        }
        "/panic" => Page::Panic,
        "/error" => Page::Error,
        "/half" => Page::Half { begun: false },
        "/nothing" => Page::Nothing,
        "/disconnects" => Page::Disconnects,
        "/stats" => Page::Stats,
        path if path == "/scope" || path.starts_with("/scope/") => {
            Page::Document(scope_json(&Scope::Http(*scope)).to_string().into())
        }
        path if WEBSOCKET_PATHS.contains(&path) => Page::UpgradeRequired,
        _ => return Page::NotFound,
    };
    match scope.method {
        "GET" | "HEAD" => page,
        _ if matches!(page, Page::UpgradeRequired) => Page::MethodNotAllowed("GET"),
        _ => Page::MethodNotAllowed("GET, HEAD"),
    }
}

fn route_echo(scope: &HttpScope<'_>) -> Page {
    if !matches!(scope.method, "POST" | "PUT") {
        return Page::MethodNotAllowed("POST, PUT");
    }
    let field = |name| scope.headers.get(name).map(Box::from);
    Page::Echo(Echo {
        content_type: field("content-type"),
        content_length: field("content-length"),
        begun: false,
    })
}

impl Page {
    /// The path, where a visit costs no allocation.
    pub(crate) fn known_path(&self) -> Option<&'static str> {
        match self {
            Page::Plaintext => Some(PLAINTEXT),
            Page::Echo(_) => Some("/echo"),
            _ => None,
        }
    }

    pub(crate) fn receive(
        &mut self,
        event: Event<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), AppError> {
        match (self, event) {
            (Page::Echo(echo), event) => return echo.receive(event, out),
            // A refusal needs no body: given at the first event, it does not invite one.
            (
                page @ (Page::NotFound
                | Page::NoFile
                | Page::UpgradeRequired
                | Page::MethodNotAllowed(_)),
                Event::HttpRequest { .. },
            )
            | (page, Event::HttpRequest { more_body: false, .. }) => return page.answer(out),
            (Page::Stream { left, size, begun }, Event::Drain) => {
                return stream(left, *size, begun, out);
            }
            (Page::Events { left, next, ms }, Event::Timer) => return events(left, next, *ms, out),
            // The next one comes from another server: the client asks again.
            (Page::Events { left, next, ms }, Event::Shutdown) if *next > 1 => {
                *left = 0;
                return events(left, next, *ms, out);
            }
            // The response has begun; now it goes wrong.
            (Page::Half { begun: true }, Event::Timer) => return Err("half an answer".into()),
            _ => {}
        }
        Ok(())
    }

    /// The request is complete.
    fn answer(&mut self, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match self {
            Page::Plaintext => hello(out)?,
            Page::Index => out.respond(200, &[HTML], include_bytes!("index.html"))?,
            Page::Json => out.respond(200, &[JSON], br#"{"message":"Hello, World!"}"#)?,
            Page::Stream { left, size, begun } => return stream(left, *size, begun, out),
            Page::Trailers => return trailers(out),
            Page::Hints => return hints(out),
            Page::Slow { ms } => {
                let (handle, wait) = (out.handle(), Duration::from_millis(*ms));
                std::thread::Builder::new().spawn(move || {
                    std::thread::sleep(wait);
                    // The client may be gone by now: nothing to do then.
                    let _ = handle.respond(200, &[TEXT], b"done");
                })?;
                return Ok(());
            }
            Page::File(path) => return file(path, out),
            Page::Events { left, next, ms } => {
                out.send(SendEvent::HttpResponseStart {
                    status: 200,
                    headers: &[
                        (b"content-type", b"text/event-stream"),
                        (b"cache-control", b"no-cache"),
                    ],
                    trailers: false,
                })?;
                return events(left, next, *ms, out);
            }
            Page::Document(json) => out.respond(200, &[JSON], json.as_bytes())?,
            Page::Disconnects => {
                out.respond(200, &[JSON], SHARED.disconnects().to_string().as_bytes())?
            }
            Page::Stats => out.respond(200, &[JSON], SHARED.stats().to_string().as_bytes())?,
            Page::Panic => panic!("asked to panic"),
            Page::Error => return Err("asked to fail".into()),
            Page::Half { begun } => {
                *begun = true;
                out.send(SendEvent::HttpResponseStart {
                    status: 200,
                    headers: &[TEXT],
                    trailers: false,
                })?;
                let flow =
                    out.send(SendEvent::HttpResponseBody { body: b"half", more_body: true })?;
                out.wake_after(Duration::from_millis(10));
                flow
            }
            Page::Nothing => return Ok(()),
            Page::NotFound => out.respond(404, &[TEXT], b"not found\n")?,
            Page::NoFile => out.respond(404, &[TEXT], b"no such file\n")?,
            Page::UpgradeRequired => out.respond(
                426,
                &[TEXT, (b"upgrade", b"websocket")],
                b"this path speaks WebSocket only\n",
            )?,
            Page::MethodNotAllowed(allow) => out.respond(
                405,
                &[TEXT, (b"allow", allow.as_bytes())],
                b"this path does not know that method\n",
            )?,
            Page::Echo(_) => Flow::Ready,
        };
        Ok(())
    }
}

impl Echo {
    /// Streams the body back as it arrives; a client that does not read is not read.
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match event {
            // The client waits for a 100: an answer now would suppress it.
            Event::HttpRequest { body: b"", more_body: true } => {}
            Event::HttpRequest { body, more_body } => {
                if !self.begun {
                    self.begun = true;
                    let mut headers: Vec<Field<'_>> = Vec::new();
                    if let Some(value) = &self.content_type {
                        headers.push((b"content-type", value));
                    }
                    if let Some(value) = &self.content_length {
                        headers.push((b"content-length", value));
                    }
                    out.send(SendEvent::HttpResponseStart {
                        status: 200,
                        headers: &headers,
                        trailers: false,
                    })?;
                }
                if out.send(SendEvent::HttpResponseBody { body, more_body })? == Flow::Full {
                    out.pause();
                }
            }
            Event::Drain => out.resume(),
            _ => {}
        }
        Ok(())
    }
}

/// Sends pieces until the peer cannot keep up; `Drain` goes on.
fn stream(
    left: &mut u64,
    size: usize,
    begun: &mut bool,
    out: &mut Outbox<'_>,
) -> Result<(), AppError> {
    if !*begun {
        *begun = true;
        out.send(SendEvent::HttpResponseStart {
            status: 200,
            headers: &[(b"content-type", b"application/octet-stream")],
            trailers: false,
        })?;
    }
    let piece = vec![b'x'; size];
    while *left > 0 {
        *left -= 1;
        let flow = out.send(SendEvent::HttpResponseBody { body: &piece, more_body: true })?;
        if flow == Flow::Full {
            return Ok(());
        }
    }
    out.send(SendEvent::HttpResponseBody { body: b"", more_body: false })?;
    Ok(())
}

fn trailers(out: &mut Outbox<'_>) -> Result<(), AppError> {
    out.send(SendEvent::HttpResponseStart {
        status: 200,
        headers: &[TEXT, (b"trailer", b"x-checksum")],
        trailers: true,
    })?;
    out.send(SendEvent::HttpResponseBody { body: b"checked ", more_body: true })?;
    out.send(SendEvent::HttpResponseBody { body: b"body", more_body: false })?;
    out.send(SendEvent::HttpResponseTrailers {
        headers: &[(b"x-checksum", b"12")],
        more_trailers: false,
    })?;
    Ok(())
}

fn hints(out: &mut Outbox<'_>) -> Result<(), AppError> {
    out.send(SendEvent::HttpResponseEarlyHint {
        links: &[b"</style.css>; rel=preload; as=style"],
    })?;
    out.respond(200, &[TEXT], b"hinted")?;
    Ok(())
}

/// One server-sent event; a timer brings the next.
fn events(left: &mut u64, next: &mut u64, ms: u64, out: &mut Outbox<'_>) -> Result<(), AppError> {
    if *left == 0 {
        out.send(SendEvent::HttpResponseBody { body: b"", more_body: false })?;
        return Ok(());
    }
    let event = format!("id: {next}\ndata: event {next}\n\n");
    (*left, *next) = (*left - 1, *next + 1);
    let more_body = *left > 0;
    out.send(SendEvent::HttpResponseBody { body: event.as_bytes(), more_body })?;
    if more_body {
        out.wake_after(Duration::from_millis(ms));
    }
    Ok(())
}

/// The path of a file of the folder, if there is one of this name.
fn file_named(name: Option<String>) -> Option<Box<Path>> {
    let name = name.filter(|name| {
        !name.is_empty()
            && !name.starts_with('.')
            && !name.contains(['/', '\\', '\0', ':'])
            && name.is_ascii()
    })?;
    let path = files().join(name);
    path.is_file().then(|| path.into_boxed_path())
}

/// The server reads the file, we only name it.
fn file(path: &Path, out: &mut Outbox<'_>) -> Result<(), AppError> {
    let is_text = path.extension().is_some_and(|extension| extension == "txt");
    let content_type: &[u8] = if is_text { b"text/plain" } else { b"application/octet-stream" };
    let length = path.metadata()?.len().to_string();
    out.send(SendEvent::HttpResponseStart {
        status: 200,
        headers: &[(b"content-type", content_type), (b"content-length", length.as_bytes())],
        trailers: false,
    })?;
    out.send(SendEvent::HttpResponsePathsend { path })?;
    Ok(())
}
