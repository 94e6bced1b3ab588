//! One connection: what is under way, and what is still to be sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::rc::Rc;

use mio::net::TcpStream;
use oneport::http::head::Limits;
use oneport::http::headers::Headers;
use oneport::http::response;
use oneport::ws::client_handshake;
use oneport::ws::frame::Opcode;

use super::fault::Fault;
use super::http::Responses;
use super::packed::{self, Unpacker};
use super::plan::Plan;
use super::websocket::Echoes;

/// How far a connection is.
#[derive(Debug)]
pub(super) enum Stage {
    /// TCP is about to connect.
    Connecting,
    /// The opening handshake was sent: its key, and what came of the answer.
    Handshake(String, Vec<u8>),
    WebSocket(Echoes),
    Http(Responses),
    /// Our Close was sent.
    Closing,
    /// It is gone, for good.
    Lost,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: Option<TcpStream>,
    pub(super) stage: Stage,
    /// When each message was handed over that is not answered yet, the oldest first.
    pub(super) sent: VecDeque<u64>,
    /// Bytes of messages that are still to be written. All messages are alike, so a number
    /// says which.
    pending: usize,
    /// What goes between two messages: a handshake, pongs, a Close.
    pub(super) between: Vec<u8>,
    writable: bool,
    /// When something was read last.
    pub(super) read_at: u64,
    pub(super) was_open: bool,
    /// If echoes may be compressed: that of the thread.
    unpacker: Option<Rc<RefCell<Unpacker>>>,
}

impl Link {
    pub(super) fn new(depth: usize, unpacker: Option<Rc<RefCell<Unpacker>>>) -> Self {
        Self {
            stream: None,
            stage: Stage::Lost,
            sent: VecDeque::with_capacity(depth),
            pending: 0,
            between: Vec::new(),
            writable: false,
            read_at: 0,
            was_open: false,
            unpacker,
        }
    }

    /// A connection that has just been asked for.
    pub(super) fn connecting(&mut self, stream: TcpStream) {
        self.stream = Some(stream);
        self.stage = Stage::Connecting;
        self.between.clear();
        self.pending = 0;
        self.writable = false;
    }

    pub(super) fn lose(&mut self) {
        self.stream = None;
        self.stage = Stage::Lost;
    }

    /// May messages be sent?
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::WebSocket(_) | Stage::Http(_))
    }

    /// TCP is connected, if it is: then the handshake is sent, if there is one.
    pub(super) fn connected(&mut self, plan: &Plan) -> Result<bool, Fault> {
        let Some(stream) = &self.stream else { return Ok(false) };
        let failed = |error: io::Error| Fault::Connect(error.kind());
        if let Some(error) = stream.take_error().map_err(failed)? {
            return Err(failed(error));
        }
        match stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
        // What is sent is whole: waiting to fill a segment would only be measured.
        stream.set_nodelay(true).map_err(failed)?;
        self.writable = true;
        self.stage = if plan.websocket {
            let key = plan.handshake(&mut self.between);
            Stage::Handshake(key.map_err(|_| Fault::Connect(io::ErrorKind::Other))?, Vec::new())
        } else {
            Stage::Http(Responses::default())
        };
        Ok(true)
    }

    /// Hands over so many messages, at this time.
    pub(super) fn send(&mut self, plan: &Plan, messages: usize, now: u64) {
        self.pending += messages * plan.unit;
        self.sent.extend(std::iter::repeat_n(now, messages));
    }

    /// On a new connection: what the one before left unanswered.
    pub(super) fn send_again(&mut self, plan: &Plan) {
        self.pending = self.sent.len() * plan.unit;
    }

    /// Takes what came. `answered` is told each answer; true: the server ends this connection
    /// in order.
    pub(super) fn read(
        &mut self,
        plan: &Plan,
        bytes: &mut [u8],
        answered: &mut impl FnMut(&mut VecDeque<u64>, Option<Fault>) -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        let Self { stage, sent, between, unpacker, .. } = self;
        let mut answered = |wrong| answered(sent, wrong);
        match stage {
            Stage::WebSocket(echoes) => {
                echoes.read(plan, bytes, between, &mut answered)?;
                Ok(false)
            }
            Stage::Http(responses) => responses.read(bytes, &mut answered),
            Stage::Handshake(key, answer) => {
                answer.extend_from_slice(bytes);
                if let Some(len) = accepted(plan, key, answer)? {
                    // A server may send behind its 101, be it a Close.
                    let rest = answer.split_off(len);
                    let mut echoes = Echoes::new(unpacker.clone());
                    let outcome = echoes.read(plan, &rest, between, &mut answered);
                    *stage = Stage::WebSocket(echoes);
                    outcome?;
                }
                Ok(false)
            }
            Stage::Connecting | Stage::Closing | Stage::Lost => Ok(false),
        }
    }

    /// Writes what the socket takes; how many bytes.
    pub(super) fn write(&mut self, plan: &Plan) -> io::Result<u64> {
        let mut written = 0;
        while self.writable {
            let Some(stream) = &mut self.stream else { break };
            // What is left of a message that has begun to leave.
            let begun = self.pending % plan.unit;
            let between = begun == 0 && !self.between.is_empty();
            let bytes = if between {
                &self.between[..]
            } else if self.pending > 0 {
                let from = (plan.unit - begun) % plan.unit;
                let until = if self.between.is_empty() { self.pending } else { begun };
                &plan.batch[from..plan.batch.len().min(from + until)]
            } else {
                break;
            };
            match stream.write(bytes) {
                Ok(n) => {
                    // Edge-triggered: it is told when the socket takes more.
                    self.writable = n == bytes.len();
                    written += n as u64;
                    if between {
                        self.between.drain(..n);
                    } else {
                        self.pending -= n;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    pub(super) fn becomes_writable(&mut self) {
        self.writable = true;
    }

    /// Ends it politely: a Close, if it is a WebSocket.
    pub(super) fn close(&mut self, plan: &Plan) {
        if matches!(self.stage, Stage::WebSocket(_)) {
            plan.write_frame(&mut self.between, false, Opcode::Close, &1000u16.to_be_bytes());
            self.stage = Stage::Closing;
        } else {
            self.lose();
        }
    }
}

/// The length of the 101, if it is whole and right.
fn accepted(plan: &Plan, key: &str, answer: &mut [u8]) -> Result<Option<usize>, Fault> {
    let mut fields = Vec::new();
    let parsed = response::parse(answer, &mut fields, Limits::default());
    let Some(head) = parsed.map_err(|_| Fault::NotHttp)? else { return Ok(None) };
    if head.status != 101 {
        return Err(Fault::Refused(head.status));
    }
    let checked = client_handshake::check(Headers::new(answer, &fields), &plan.upgrade(), key);
    let accepted = checked.map_err(Fault::Handshake)?;
    match (accepted.agreed, &plan.packed) {
        (None, _) if plan.deflate.is_some() => Err(Fault::NotCompressed),
        (Some(agreed), Some(_)) if !packed::takes(agreed) => Err(Fault::Window),
        _ => Ok(Some(head.len)),
    }
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use super::*;

    #[test]
    fn compression_is_agreed_with_a_window_that_is_large_enough() {
        let mut plan = Plan::for_tests(b"Hello");
        plan.deflate = Some(oneport::Deflate::default());
        plan.packed = Some(Vec::new());
        let agreed = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover";
        let rows = [
            (String::new(), Err(Fault::NotCompressed)),
            (format!("{agreed}\r\n"), Ok(true)),
            (format!("{agreed}; client_max_window_bits=9\r\n"), Ok(true)),
            (format!("{agreed}; client_max_window_bits=8\r\n"), Err(Fault::Window)),
        ];
        for (field, told) in rows {
            // The example of RFC 6455 §1.3.
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                 connection: Upgrade\r\n\
                 sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{field}\r\n"
            );
            let accepted = accepted(&plan, "dGhlIHNhbXBsZSBub25jZQ==", &mut answer.into_bytes());
            assert_eq!(accepted.map(|len| len.is_some()), told, "{field}");
        }
    }
}
