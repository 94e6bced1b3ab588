//! The WebSockets: one variant each.

use std::time::Duration;

use oneport::{
    AppError, Event, Flow, Message, OriginPolicy, Outbox, Scope, SendEvent, WebSocketScope,
};

use oneport::http::target::query_value;

use crate::shared::{query_number, scope_json};

/// The group of `/broadcast`.
const EVERYONE: &str = "broadcast";

pub(crate) enum Socket {
    Echo,
    Broadcast,
    Scope(Box<str>),
    Subprotocol(Option<&'static str>),
    Deny,
    DenyCustom,
    Headers,
    Close { code: u16, reason: Box<str> },
    Error,
    Panic,
    Flood { left: u64, size: usize },
    Origin { allowed: bool },
}

/// Chooses the socket; `None` is 404.
pub(crate) fn route(scope: &WebSocketScope<'_>) -> Option<Socket> {
    let query = scope.query_string;
    Some(match scope.path {
        "/ws" => Socket::Echo,
        "/broadcast" => Socket::Broadcast,
        "/scope" => Socket::Scope(scope_json(&Scope::WebSocket(*scope)).to_string().into()),
        "/subprotocol" => Socket::Subprotocol(scope.choose_subprotocol(&["chat.v2", "chat.v1"])),
        "/deny" => Socket::Deny,
        "/deny-custom" => Socket::DenyCustom,
        "/headers" => Socket::Headers,
        "/close" => Socket::Close {
            code: query_number(query, "code", 1000).try_into().unwrap_or(0),
            reason: query_value(query, "reason").unwrap_or_default().into(),
        },
        "/error" => Socket::Error,
        "/panic" => Socket::Panic,
        "/flood" => Socket::Flood {
            left: query_number(query, "n", 100),
            size: query_number(query, "size", 1024) as usize,
        },
        "/origin" => Socket::Origin { allowed: OriginPolicy::same().allows(scope) },
        _ => return None,
    })
}

impl Socket {
    /// The path, where a visit costs no allocation.
    pub(crate) fn known_path(&self) -> Option<&'static str> {
        match self {
            Socket::Echo => Some("/ws"),
            Socket::Broadcast => Some("/broadcast"),
            _ => None,
        }
    }

    /// A message came.
    #[inline]
    pub(crate) fn message(
        &mut self,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), AppError> {
        match self {
            Socket::Echo => echo(message, out),
            other => other.other_message(message, out),
        }
    }

    fn other_message(
        &mut self,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), AppError> {
        match self {
            Socket::Broadcast => {
                out.publish(EVERYONE, message);
            }
            Socket::Error => return Err("asked to fail".into()),
            Socket::Panic => panic!("asked to panic"),
            Socket::Flood { .. } => {}
            _ => echo(message, out)?,
        }
        Ok(())
    }

    /// Something else happened.
    pub(crate) fn receive(
        &mut self,
        event: Event<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), AppError> {
        match (self, event) {
            (socket, Event::WebSocketConnect) => return socket.connect(out),
            (Socket::Close { code, reason }, Event::Timer) => {
                out.close(*code, reason)?;
            }
            (Socket::Flood { left, size }, Event::Drain) => return flood(left, *size, out),
            (_, Event::Drain) => out.resume(),
            _ => {}
        }
        Ok(())
    }

    fn connect(&mut self, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match self {
            Socket::Echo | Socket::Error | Socket::Panic => out.accept()?,
            Socket::Broadcast => {
                let flow = out.accept()?;
                out.join(EVERYONE)?;
                flow
            }
            Socket::Scope(json) => {
                out.accept()?;
                out.message(&**json)?
            }
            Socket::Subprotocol(chosen) => {
                out.send(SendEvent::WebSocketAccept { subprotocol: *chosen, headers: &[] })?
            }
            Socket::Deny | Socket::Origin { allowed: false } => out.close(1000, "")?,
            Socket::Origin { allowed: true } => out.accept()?,
            Socket::DenyCustom => {
                out.send(SendEvent::WebSocketHttpResponseStart {
                    status: 401,
                    headers: &[(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")],
                })?;
                out.send(SendEvent::WebSocketHttpResponseBody {
                    body: b"log in ",
                    more_body: true,
                })?;
                out.send(SendEvent::WebSocketHttpResponseBody { body: b"first", more_body: false })?
            }
            Socket::Headers => out.send(SendEvent::WebSocketAccept {
                subprotocol: None,
                headers: &[(b"x-accepted", b"yes")],
            })?,
            Socket::Close { .. } => {
                // Close in an event of its own: if the code may not be sent, the accept has left.
                out.wake_after(Duration::ZERO);
                out.accept()?
            }
            Socket::Flood { left, size } => {
                out.accept()?;
                return flood(left, *size, out);
            }
        };
        Ok(())
    }
}

/// An echo whose peer does not read stops reading it.
#[inline]
fn echo(message: Message<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
    if out.message(message)? == Flow::Full {
        out.pause();
    }
    Ok(())
}

/// Sends messages until the peer cannot keep up; `Drain` goes on.
fn flood(left: &mut u64, size: usize, out: &mut Outbox<'_>) -> Result<(), AppError> {
    let payload = vec![0; size];
    while *left > 0 {
        *left -= 1;
        if out.message(Message::Binary(&payload))? == Flow::Full {
            break;
        }
    }
    Ok(())
}
