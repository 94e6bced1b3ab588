//! Drives a WebSocket scope: from the handshake's answer to the end (RFC 6455).

use std::time::Duration;

use super::budget;
use super::call::{self, Failure};
use super::heartbeat::{Beaten, Heartbeat, Progress};
use super::http::ending::NO_ANSWER;
use super::record::{Cause, Deadline};
use super::trace::Trace;
use super::unfinished::Unfinished;
use super::{Connection, Phase, Role, Turn, reborrow};
use crate::asgi::env::Env;
use crate::asgi::log_limit::Kind;
use crate::asgi::outbox::{Side, WebSocketSide};
use crate::asgi::{AppError, Config, Event, Handler, Outbox, order};
use crate::bytes::gather::Gather;
use crate::bytes::moment::Moment;
use crate::ws::closing::Closing;
use crate::ws::deflate::{Deflater, Inflater};
use crate::ws::extension::{Agreed, Deflate};
use crate::ws::frame::Opcode;
use crate::ws::handshake::Accept;
use crate::ws::mask::Keys;
use crate::ws::receiver::{Arrived, Incoming, Limits, Receiver};
use crate::ws::takeover::Permit;
use crate::ws::{Error, close};

/// How messages are compressed: what was agreed, and our own settings.
pub type Compression = (Agreed, Deflate);

/// The state of a connection that speaks WebSocket.
pub(super) struct WebSocketRole<H> {
    /// None when it was told the end.
    handler: Option<H>,
    pub(super) side: WebSocketSide,
    pub(super) receiver: Receiver,
    pub(super) heartbeat: Heartbeat,
    /// What few have at a time, behind a pointer.
    pub(super) rare: Option<Box<Rare>>,
    /// The second in which control frames are counted, and how many came.
    control: (Moment, u32),
    /// The number of its path: see [`crate::asgi::paths`].
    pub(super) path: u16,
}

/// The handler is the application's, wherever the role ends.
impl<H> Drop for WebSocketRole<H> {
    fn drop(&mut self) {
        call::drop_guarded_in(&mut self.handler);
    }
}

/// What few WebSockets have at a time.
#[derive(Default)]
pub(super) struct Rare {
    /// When the application's answer to the handshake is due; it is not looked at behind that.
    accept_due: Option<Moment>,
    /// When the peer's half of the closing handshake is due.
    close_due: Option<Moment>,
    /// A message or frame of which a part arrived.
    pub(super) unfinished: Option<Unfinished>,
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.close_due.is_none() && self.unfinished.is_none()
    }

    /// The application's answer to the handshake is due.
    fn for_answer(due: Moment) -> Box<Self> {
        Box::new(Self { accept_due: Some(due), ..Self::default() })
    }
}

/// A run of messages that were told.
pub(super) struct Told {
    /// So many bytes of the input.
    pub(super) used: usize,
    /// But for what is queued and what the application asked for, everything stands as it stood
    /// before: nothing is to be settled.
    pub(super) as_before: bool,
}

/// What ended a run of messages too early.
enum Trouble {
    /// The handler failed.
    Failed(AppError),
    /// The peer broke a rule.
    Broken(Error),
}

impl<H> WebSocketRole<H> {
    pub(super) fn new<'v>(
        handler: H,
        accept: Accept,
        offered: impl Iterator<Item = &'v [u8]>,
        compression: Option<Compression>,
        permit: Option<Permit>,
        path: u16,
        env: &Env<'_>,
    ) -> Self {
        let now = env.round.now;
        let agreed = compression.map(|(agreed, _)| agreed);
        let deflater = compression.map(|(agreed, settings)| Deflater::new(agreed.server, settings));
        let mut inflater = agreed.map(|a| Box::new(Inflater::new(a.client)));
        if let Some(inflater) = &mut inflater {
            inflater.hold(permit);
        }
        Self {
            handler: Some(handler),
            side: WebSocketSide::new(accept, offered, agreed, deflater),
            receiver: Receiver::of_server(inflater),
            heartbeat: Heartbeat::default(),
            rare: env.round.config.answer_due(now).map(Rare::for_answer),
            control: (now, 0),
            path,
        }
    }

    /// For a client, whose handshake is done.
    pub(super) fn of_client(
        handler: H,
        keys: Box<dyn Keys>,
        compression: Option<Compression>,
        env: &Env<'_>,
    ) -> Self {
        let agreed = compression.map(|(agreed, _)| agreed);
        let deflater = compression.map(|(agreed, settings)| Deflater::new(agreed.client, settings));
        Self {
            handler: Some(handler),
            side: WebSocketSide::of_client(keys, deflater),
            receiver: Receiver::of_client(agreed.map(|a| Box::new(Inflater::new(a.server)))),
            heartbeat: Heartbeat::begin(env.round.now, &env.round.config, env.round.random),
            rare: None,
            control: (env.round.now, 0),
            path: u16::MAX,
        }
    }

    /// Does the handshake wait for the application's answer?
    fn is_unanswered(&self) -> bool {
        self.side.order() == order::WebSocket::Connecting
    }

    /// Is its handler there, because no disconnect has come yet?
    pub(super) fn has_handler(&self) -> bool {
        self.handler.is_some()
    }

    /// Has it a scope that may still send?
    pub(super) fn has_scope(&self) -> bool {
        use order::WebSocket::{Connecting, Denying, Open};
        self.handler.is_some() && matches!(self.side.order(), Connecting | Open | Denying)
    }

    pub(super) fn is_open(&self) -> bool {
        self.side.order() == order::WebSocket::Open
    }

    /// Is it open, between two messages, with no ping on its way and no memory held?
    #[inline(always)]
    pub(super) fn is_quiet(&self) -> bool {
        self.side.is_quiet()
            && self.receiver.is_quiet()
            && self.rare.as_ref().is_none_or(|rare| rare.is_empty())
            && self.heartbeat.is_quiet()
    }

    /// Nothing came for a while: gives up what is held for what may come.
    fn rest(&mut self) {
        self.receiver.rest();
        self.rare = self.rare.take().filter(|rare| !rare.is_empty());
    }

    pub(super) fn takes_input(&self, paused: bool) -> bool {
        match self.side.order() {
            order::WebSocket::Open => !paused,
            // The peer's Close is awaited, whatever the application thinks of messages.
            order::WebSocket::CloseSent => true,
            _ => false,
        }
    }

    /// What few have at a time.
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn accept_due(&self) -> Option<Moment> {
        self.rare.as_ref().and_then(|rare| rare.accept_due)
    }

    fn close_due(&self) -> Option<Moment> {
        self.rare.as_ref().and_then(|rare| rare.close_due)
    }

    /// When more of what is arriving is due.
    fn unfinished(&self) -> Option<&Unfinished> {
        self.rare.as_ref().and_then(|rare| rare.unfinished.as_ref())
    }

    pub(super) fn deadline(&self, unread: bool) -> Option<Moment> {
        // While we do not read nothing can come: what the peer is late with stands still.
        let beat = self.heartbeat.due().filter(|_| !unread);
        let unfinished = self.unfinished().map(Unfinished::due).filter(|_| !unread);
        let accept = self.accept_due().filter(|_| self.is_unanswered());
        [beat, unfinished, accept, self.close_due(), self.side.context_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// We read again, after a pause that ends now.
    pub(super) fn shift_deadlines(&mut self, pause: Duration, now: Moment) {
        self.heartbeat.shift(pause, now);
        self.shift_unfinished(pause);
    }

    /// For the closing record: age of the last pong, round-trip time, code sent.
    pub(super) fn record(&self, now: Moment) -> (Option<Duration>, Option<Duration>, Option<u16>) {
        let age = self.side.last_pong.map(|at| now.since(at));
        let sent = matches!(self.side.closing(), Closing::ClosedByUs | Closing::Done);
        (age, self.side.round_trip(), sent.then(|| self.side.sent_code()))
    }

    /// Counts a control frame; false if this second had too many.
    fn count_control(&mut self, now: Moment, config: &Config) -> bool {
        let (began, count) = &mut self.control;
        if now.since(*began) >= Duration::from_secs(1) {
            *began = now;
            *count = 0;
        }
        *count += 1;
        *count <= config.max_control_frames
    }
}

impl<H: Handler> Connection<H> {
    fn websocket(&mut self) -> Option<&mut WebSocketRole<H>> {
        match &mut self.role {
            Role::WebSocket(role) => Some(role),
            Role::Http(_) => None,
        }
    }

    /// Uses bytes as frames until they are used up or the application must answer first.
    #[inline(never)]
    pub(super) fn pump_websocket(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> usize {
        let limits = limits(&turn.env.round.config);
        let mut used = 0;
        if !self.inflate_further(turn) {
            return 0;
        }
        if self.may_run(&turn.env.round.config) {
            // Nearly always there are whole messages and nothing else.
            used = self.tell_whole_messages(bytes, turn).used;
        }
        while used < bytes.len()
            && self.phase == Phase::Active
            && self.may_proceed(budget::CALLBACK, turn)
        {
            let Role::WebSocket(role) = &mut self.role else { break };
            let rest = &mut bytes[used..];
            match role.receiver.next(rest, limits, &mut turn.env.kit.pool) {
                Ok((n, incoming)) => {
                    used += n;
                    if n == 0 || !self.incoming(rest, incoming, turn) {
                        break;
                    }
                }
                Err(error) => self.websocket_failed(error, turn),
            }
        }
        used
    }

    /// May the short way be taken: is everything as it is between two messages that are told?
    fn may_run(&self, config: &Config) -> bool {
        let Role::WebSocket(role) = &self.role else { return false };
        role.side.goes_on(&self.core) && self.output.len() <= config.high_water
    }

    /// The short way for a run of messages that lie whole in the input: told one after the other
    /// through one outbox, as long as nothing else is to be done in between. Tells how many
    /// bytes were used; what follows takes the long way.
    #[inline(never)]
    pub(super) fn tell_whole_messages(&mut self, bytes: &mut [u8], turn: &mut Turn<'_>) -> Told {
        let nothing = Told { used: 0, as_before: false };
        let Role::WebSocket(role) = &mut self.role else { return nothing };
        let WebSocketRole { handler: Some(handler), side, receiver, heartbeat, .. } = &mut **role
        else {
            return nothing;
        };
        // Who watches is shown each message, on the long way.
        if !heartbeat.has_begun() || self.phase != Phase::Active || turn.observer.is_some() {
            return nothing;
        }
        let max_message = turn.env.round.config.max_message;
        let (core, output) = (&mut self.core, &mut self.output);
        let side = Side::WebSocket(side);
        let env = turn.env.reborrow();
        let mut out = Outbox::new(side, core, output, env, self.slot, self.generation);
        let mut used = 0;
        // Of the effects, those that callbacks asked for that ended well.
        let mut effects = out.effects();
        let mut trouble = None;
        // Callbacks before the clock is looked at again.
        let mut left = turn.budget.callbacks();
        // One guard for the whole run: a panic ends it, whichever message it was.
        let goes_on = call::guarded(|| {
            let mut at = 0;
            while left > 0 {
                let Some((length, message)) = receiver.whole(&mut bytes[at..], max_message) else {
                    break;
                };
                at += length;
                used = at;
                left -= 1;
                let told = match message {
                    Ok(message) => handler.receive(Event::WebSocketReceive(message), &mut out),
                    Err(error) => {
                        trouble = Some(Trouble::Broken(error));
                        return false;
                    }
                };
                if let Err(error) = told {
                    trouble = Some(Trouble::Failed(error));
                    return false;
                }
                if !out.goes_on() {
                    return false;
                }
                effects = out.effects();
                if at == bytes.len() {
                    break;
                }
                if left == 0 {
                    left = turn.budget.next_callbacks(reborrow(&mut turn.clock));
                }
            }
            true
        });
        turn.budget.set_callbacks(left, reborrow(&mut turn.clock));
        if let Ok(true) = goes_on {
            return Told { used, as_before: out.holds_nothing() };
        }
        let failure = match (goes_on, trouble) {
            (Err(panic), _) => Some(panic),
            (_, Some(Trouble::Failed(error))) => Some(call::failure(error)),
            (_, Some(Trouble::Broken(error))) => {
                self.websocket_failed(error, turn);
                return Told { used, as_before: false };
            }
            (_, None) => None,
        };
        if let Some(failure) = &failure {
            turn.env.kit.effects.truncate(effects);
            failure.log("websocket.receive", &mut turn.env);
        }
        match failure {
            // What is not as it was before is settled once, for the last message.
            None | Some(Failure::Closed) => self.settle_websocket(turn),
            Some(_) => self.websocket_failed_handler(turn),
        }
        Told { used, as_before: false }
    }

    /// A read went straight into the receiver's buffer.
    pub(super) fn websocket_filled(&mut self, n: usize, turn: &mut Turn<'_>) {
        let Some(role) = self.websocket() else { return };
        match role.receiver.filled(n) {
            Ok(incoming) => {
                self.incoming(&[], incoming, turn);
            }
            Err(error) => self.websocket_failed(error, turn),
        }
    }

    /// Acts on what arrived; false if nothing more can be found in the input.
    #[inline]
    fn incoming(&mut self, bytes: &[u8], incoming: Incoming, turn: &mut Turn<'_>) -> bool {
        match incoming {
            Incoming::NeedData => return false,
            Incoming::Taken => {}
            Incoming::Message(arrived) => {
                if let Some(role) = self.websocket() {
                    role.forget_unfinished();
                }
                self.tell_message(bytes, &arrived, turn);
                return !self.stalled;
            }
            Incoming::Ping(place) => self.answer_ping(&bytes[place], turn),
            Incoming::Pong(place) => self.note_pong(&bytes[place], turn),
            Incoming::Close(code, place) => {
                let reason = std::str::from_utf8(&bytes[place])
                    .expect("the reason was checked when the frame was parsed");
                self.received_close(code, reason, turn);
            }
        }
        true
    }

    /// Goes on with the message inside which inflating stopped; false if it stopped again, or may
    /// not go on now.
    #[inline]
    fn inflate_further(&mut self, turn: &mut Turn<'_>) -> bool {
        let Role::WebSocket(role) = &self.role else { return true };
        let Some(arrived) = role.receiver.stopped() else { return true };
        if !self.may_proceed(0, turn) {
            return false;
        }
        self.tell_message(&[], &arrived, turn);
        !self.is_inflating()
    }

    /// Did inflating stop inside a message?
    pub(super) fn is_inflating(&self) -> bool {
        matches!(&self.role, Role::WebSocket(role) if role.receiver.stopped().is_some())
    }

    fn tell_message(&mut self, bytes: &[u8], arrived: &Arrived, turn: &mut Turn<'_>) {
        let Role::WebSocket(role) = &mut self.role else { return };
        let WebSocketRole { handler, side, receiver, .. } = &mut **role;
        let mut plain = Gather::default();
        let message = if arrived.is_compressed() {
            plain = turn.env.kit.deflate.take_plain();
            let limits = limits(&turn.env.round.config);
            let (budget, clock) = (&mut *turn.budget, &mut turn.clock);
            let mut goes_on = |bytes| {
                budget.spend(bytes, reborrow(clock));
                !budget.is_spent()
            };
            let engines = &mut turn.env.kit.deflate;
            receiver.inflate(bytes, arrived, limits, engines, &mut plain, &mut goes_on)
        } else {
            receiver.lend(bytes, arrived).map(Some)
        };
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => {
                // Its bytes count against the turn, which is over.
                self.stalled = true;
                return;
            }
            Err(error) => return self.websocket_failed(error, turn),
        };
        if let Some(observer) = &mut turn.observer {
            let address = crate::asgi::handle::Address {
                slot: self.slot,
                generation: self.generation,
                scope: self.core.number,
            };
            let (opcode, len) = (message.opcode(), message.as_bytes().len());
            observer.observe(address, &Trace::MessageReceived { opcode, len });
        }
        // RFC 6455 §7.1.6: after our Close nothing more is told, though it is still read.
        let told = match handler {
            Some(handler) if side.order() == order::WebSocket::Open => {
                let (event, side) = (Event::WebSocketReceive(message), Side::WebSocket(side));
                let (core, slot) = (&mut self.core, (self.slot, self.generation));
                call::tell_on(handler, event, side, core, &mut self.output, turn, slot)
            }
            _ => Ok(()),
        };
        receiver.release(arrived, &mut turn.env.kit.pool);
        if arrived.is_compressed() {
            turn.env.kit.deflate.give_back_plain(plain);
        }
        match told {
            Ok(()) | Err(Failure::Closed) => self.settle_websocket(turn),
            Err(_) => self.websocket_failed_handler(turn),
        }
    }

    /// RFC 6455 §5.5.3: a pong has the payload of the ping it answers.
    fn answer_ping(&mut self, payload: &[u8], turn: &mut Turn<'_>) {
        let (now, config) = (turn.env.round.now, &turn.env.round.config);
        let Role::WebSocket(role) = &mut self.role else { return };
        if !role.count_control(now, config) {
            return self.websocket_failed(Error::TooManyControlFrames, turn);
        }
        // §5.5.2: "unless it already received a Close frame". Behind our own Close, too: what §5.5.1
        // forbids there is data.
        // [6455-5.5.2-1] [6455-5.5.3-1]
        if role.side.closing().may_answer_ping() {
            role.side.send_control(Opcode::Pong, payload, &mut self.output);
            self.trace(turn, &Trace::PingAnswered);
        }
    }

    fn note_pong(&mut self, payload: &[u8], turn: &mut Turn<'_>) {
        let (now, config) = (turn.env.round.now, &turn.env.round.config);
        let Some(role) = self.websocket() else { return };
        // What we asked for is no flood.
        if !role.pong(payload, now, config) && !role.count_control(now, config) {
            return self.websocket_failed(Error::TooManyControlFrames, turn);
        }
        self.trace(turn, &Trace::PongReceived);
    }

    /// RFC 6455 §5.5.1: a Close is answered with a Close; §7.1.1: then the server closes TCP.
    fn received_close(&mut self, code: Option<u16>, reason: &str, turn: &mut Turn<'_>) {
        self.trace(turn, &Trace::CloseReceived { code });
        let Role::WebSocket(role) = &mut self.role else { return };
        let ours = role.side.closing() == Closing::ClosedByUs;
        if role.side.received_close().is_err() {
            return;
        }
        if ours {
            // The answer to our Close: the handler is told its own code.
            let code = role.side.sent_code();
            let cause = if self.draining { Cause::Shutdown } else { Cause::AppClosed };
            self.tell_disconnect(code, "", turn);
            // [6455-5.5.1-5] [6455-7.1.2-2]
            return self.close_after_handshake(cause);
        }
        // §5.5.1: "typically echoes the status code it received"; 1005 gives an empty Close.
        let code = code.unwrap_or(close::NO_STATUS);
        // [6455-5.5.1-3] [6455-5.5.1-4]
        role.side.close_by_us(code, "", &mut self.output);
        self.trace(turn, &Trace::CloseSent { code: on_the_wire(code) });
        self.tell_disconnect(code, reason, turn);
        // [6455-5.5.1-5]
        self.close_after_handshake(Cause::PeerClosed);
    }

    /// RFC 6455 §7.1.1: both Closes were exchanged. A client waits for the server's FIN; the server
    /// sends it at once, and drops what a peer still sends behind its Close until that has read
    /// ours: a socket that is closed with unread bytes in it answers with a reset, and takes from
    /// the peer what it has not read yet. A peer that keeps to the rules ends as soon as it sees
    /// the FIN. A server that is ending does not wait for that.
    fn close_after_handshake(&mut self, cause: Cause) {
        let Role::WebSocket(role) = &mut self.role else { return };
        let linger = role.side.is_client() || !self.draining;
        // No message follows: nothing is held for one.
        role.receiver = Receiver::default();
        if let Some(deflater) = role.side.deflater() {
            deflater.forget();
        }
        // [6455-5.5.1-6] [6455-7.1.1-1] [6455-7.1.1-2] [6455-7.1.1-3]
        self.close(cause, linger);
    }

    /// RFC 6455 §7.1.7: fails the connection because the peer broke a rule.
    pub(super) fn websocket_failed(&mut self, error: Error, turn: &mut Turn<'_>) {
        self.trace(turn, &Trace::WebSocketFailed(error));
        // [6455-7.1.7-2]
        log::debug!("WebSocket failed: {error}");
        // [6455-7.1.7-1] [6455-7.1.7-3] [6455-10.7-2]
        self.fail(error.close_code(), error.rule(), Cause::WebSocketFailed(error), turn);
    }

    /// The handler failed: 500 if the handshake is not answered, else 1011.
    pub(super) fn websocket_failed_handler(&mut self, turn: &mut Turn<'_>) {
        let Role::WebSocket(role) = &mut self.role else { return };
        if role.side.take_back(&mut self.output) {
            let text = b"the application failed\n";
            role.side.deny_by_server(500, text, &mut self.output, &turn.env);
            self.tell_disconnect(close::ABNORMAL, "", turn);
            return self.close(Cause::HandlerFailed, true);
        }
        match role.side.order() {
            order::WebSocket::Open => {
                let reason = "the application failed";
                self.fail(close::INTERNAL_ERROR, reason, Cause::HandlerFailed, turn);
            }
            // It closed before it failed: the closing handshake goes on without it.
            order::WebSocket::CloseSent => self.settle_websocket(turn),
            _ => {
                self.tell_disconnect(close::ABNORMAL, "", turn);
                self.close(Cause::HandlerFailed, false);
            }
        }
    }

    /// Closes in the server's name, tells the handler, ends the connection.
    fn fail(&mut self, code: u16, reason: &str, cause: Cause, turn: &mut Turn<'_>) {
        self.set_cause(cause);
        let Role::WebSocket(role) = &mut self.role else { return };
        if role.side.close_by_us(code, reason, &mut self.output) {
            self.trace(turn, &Trace::CloseSent { code: on_the_wire(code) });
        }
        self.tell_disconnect(code, "", turn);
        self.close(cause, true);
    }

    /// Tells the handler an event and settles what follows.
    pub(super) fn tell_websocket(&mut self, event: Event<'_>, turn: &mut Turn<'_>) {
        let Role::WebSocket(role) = &mut self.role else { return };
        let WebSocketRole { handler: Some(handler), side, .. } = &mut **role else { return };
        let (side, slot) = (Side::WebSocket(side), (self.slot, self.generation));
        match call::tell_on(handler, event, side, &mut self.core, &mut self.output, turn, slot) {
            Ok(()) | Err(Failure::Closed) => self.settle_websocket(turn),
            Err(_) => self.websocket_failed_handler(turn),
        }
    }

    /// Tells `websocket.disconnect`, once, and drops the handler.
    fn tell_disconnect(&mut self, code: u16, reason: &str, turn: &mut Turn<'_>) {
        let Role::WebSocket(role) = &mut self.role else { return };
        let Some(mut handler) = role.handler.take() else { return };
        role.side.peer_left();
        // Handles miss from now on, before anybody can hear of the end.
        if let Some(cell) = &self.core.cell {
            cell.end();
        }
        self.code_told = Some(code);
        let event = Event::WebSocketDisconnect { code, reason };
        let (side, slot) = (Side::WebSocket(&mut role.side), (self.slot, self.generation));
        // A failure is logged; there is nothing left to be ended by it.
        let _ =
            call::tell_on(&mut handler, event, side, &mut self.core, &mut self.output, turn, slot);
        call::drop_guarded(handler);
        self.core.end();
    }

    /// After a callback: what it sent is on its way; did it accept, close, refuse, or forget to
    /// answer?
    #[inline]
    pub(super) fn settle_websocket(&mut self, turn: &mut Turn<'_>) {
        let Role::WebSocket(role) = &mut self.role else { return };
        role.side.release(&mut self.output);
        if self.core.lost {
            // The end of the turn tells and ends it.
            return;
        }
        match role.side.order() {
            order::WebSocket::Open if role.heartbeat.has_begun() => {}
            order::WebSocket::Open => self.opened(turn),
            _ => self.settle_unopened(turn),
        }
    }

    /// The WebSocket was accepted just now.
    fn opened(&mut self, turn: &mut Turn<'_>) {
        let heartbeat =
            Heartbeat::begin(turn.env.round.now, &turn.env.round.config, turn.env.round.random);
        if let Some(role) = self.websocket() {
            role.heartbeat = heartbeat;
            role.rare = None;
        }
        self.trace(turn, &Trace::WebSocketOpened);
    }

    fn settle_unopened(&mut self, turn: &mut Turn<'_>) {
        let can_still_answer = self.core.can_still_answer();
        let Role::WebSocket(role) = &mut self.role else { return };
        match role.side.order() {
            order::WebSocket::Connecting if !can_still_answer && role.handler.is_some() => {
                let what = format_args!("the handler neither accepted nor refused a WebSocket");
                turn.env.log(Kind::Handler, what);
                let text = b"the application gave no answer\n";
                role.side.deny_by_server(500, text, &mut self.output, &turn.env);
                self.tell_disconnect(close::ABNORMAL, "", turn);
                self.close(Cause::HandlerFailed, true);
            }
            order::WebSocket::Denying if !can_still_answer => {
                let what = "the handler began a denial response and kept nothing to complete it";
                turn.env.log(Kind::Handler, format_args!("{what}"));
                self.tell_disconnect(close::ABNORMAL, "", turn);
                self.close(Cause::HandlerFailed, false);
            }
            order::WebSocket::Denied => {
                let linger = !role.side.denial_is_short();
                self.tell_disconnect(close::ABNORMAL, "", turn);
                // [6455-7.2.2-1]
                self.close(Cause::AppClosed, linger);
            }
            order::WebSocket::CloseSent if role.close_due().is_none() => {
                let due = turn.env.round.now + turn.env.round.config.close_timeout;
                // Nothing but the peer's Close is awaited from now on.
                role.rare().close_due = Some(due);
                role.forget_unfinished();
                role.heartbeat.stop();
                let code = role.side.sent_code();
                self.trace(turn, &Trace::CloseSent { code: on_the_wire(code) });
            }
            _ => {}
        }
    }

    /// A FIN while this connection speaks WebSocket.
    pub(super) fn websocket_peer_ended(&mut self, turn: &mut Turn<'_>) {
        self.websocket_scope_lost(turn);
        self.close(Cause::PeerVanished, false);
    }

    /// The peer has left, and the application does not read what it sent before: is a Close in it?
    /// Messages are dropped.
    pub(super) fn websocket_left(&mut self, turn: &mut Turn<'_>) {
        let limits = limits(&turn.env.round.config);
        let (mut bytes, mut at) = self.input.take();
        let mut close = None;
        while let Role::WebSocket(role) = &mut self.role
            && role.is_open()
            && at < bytes.len()
        {
            let (rest, pool) = (&mut bytes[at..], &mut turn.env.kit.pool);
            match role.receiver.next(rest, limits, pool) {
                Ok((_, Incoming::Close(code, place))) => {
                    close = Some((code, at + place.start..at + place.end));
                    break;
                }
                Ok((0, _) | (_, Incoming::NeedData)) | Err(_) => break,
                Ok((n, incoming)) => {
                    at += n;
                    if let Incoming::Message(arrived) = incoming {
                        role.receiver.release(&arrived, pool);
                    }
                }
            }
        }
        match close {
            Some((code, place)) => {
                let reason = std::str::from_utf8(&bytes[place]).unwrap_or_default();
                self.received_close(code, reason, turn);
            }
            None => self.websocket_peer_ended(turn),
        }
        turn.env.kit.pool.give_back(bytes);
    }

    /// The connection ends without the peer's Close: the handler is told the code that we sent,
    /// or 1006.
    pub(super) fn websocket_scope_lost(&mut self, turn: &mut Turn<'_>) {
        let Some(role) = self.websocket() else { return };
        let code = match role.side.closing() {
            Closing::ClosedByUs => role.side.sent_code(),
            _ => close::ABNORMAL,
        };
        self.tell_disconnect(code, "", turn);
    }

    /// A deadline of WebSocket may have passed.
    pub(super) fn websocket_time(&mut self, turn: &mut Turn<'_>) {
        let now = turn.env.round.now;
        let unread = self.unread_since.is_some();
        let Role::WebSocket(role) = &mut self.role else { return };
        if role.side.context_deadline().is_some_and(|due| now >= due)
            && let Some(deflater) = role.side.deflater()
        {
            deflater.forget();
        }
        if role.accept_due().is_some_and(|due| now >= due) && role.is_unanswered() {
            let timeout = turn.env.round.config.response_timeout;
            turn.env
                .log(Kind::Handler, format_args!("{NO_ANSWER}: response_timeout is {timeout:?}"));
            let text = format!("{NO_ANSWER} (response_timeout, RFC 9110 §15.6.5)\n");
            role.side.deny_by_server(504, text.as_bytes(), &mut self.output, &turn.env);
            self.tell_disconnect(close::ABNORMAL, "", turn);
            return self.close(Cause::DeadlinePassed(Deadline::Response), true);
        }
        if role.close_due().is_some_and(|due| now >= due) {
            self.set_cause(if self.draining {
                Cause::Shutdown
            } else {
                Cause::DeadlinePassed(Deadline::Close)
            });
            return self.abort(turn);
        }
        if unread {
            return;
        }
        if let Some(unfinished) = role.unfinished().filter(|unfinished| now >= unfinished.due()) {
            let error = unfinished.error();
            return self.websocket_failed(error, turn);
        }
        let progress = Progress { output: &self.output, received: self.received };
        match role.beat(progress, turn) {
            Beaten::Nothing => {}
            Beaten::PingDue => {
                role.rest();
                if role.ping(now, &mut self.output) {
                    self.trace(turn, &Trace::PingSent);
                } else {
                    role.heartbeat.stop();
                }
            }
            Beaten::PeerGone => {
                let timeout = turn.env.round.config.ping_timeout;
                let what = format_args!("WebSocket closed: no pong within {timeout:?}");
                turn.env.log(Kind::Pong, what);
                let cause = Cause::DeadlinePassed(Deadline::Pong);
                self.fail(close::INTERNAL_ERROR, "no pong in time", cause, turn);
            }
        }
    }

    /// The server is ending: RFC 6455 §7.4.1, 1001 "going away".
    pub(super) fn websocket_shutdown(&mut self, turn: &mut Turn<'_>) {
        let code = turn.env.round.config.shutdown_code;
        let Role::WebSocket(role) = &mut self.role else { return };
        match role.side.order() {
            order::WebSocket::Open => {
                role.side.close_by_us(code, "the server is shutting down", &mut self.output);
                self.set_cause(Cause::Shutdown);
                self.settle_websocket(turn);
            }
            order::WebSocket::Connecting => {
                let text = b"the server is shutting down\n";
                role.side.deny_by_server(503, text, &mut self.output, &turn.env);
                self.tell_disconnect(close::ABNORMAL, "", turn);
                self.close(Cause::Shutdown, true);
            }
            _ => {}
        }
    }
}

fn limits(config: &Config) -> Limits {
    Limits { max_message: config.max_message, max_fragments: config.max_fragments }
}

/// The code that a Close frame really carries: 1005 stands for none.
fn on_the_wire(code: u16) -> Option<u16> {
    close::may_be_on_the_wire(code).then_some(code)
}
