//! The side of a WebSocket scope: accept, messages, close, denial.

use std::num::NonZeroU64;
use std::time::Duration;

use super::{ScopeCore, SendError, obey, put_payload};
use crate::asgi::env::Env;
use crate::asgi::event::SendEvent;
use crate::asgi::order::{Verdict, WebSocket, WebSocketStep};
use crate::bytes::moment::Moment;
use crate::bytes::output::{Mark, Output};
use crate::http::head::Version;
use crate::http::headers::list_elements;
use crate::http::sender::{Field, Invalid, Request, Sender, write_text};
use crate::ws::closing::{CloseEvent, Closing};
use crate::ws::deflate::Deflater;
use crate::ws::extension::Agreed;
use crate::ws::frame::{self, Header, Opcode};
use crate::ws::handshake::{self, Accept};
use crate::ws::mask::Keys;
use crate::ws::{Message, close, sender};

/// What is only needed until the handshake is answered.
#[derive(Debug)]
struct Handshake {
    accept: Accept,
    /// The subprotocols that the client offered, as a list value.
    offered: Vec<u8>,
    /// How messages will be compressed.
    agreed: Option<Agreed>,
    denial: Option<Sender>,
}

/// What frames need beyond the plain form that a server sends.
#[derive(Default)]
struct Special {
    /// There if compression was agreed.
    deflater: Option<Deflater>,
    /// When it last compressed something.
    compressed_at: Option<Moment>,
    /// A client's masking keys.
    keys: Option<Box<dyn Keys>>,
}

impl std::fmt::Debug for Special {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Special")
            .field("deflater", &self.deflater)
            .field("masks", &self.keys.is_some())
            .finish_non_exhaustive()
    }
}

/// How long a connection keeps a compressor of its own without using it.
const KEEP_CONTEXT: Duration = Duration::from_secs(10);

/// The answers of one WebSocket scope.
#[derive(Debug)]
pub struct WebSocketSide {
    order: WebSocket,
    closing: Closing,
    /// The code of our Close.
    sent_code: u16,
    /// Where the answer to the handshake begins in the output, while it can still be replaced.
    mark: Option<Mark>,
    handshake: Option<Box<Handshake>>,
    /// None on a server without compression, which is the plain case.
    special: Option<Box<Special>>,
    /// When the last pong came.
    pub last_pong: Option<Moment>,
    /// How long the answer to our last ping took (nanoseconds).
    round_trip: Option<NonZeroU64>,
}

/// RFC 6455 §4.2.2: the answer to a refused handshake is an ordinary response; we end the
/// connection after it.
const DENIAL: Request =
    Request { version: Version::Http11, is_head: false, persist: false, te_trailers: false };

impl WebSocketSide {
    /// For a handshake that is answered with `accept`; `offered` are the values of
    /// Sec-WebSocket-Protocol. Messages are compressed as agreed.
    pub fn new<'v>(
        accept: Accept,
        offered: impl Iterator<Item = &'v [u8]>,
        agreed: Option<Agreed>,
        deflater: Option<Deflater>,
    ) -> Self {
        let offered = offered.collect::<Vec<_>>().join(&b","[..]);
        Self {
            order: WebSocket::Connecting,
            closing: Closing::Open,
            sent_code: 0,
            mark: None,
            handshake: Some(Box::new(Handshake { accept, offered, agreed, denial: None })),
            special: deflater.map(|deflater| {
                Box::new(Special { deflater: Some(deflater), ..Special::default() })
            }),
            last_pong: None,
            round_trip: None,
        }
    }

    /// A client's side, after the handshake.
    pub fn of_client(keys: Box<dyn Keys>, deflater: Option<Deflater>) -> Self {
        Self {
            order: WebSocket::Open,
            closing: Closing::Open,
            sent_code: 0,
            mark: None,
            handshake: None,
            special: Some(Box::new(Special { deflater, compressed_at: None, keys: Some(keys) })),
            last_pong: None,
            round_trip: None,
        }
    }

    /// Is this a client's side?
    pub fn is_client(&self) -> bool {
        self.special.as_ref().is_some_and(|special| special.keys.is_some())
    }

    /// A client's key for the next frame; a server does not mask (RFC 6455 §5.1).
    #[inline]
    fn next_key(&mut self) -> Option<[u8; 4]> {
        Some(self.special.as_mut()?.keys.as_mut()?.next_key())
    }

    /// What compresses messages, if that was agreed.
    pub fn deflater(&mut self) -> Option<&mut Deflater> {
        self.special.as_mut()?.deflater.as_mut()
    }

    /// When a compressor of the connection's own is to be given back.
    pub fn context_deadline(&self) -> Option<Moment> {
        let special = self.special.as_ref()?;
        let holds = special.deflater.as_ref().is_some_and(Deflater::holds_engine);
        special.compressed_at.filter(|_| holds).map(|at| at + KEEP_CONTEXT)
    }

    /// Bytes of memory held for compression.
    pub fn bytes_held(&self) -> usize {
        let deflater = self.special.as_ref().and_then(|special| special.deflater.as_ref());
        deflater.map_or(0, Deflater::bytes_held)
    }

    /// Queues a ping or pong.
    pub fn send_control(&mut self, opcode: Opcode, payload: &[u8], output: &mut Output) {
        let key = self.next_key();
        sender::send_control(output, opcode, payload, key);
    }

    /// Where the WebSocket is, as the application sees it.
    #[inline]
    pub fn order(&self) -> WebSocket {
        self.order
    }

    /// Can the next message be told at once: is it open, and does its application want more?
    #[inline(always)]
    pub fn goes_on(&self, core: &ScopeCore) -> bool {
        self.order == WebSocket::Open && !self.is_held() && !(core.paused | core.full | core.lost)
    }

    /// How far the closing handshake is.
    #[inline]
    pub fn closing(&self) -> Closing {
        self.closing
    }

    /// Is it open, with nothing held back and no compressor of its own?
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        self.order == WebSocket::Open
            && self.closing == Closing::Open
            && self.mark.is_none()
            && self.holds_nothing()
    }

    /// Has it no compressor of its own?
    #[inline(always)]
    pub fn holds_nothing(&self) -> bool {
        self.special.is_none() || self.bytes_held() == 0
    }

    /// Notes how long the answer to our last ping took.
    pub fn set_round_trip(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.round_trip = NonZeroU64::new(nanoseconds.max(1));
    }

    /// How long the answer to our last ping took.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.map(|time| Duration::from_nanos(time.get()))
    }

    /// The code of the Close that we sent, or 1005.
    pub fn sent_code(&self) -> u16 {
        if self.sent_code == 0 { close::NO_STATUS } else { self.sent_code }
    }

    /// Can the answer to the handshake still be replaced?
    #[inline]
    pub fn is_held(&self) -> bool {
        self.mark.is_some()
    }

    /// The callback has returned well: what it sent is on its way.
    #[inline]
    pub fn release(&mut self, output: &mut Output) {
        if self.mark.take().is_some() {
            if let Some(denial) = self.handshake.as_mut().and_then(|h| h.denial.as_mut())
                && denial.is_open()
            {
                denial.close_head(output.tail(), None);
            }
            if self.order == WebSocket::Open {
                self.handshake = None;
            }
        }
    }

    /// The callback failed: takes back the answer to the handshake, if that can still be done.
    pub fn take_back(&mut self, output: &mut Output) -> bool {
        match (self.order, self.mark.take()) {
            (WebSocket::Connecting, _) => true,
            (WebSocket::PeerGone, _) | (_, None) => false,
            (_, Some(mark)) => {
                output.truncate(mark);
                self.order = WebSocket::Connecting;
                self.closing = Closing::Open;
                true
            }
        }
    }

    /// Are bytes of an announced length missing from the denial response?
    pub fn denial_is_short(&self) -> bool {
        let denial = self.handshake.as_ref().and_then(|h| h.denial.as_ref());
        denial.is_some_and(Sender::is_short)
    }

    /// The peer left.
    pub fn peer_left(&mut self) {
        self.order = WebSocket::PeerGone;
    }

    /// The peer sent a Close.
    ///
    /// # Errors
    /// A second one.
    pub fn received_close(&mut self) -> Result<(), crate::ws::closing::Illegal> {
        self.closing = self.closing.next(CloseEvent::ReceivedClose)?;
        Ok(())
    }

    /// Sends a Close that the application did not ask for (an echo, a failed connection, a
    /// shutdown), unless one was sent. Tells whether it was sent now.
    pub fn close_by_us(&mut self, code: u16, reason: &str, output: &mut Output) -> bool {
        let Ok(next) = self.closing.next(CloseEvent::SentClose) else { return false };
        self.closing = next;
        self.sent_code = code;
        let key = self.next_key();
        sender::encode_close(output.tail(), code, reason, key);
        if let Verdict::To(next) = self.order.next(WebSocketStep::Close) {
            self.order = next;
        }
        true
    }

    /// Refuses the handshake with a response of the server's own.
    pub fn deny_by_server(&mut self, status: u16, body: &[u8], output: &mut Output, env: &Env<'_>) {
        write_text(output.tail(), &env.round.prefab, DENIAL, status, &[], body);
        self.order = WebSocket::Denied;
    }

    pub(super) fn out_of_order(&self, event: &'static str) -> SendError {
        SendError::OutOfOrder { event, state: self.state() }
    }

    fn state(&self) -> &'static str {
        match self.order {
            WebSocket::Connecting => {
                "the handshake waits for an answer (send websocket.accept first)"
            }
            WebSocket::Open => "the WebSocket is open",
            WebSocket::CloseSent => "the WebSocket is closing",
            WebSocket::Denying => "a denial response has begun",
            WebSocket::Denied => "the WebSocket was refused",
            WebSocket::PeerGone => "the peer is gone",
        }
    }

    #[inline]
    fn step(
        &self,
        step: WebSocketStep,
        event: &'static str,
    ) -> Result<Option<WebSocket>, SendError> {
        obey(self.order.next(step), event, self.state())
    }

    pub(super) fn send(
        &mut self,
        event: SendEvent<'_>,
        core: &mut ScopeCore,
        output: &mut Output,
        env: &mut Env<'_>,
    ) -> Result<(), SendError> {
        match event {
            SendEvent::WebSocketAccept { subprotocol, headers } => {
                self.accept(subprotocol, headers, output, env)
            }
            SendEvent::WebSocketSend(message) => self.message(message, core, output, env),
            SendEvent::WebSocketClose { code, reason } => self.close(code, reason, output, env),
            SendEvent::WebSocketHttpResponseStart { status, headers } => {
                self.deny_start(status, headers, output, env)
            }
            SendEvent::WebSocketHttpResponseBody { body, more_body } => {
                self.deny_body(body, more_body, core, output, env)
            }
            other => Err(self.out_of_order(other.name())),
        }
    }

    fn accept(
        &mut self,
        subprotocol: Option<&str>,
        headers: &[Field<'_>],
        output: &mut Output,
        env: &Env<'_>,
    ) -> Result<(), SendError> {
        let Some(next) = self.step(WebSocketStep::Accept, "websocket.accept")? else {
            return Ok(());
        };
        let handshake = self.handshake.as_ref().expect("it is kept until it is answered");
        // RFC 6455 §4.2.2 no. 5.5: one of those that the client offered, or none.
        if let Some(chosen) = subprotocol
            && !list_elements(&handshake.offered).any(|offered| offered == chosen.as_bytes())
        {
            // [6455-4.2.2-5]
            return Err(Invalid::Subprotocol.into());
        }
        let mark = output.mark();
        if let Err(invalid) = handshake::write_101(
            output.tail(),
            &handshake.accept,
            subprotocol,
            handshake.agreed.as_ref(),
            env.round.prefab.server(),
            headers,
        ) {
            output.truncate(mark);
            return Err(invalid.into());
        }
        self.mark = Some(mark);
        self.order = next;
        output.begin_frames(frame::measure);
        Ok(())
    }

    #[inline(always)]
    pub(super) fn message(
        &mut self,
        message: Message<'_>,
        core: &mut ScopeCore,
        output: &mut Output,
        env: &mut Env<'_>,
    ) -> Result<(), SendError> {
        // In the state in which it is nearly always sent it changes nothing: see the law.
        if self.order != WebSocket::Open {
            return self.message_unless_open();
        }
        if self.special.is_some() {
            return self.special_message(message, core, output, env);
        }
        let payload = message.as_bytes();
        // [6455-6.1-2] [6455-6.1-3] [6455-6.1-4]
        frame::encode(output.tail(), true, message.opcode(), payload.len());
        put_payload(payload, &mut self.mark, core, output, env)
    }

    /// What the law says of a message in any other state.
    #[cold]
    fn message_unless_open(&mut self) -> Result<(), SendError> {
        // [6455-5.5.1-2] [6455-6.1-1]
        let step = self.step(WebSocketStep::Send, "websocket.send")?;
        debug_assert!(step.is_none(), "only an open WebSocket sends messages");
        Ok(())
    }

    /// A message that is compressed or masked.
    #[inline(never)]
    fn special_message(
        &mut self,
        message: Message<'_>,
        core: &mut ScopeCore,
        output: &mut Output,
        env: &mut Env<'_>,
    ) -> Result<(), SendError> {
        let Some(special) = &mut self.special else { return Ok(()) };
        let mut packed = env.kit.deflate.take_packed();
        let length = special.deflater.as_mut().and_then(|deflater| {
            deflater.deflate(message.as_bytes(), &mut env.kit.deflate, &mut packed)
        });
        if length.is_some() {
            special.compressed_at = Some(env.round.now);
        }
        let payload = length.map_or(message.as_bytes(), |length| &packed[..length]);
        let mask = special.keys.as_mut().map(|keys| keys.next_key());
        let (opcode, len) = (message.opcode(), payload.len() as u64);
        // One frame, with the bit if it is compressed. Control frames come another way.
        // [7692-6-1] [7692-6.1-1] [7692-6.1-2]
        let header = Header { fin: true, rsv1: length.is_some(), opcode, mask, len };
        let sent = if mask.is_some() {
            sender::encode_frame(output.tail(), header, payload);
            Ok(())
        } else {
            frame::encode_header(output.tail(), header);
            put_payload(payload, &mut self.mark, core, output, env)
        };
        env.kit.deflate.give_back_packed(packed);
        sent
    }

    fn close(
        &mut self,
        code: u16,
        reason: &str,
        output: &mut Output,
        env: &Env<'_>,
    ) -> Result<(), SendError> {
        let Some(next) = self.step(WebSocketStep::Close, "websocket.close")? else { return Ok(()) };
        if next == WebSocket::Denied {
            // ASGI: a close before accept is a 403.
            let mark = output.mark();
            // [6455-4.2.2-2] [6455-10.2-2]
            self.deny_by_server(403, b"the application refused this WebSocket\n", output, env);
            self.mark = Some(mark);
            return Ok(());
        }
        if !close::may_be_on_the_wire(code) {
            // [6455-7.4.1-1] [6455-7.4.1-2] [6455-7.4.1-3]
            return Err(Invalid::CloseCode.into());
        }
        // [6455-7.1.2-1]
        self.close_by_us(code, reason, output);
        Ok(())
    }

    pub(super) fn deny_start(
        &mut self,
        status: u16,
        headers: &[Field<'_>],
        output: &mut Output,
        env: &Env<'_>,
    ) -> Result<(), SendError> {
        let step = self.step(WebSocketStep::DenyStart, "websocket.http.response.start")?;
        let Some(next) = step else { return Ok(()) };
        let mark = output.mark();
        let mut denial = Sender::new(DENIAL);
        if let Err(invalid) = denial.start(output.tail(), &env.round.prefab, status, headers, false)
        {
            output.truncate(mark);
            return Err(invalid.into());
        }
        self.handshake.as_mut().expect("it is kept until it is answered").denial = Some(denial);
        self.mark = Some(mark);
        self.order = next;
        Ok(())
    }

    pub(super) fn deny_body(
        &mut self,
        body: &[u8],
        more_body: bool,
        core: &mut ScopeCore,
        output: &mut Output,
        env: &mut Env<'_>,
    ) -> Result<(), SendError> {
        let step =
            if more_body { WebSocketStep::DenyBodyMore } else { WebSocketStep::DenyBodyLast };
        let Some(next) = self.step(step, "websocket.http.response.body")? else { return Ok(()) };
        let handshake = self.handshake.as_mut().expect("it is kept until it is answered");
        let denial = handshake.denial.as_mut().expect("a denial body follows its start");
        let payload = denial.piece(output.tail(), body.len(), more_body)?;
        self.order = next;
        if payload.send {
            put_payload(body, &mut self.mark, core, output, env)?;
        }
        output.tail().extend_from_slice(payload.after);
        Ok(())
    }
}
