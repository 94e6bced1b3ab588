//! Connecting: from a URI to an open WebSocket.

use std::time::{Duration, Instant};

use super::engine::{Engine, fill_random};
use super::error::{Error, Wait};
use super::response::{Arriving, Response};
use super::socket::{self, Socket};
use super::tls::Roots;
use super::uri::Uri;
use super::websocket::WebSocket;
use crate::asgi::Config;
use crate::bytes::output::Sink;
use crate::http::head::Limits;
use crate::http::headers::Headers;
use crate::http::response::{self, ResponseHead};
use crate::ws::client_handshake::{self, Request};
use crate::ws::extension::Deflate;

/// A connection to be made.
///
/// ```no_run
/// use std::time::Duration;
/// use oneport::client::Connect;
///
/// # fn main() -> Result<(), oneport::client::Error> {
/// let mut socket = Connect::to("ws://127.0.0.1:8000/chat")
///     .subprotocol("chat.v2")
///     .field("authorization", "Bearer secret")
///     .connect_timeout(Duration::from_secs(3))
///     .connect()?;
/// socket.send("hello")?;
/// println!("{:?}", socket.receive()?);
/// socket.close(1000, "bye")
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Connect {
    uri: String,
    origin: Option<String>,
    subprotocols: Vec<String>,
    fields: Vec<(String, String)>,
    deflate: Option<Deflate>,
    connect_timeout: Duration,
    receive_timeout: Option<Duration>,
    roots: Roots,
    config: Config,
}

impl Connect {
    /// To this URI, with the defaults.
    pub fn to(uri: &str) -> Self {
        Self {
            uri: uri.to_string(),
            origin: None,
            subprotocols: Vec::new(),
            fields: Vec::new(),
            deflate: None,
            connect_timeout: Duration::from_secs(10),
            receive_timeout: None,
            roots: Roots::default(),
            config: Config {
                // A program that does not receive must not keep itself from sending, nor pings
                // from being answered: a send waits until its bytes have left.
                high_water: usize::MAX,
                low_water: usize::MAX,
                hard_limit: usize::MAX,
                ..Config::default()
            },
        }
    }

    /// A further field of the request, as `authorization` or `cookie`. [`Connect::connect`] refuses
    /// those of the handshake itself: `host`, `upgrade`, `sec-websocket-key` and their like.
    #[doc(alias = "header")]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_string(), value.to_string()));
        self
    }

    /// A subprotocol that is offered; the first is the one liked best. What the server chose, if
    /// it chose one, tells [`WebSocket::subprotocol`].
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.subprotocols.push(name.to_string());
        self
    }

    /// The Origin field, which browsers send and servers may check. Default: none.
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.to_string());
        self
    }

    /// Offers to compress messages (RFC 7692). Default: no.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, deflate: Deflate) -> Self {
        self.deflate = Some(deflate);
        self
    }

    /// Trusts these root certificates (PEM) instead of those of Mozilla.
    ///
    /// # Errors
    /// [`Error::Tls`] if there is no certificate in it.
    #[cfg(feature = "tls")]
    pub fn roots(mut self, pem: &[u8]) -> Result<Self, Error> {
        self.roots = Roots::from_pem(pem)?;
        Ok(self)
    }

    /// For everything until the WebSocket is open: the name, the connection, TLS, the
    /// handshake. Default 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long [`WebSocket::receive`] waits. Default: for ever, but see
    /// [`Connect::ping_interval`].
    pub fn receive_timeout(mut self, timeout: Duration) -> Self {
        self.receive_timeout = Some(timeout);
        self
    }

    /// How long a send waits while the server takes nothing. Default 30 s.
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.config.write_timeout = timeout;
        self
    }

    /// How long [`WebSocket::close`] waits for the server's Close. Default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// Between two pings, which tell that the server is still there; they are sent while the
    /// program waits for something. Zero: none. Default 20 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.config.ping_interval = interval;
        self
    }

    /// For the pong that answers a ping, be it one of [`WebSocket::ping`]: past it the server is
    /// taken for dead, and the WebSocket ends with [`Wait::Keepalive`]. It has the same time again as
    /// long as it shows otherwise that it is there: what came from it and what it took reach
    /// [`Connect::min_body_rate`], or a message that has come in part is younger than 5 s. Default
    /// 20 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.config.ping_timeout = timeout;
        self
    }

    /// Without any byte of a message of which a part has come; past it closes with 1008. What a
    /// program that does not wait does not read, the server is not late with. Default 30 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.config.body_timeout = timeout;
        self
    }

    /// Bytes per second that a message must reach after its first 5 s; below it closes with 1008. Also
    /// what a server whose pong is late must send or take meanwhile, not to be taken for dead: see
    /// [`Connect::ping_timeout`]. 0 switches it off. Default 240.
    pub fn min_body_rate(mut self, bytes: u64) -> Self {
        self.config.min_body_rate = bytes;
        self
    }

    /// Bytes of a message; a larger one closes with 1009. Default 64 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.config.max_message = bytes;
        self
    }

    /// Connects and opens the WebSocket.
    ///
    /// # Errors
    /// Whatever [`Error`] tells apart, but for what needs an open WebSocket.
    pub fn connect(self) -> Result<WebSocket, Error> {
        let uri = Uri::parse(&self.uri)?;
        let far = Duration::from_secs(365 * 24 * 60 * 60);
        let deadline = Instant::now() + self.connect_timeout.min(far);
        let request = Request {
            target: &uri.target,
            host: &uri.host_field,
            origin: self.origin.as_deref(),
            subprotocols: &self.subprotocols,
            deflate: self.deflate,
            fields: &self.fields,
        };
        let mut random = [0; 16];
        fill_random(&mut random);
        let key = client_handshake::key(random);
        let mut bytes = Vec::new();
        client_handshake::write_request(&mut bytes, &request, &key).map_err(Error::Invalid)?;
        let mut socket = Socket::connect(&uri, &self.roots, deadline)?;
        let sent = send_all(&mut socket, &bytes, deadline);

        // A server that refuses early need not have read the request: its answer says more than the
        // write that failed.
        let mut answer = Answer::default();
        let head = match sent {
            Ok(()) => answer.head(&mut socket, deadline)?,
            Err(why @ Error::Broken(_)) => answer.head(&mut socket, deadline).map_err(|_| why)?,
            Err(why) => return Err(why),
        };
        if head.status != 101 {
            return Err(Error::Refused(Box::new(answer.refusal(head, &mut socket, deadline))));
        }
        let headers = Headers::new(&answer.bytes, &answer.fields);
        let accepted = client_handshake::check(headers, &request, &key)
            .map_err(|mistake| Error::Handshake(mistake.to_string()))?;
        let compression = accepted.agreed.zip(self.deflate);
        let response = Response::new(head.status, headers);
        let rest = answer.bytes.split_off(head.len);
        let engine = Engine::new(socket, self.config, compression, rest);
        Ok(WebSocket::new(
            engine,
            response,
            accepted.subprotocol,
            compression.is_some(),
            self.receive_timeout,
        ))
    }
}

fn broken(source: std::io::Error) -> Error {
    Error::Broken(source)
}

fn send_all(socket: &mut Socket, mut bytes: &[u8], deadline: Instant) -> Result<(), Error> {
    loop {
        let taken = socket.offer(&[std::io::IoSlice::new(bytes)]).map_err(broken)?;
        bytes = &bytes[taken..];
        if let Some(failure) = socket.failure() {
            return Err(broken(failure));
        }
        if bytes.is_empty() && !socket.wants_write() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut(Wait::Connect));
        }
        socket::wait(&socket.stream(), false, true, Some(deadline)).map_err(broken)?;
        socket.flush();
    }
}

/// The server's answer as it arrives.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    fields: Vec<crate::http::head::FieldSpan>,
}

impl Answer {
    /// Reads more; false if the server has ended the connection.
    fn read(&mut self, socket: &mut Socket, deadline: Instant) -> Result<bool, Error> {
        let mut piece = [0; 4096];
        loop {
            match socket.read(&mut piece) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.bytes.extend_from_slice(&piece[..n]);
                    return Ok(true);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(error)),
            }
            if Instant::now() >= deadline {
                return Err(Error::TimedOut(Wait::Connect));
            }
            socket::wait(&socket.stream(), true, socket.wants_write(), Some(deadline))
                .map_err(broken)?;
        }
    }

    /// The head of the final response; interim ones (RFC 9110 §15.2) are passed over.
    fn head(&mut self, socket: &mut Socket, deadline: Instant) -> Result<ResponseHead, Error> {
        loop {
            let parsed = response::parse(&mut self.bytes, &mut self.fields, Limits::default());
            match parsed.map_err(|why| Error::Handshake(why.to_string()))? {
                Some(head) if head.status != 101 && head.status < 200 => {
                    self.bytes.drain(..head.len);
                    continue;
                }
                Some(head) => return Ok(head),
                None => {}
            }
            if !self.read(socket, deadline)? {
                return Err(broken(std::io::Error::new(
                    std::io::ErrorKind::UnexpectedEof,
                    "the server ended it before it answered the handshake",
                )));
            }
        }
    }

    /// The refusal with as much of its body as comes in time.
    fn refusal(
        mut self,
        head: ResponseHead,
        socket: &mut Socket,
        deadline: Instant,
    ) -> super::Response {
        let mut arriving = Arriving::new(head.status, &self.bytes, &self.fields);
        self.bytes.drain(..head.len);
        while !arriving.take(&mut self.bytes) {
            self.bytes.clear();
            // What came is worth more than an error about what did not.
            if !matches!(self.read(socket, deadline), Ok(true)) {
                break;
            }
        }
        arriving.end()
    }
}
