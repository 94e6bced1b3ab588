//! A row: bytes of a peer, and what must come of them.

use oneport::http::Error;
use oneport::ws::handshake::Refusal;

/// What the connection is like after the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Ready for the next request, which is served.
    Idle,
    /// Over: a request behind the input is not seen.
    Ended,
    /// In the middle of a message.
    Waiting,
    /// It speaks WebSocket: a request behind the input is not seen.
    Upgraded,
}

/// The rule that the last request broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Http(Error),
    Handshake(Refusal),
}

impl Refused {
    pub(crate) fn status(self) -> u16 {
        match self {
            Refused::Http(error) => error.status(),
            Refused::Handshake(refusal) => refusal.status(),
        }
    }

    pub(crate) fn section(self) -> &'static str {
        match self {
            Refused::Http(error) => error.section(),
            Refused::Handshake(refusal) => refusal.section(),
        }
    }

    /// The body of the answer.
    pub(crate) fn text(self) -> String {
        match self {
            Refused::Http(error) => format!("{error}\n"),
            Refused::Handshake(refusal) => {
                format!("{} ({})\n", refusal.rule(), refusal.section())
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The line of `docs/HTTP-DECISIONS.md` that it shows.
    pub(crate) decision: &'static str,
    pub(crate) name: String,
    pub(crate) input: Vec<u8>,
    /// What the application is told, scope by scope: method, target, body; `cut` in the place of
    /// the body if the request did not come to its end.
    pub(crate) told: Vec<String>,
    pub(crate) refused: Option<Refused>,
    pub(crate) then: Then,
    /// A 100 is sent if the body does not come together with the head.
    pub(crate) interim: bool,
    /// What is refused is a HEAD: its answer has no body.
    pub(crate) head: bool,
    /// One of many of its kind: it is not split at every position.
    pub(crate) family: bool,
}

impl Row {
    /// It has a 100.
    pub(crate) fn interim(self) -> Self {
        Self { interim: true, ..self }
    }

    /// Its input, to be printed.
    pub(crate) fn text(&self) -> String {
        self.input.escape_ascii().to_string()
    }

    /// A HEAD is refused.
    pub(crate) fn head(self) -> Self {
        Self { head: true, ..self }
    }

    pub(crate) fn family(self) -> Self {
        Self { family: true, ..self }
    }
}

fn row(decision: &'static str, name: &str, input: &str, told: &[&str], then: Then) -> Row {
    Row {
        decision,
        name: format!("{decision}: {name}"),
        input: wire(input),
        told: told.iter().map(ToString::to_string).collect(),
        refused: None,
        then,
        interim: false,
        head: false,
        family: false,
    }
}

/// All requests are served, the next one can come.
pub(crate) fn served(decision: &'static str, name: &str, input: &str, told: &[&str]) -> Row {
    row(decision, name, input, told, Then::Idle)
}

/// All requests are served, the last one ends the connection.
pub(crate) fn ended(decision: &'static str, name: &str, input: &str, told: &[&str]) -> Row {
    row(decision, name, input, told, Then::Ended)
}

/// The message is not complete.
pub(crate) fn waits(decision: &'static str, name: &str, input: &str, told: &[&str]) -> Row {
    row(decision, name, input, told, Then::Waiting)
}

/// The protocol changes.
pub(crate) fn upgraded(decision: &'static str, name: &str, input: &str, told: &[&str]) -> Row {
    row(decision, name, input, told, Then::Upgraded)
}

/// The last request breaks a rule.
pub(crate) fn refused(
    decision: &'static str,
    name: &str,
    input: &str,
    told: &[&str],
    error: Error,
) -> Row {
    let refused = Some(Refused::Http(error));
    Row { refused, ..row(decision, name, input, told, Then::Ended) }
}

/// The last request breaks a rule of the opening handshake.
pub(crate) fn denied(decision: &'static str, name: &str, input: &str, refusal: Refusal) -> Row {
    let refused = Some(Refused::Handshake(refusal));
    Row { refused, ..row(decision, name, input, &[], Then::Ended) }
}

/// Bytes as a row writes them: an end of line stands for CR LF, `␊` for a bare LF, `␍` for a bare
/// CR; characters up to U+00FF are one byte, others are UTF-8.
pub(crate) fn wire(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for c in text.chars() {
        match c {
            '\n' => bytes.extend_from_slice(b"\r\n"),
            '␊' => bytes.push(b'\n'),
            '␍' => bytes.push(b'\r'),
            _ => match u8::try_from(u32::from(c)) {
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            },
        }
    }
    bytes
}

/// A GET with these further lines.
pub(crate) fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\nHost: h\n{lines}\n")
}

/// A POST with these further lines, and what follows its head.
pub(crate) fn post(lines: &str, behind: &str) -> String {
    format!("POST / HTTP/1.1\nHost: h\n{lines}\n{behind}")
}

/// A chunked POST.
pub(crate) fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\n", body)
}
