//! What is sent: encoded once, before anything begins.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use oneport::Deflate;
use oneport::client::{Error, Uri};
use oneport::http::sender;
use oneport::ws::client_handshake::{self, Request};
use oneport::ws::frame::{self, Header, Opcode};
use oneport::ws::mask;

use super::Flags;
use super::packed;
use crate::exit;

/// Bytes of messages that are prepared in a row, so that one write takes many of them.
const BATCH: usize = 256 * 1024;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) address: SocketAddr,
    pub(super) uri: Uri,
    pub(super) websocket: bool,
    /// For WebSocket: what an echo must be.
    pub(super) opcode: Opcode,
    pub(super) payload: Vec<u8>,
    /// Whether compression is demanded, and what of the payload is sent then if it shrinks.
    pub(super) deflate: Option<Deflate>,
    pub(super) packed: Option<Vec<u8>>,
    /// One message as it goes on the wire, some times in a row.
    pub(super) batch: Vec<u8>,
    /// Bytes of one message on the wire.
    pub(super) unit: usize,
    pub(super) depth: usize,
    /// Messages a second that one connection is to carry; `None`: as many as are answered.
    pub(super) rate: Option<f64>,
    /// Departure: RFC 6455 §5.3 wants a fresh masking key for each frame, so that no page can
    /// choose the bytes on the wire. There is no page here, the payload is known to all, and one
    /// frame that is encoded once keeps the load from measuring itself: one key for all.
    pub(super) key: [u8; 4],
    pub(super) fields: Vec<(String, String)>,
    pub(super) subprotocols: Vec<String>,
    pub(super) origin: Option<String>,
}

impl Plan {
    /// Plans, and sees whether anybody listens.
    ///
    /// # Errors
    /// The exit code, and what is wrong.
    pub(super) fn new(flags: &Flags) -> Result<Self, (u8, String)> {
        let usage = |what: String| (exit::USAGE, what);
        let websocket = !flags.uri.to_ascii_lowercase().starts_with("http");
        let parse = if websocket { Uri::parse } else { Uri::parse_http };
        let uri = parse(&flags.uri).map_err(|error| usage(error.to_string()))?;
        if uri.secure {
            let what = "the load speaks no TLS: give a ws:// or http:// URL";
            return Err(usage(what.to_string()));
        }
        if flags.deflate().is_some() && !websocket {
            return Err(usage("--deflate is for WebSockets: give a ws:// URL".to_string()));
        }
        let mut key = [0; 4];
        getrandom::fill(&mut key).map_err(|error| (exit::BROKEN, error.to_string()))?;
        let size = flags.size.unwrap_or(if websocket { 128 } else { 0 }) as usize;
        let mut plan = Self {
            address: find(&uri).map_err(|what| (exit::BROKEN, what))?,
            uri,
            websocket,
            opcode: if flags.binary { Opcode::Binary } else { Opcode::Text },
            payload: (b'a'..=b'z').cycle().take(size).collect(),
            deflate: flags.deflate(),
            packed: None,
            batch: Vec::new(),
            unit: 0,
            depth: flags.depth as usize,
            rate: flags.rate.map(|rate| f64::from(rate) / f64::from(flags.connections)),
            key,
            fields: flags.fields.clone(),
            subprotocols: flags.subprotocol.clone(),
            origin: flags.origin.clone(),
        };
        let one = if websocket {
            // Is there anything in the handshake that may not be sent?
            plan.handshake(&mut Vec::new()).map_err(usage)?;
            plan.packed = plan.deflate.and_then(|deflate| packed::pack(&plan.payload, deflate));
            let mut one = Vec::new();
            match &plan.packed {
                Some(packed) => plan.write_frame(&mut one, true, plan.opcode, packed),
                None => plan.write_frame(&mut one, false, plan.opcode, &plan.payload),
            }
            one
        } else {
            plan.request().map_err(usage)?
        };
        plan.unit = one.len();
        plan.batch = one.repeat(plan.depth.min(BATCH / one.len()).max(1));
        Ok(plan)
    }

    /// A plan of which nothing is sent.
    #[cfg(test)]
    pub(super) fn for_tests(payload: &[u8]) -> Self {
        Self {
            address: ([127, 0, 0, 1], 1).into(),
            uri: Uri::parse("ws://127.0.0.1:1/").expect("it is valid"),
            websocket: true,
            opcode: Opcode::Text,
            payload: payload.to_vec(),
            deflate: None,
            packed: None,
            batch: Vec::new(),
            unit: 0,
            depth: 1,
            rate: None,
            key: [1, 2, 3, 4],
            fields: Vec::new(),
            subprotocols: Vec::new(),
            origin: None,
        }
    }

    /// Appends a masked frame.
    pub(super) fn write_frame(
        &self,
        out: &mut Vec<u8>,
        rsv1: bool,
        opcode: Opcode,
        payload: &[u8],
    ) {
        let (mask, len) = (Some(self.key), payload.len() as u64);
        frame::encode_header(out, Header { fin: true, rsv1, opcode, mask, len });
        let at = out.len();
        out.extend_from_slice(payload);
        mask::apply(&mut out[at..], self.key);
    }

    /// What the opening handshake asks for.
    pub(super) fn upgrade(&self) -> Request<'_> {
        Request {
            target: &self.uri.target,
            host: &self.uri.host_field,
            origin: self.origin.as_deref(),
            subprotocols: &self.subprotocols,
            deflate: self.deflate,
            fields: &self.fields,
        }
    }

    /// Appends an opening handshake; its key.
    pub(super) fn handshake(&self, out: &mut Vec<u8>) -> Result<String, String> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let key = client_handshake::key(random);
        client_handshake::write_request(out, &self.upgrade(), &key)
            .map_err(|invalid| Error::Invalid(invalid).to_string())?;
        Ok(key)
    }

    /// One HTTP request.
    fn request(&self) -> Result<Vec<u8>, String> {
        let method = if self.payload.is_empty() { "GET" } else { "POST" };
        let mut out = format!("{method} {} HTTP/1.1\r\n", self.uri.target).into_bytes();
        let length = self.payload.len().to_string();
        let mut own = vec![("host", self.uri.host_field.as_str())];
        if let Some(origin) = &self.origin {
            own.push(("origin", origin));
        }
        let given = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        if !self.payload.is_empty() {
            own.push(("content-length", length.as_str()));
            if !given.clone().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                own.push(("content-type", "text/plain"));
            }
        }
        for (name, _) in given.clone() {
            // These decide where a request ends, or whether another one may follow.
            let framing =
                ["content-length", "transfer-encoding", "connection", "upgrade", "expect"];
            if framing.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
                return Err(format!(
                    "the field {name} cannot be given: it would change where a \
                     request ends, or whether another one may follow"
                ));
            }
            if own.iter().any(|(ours, _)| name.eq_ignore_ascii_case(ours)) {
                return Err(format!("the field {name} is sent already, and must be there once"));
            }
        }
        for (name, value) in own.iter().copied().chain(given) {
            sender::append_field(&mut out, name.as_bytes(), value.as_bytes())
                .map_err(|invalid| invalid.rule().to_string())?;
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.payload);
        Ok(out)
    }
}

/// The first address of the host that takes a connection.
fn find(uri: &Uri) -> Result<SocketAddr, String> {
    let name = format!("{}:{}", uri.host, uri.port);
    let addresses = (uri.host.as_str(), uri.port)
        .to_socket_addrs()
        .map_err(|error| format!("the name {:?} could not be resolved: {error}", uri.host))?;
    let mut last = format!("the name {:?} has no address", uri.host);
    for address in addresses {
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(_) => return Ok(address),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                last = format!("{name} refused the connection: is the server running?");
            }
            Err(error) => last = format!("could not connect to {name}: {error}"),
        }
    }
    Err(last)
}
