//! How HTTP on a connection ends: refusals, cuts, the peer's FIN, deadlines, shutdown.

use super::{Due, Exchange};
use crate::asgi::order;
use crate::asgi::outbox::Side;
use crate::asgi::{Event, Handler};
use crate::conn::call;
use crate::conn::linger::Linger;
use crate::conn::record::{Cause, Deadline};
use crate::conn::trace::Trace;
use crate::conn::{Connection, Role, Turn};
use crate::http::cycle::{Cycle, Step};
use crate::http::sender::{self, Field, Request};
use crate::http::{Error, Version};
use crate::ws::handshake::Refusal;

/// What is wrong after the response timeout.
pub(in crate::conn) const NO_ANSWER: &str = "the application began no answer in time";

impl<H: Handler> Connection<H> {
    /// There are more connections than allowed: a newcomer is told so at once.
    pub fn refuse_for_load(&mut self, turn: &mut Turn<'_>) {
        let text = "the server has as many connections as it may have: try again later\n";
        self.answer(503, &[(b"retry-after", b"1")], text, Cause::Load, turn);
    }

    /// A rule of HTTP is broken: answers, if nothing was answered yet, and ends the connection.
    /// After it nothing more is read as a request. Gives 0, as the number of bytes used.
    #[cold]
    pub(super) fn refuse(&mut self, error: Error, turn: &mut Turn<'_>) -> usize {
        self.trace(turn, &Trace::RequestRefused(error));
        log::debug!("request refused: {error}");
        // [9110-15.5-1] [9110-15.6-1]
        let text = format!("{}\n", error);
        self.answer(error.status(), &[], &text, Cause::RequestRefused(error), turn);
        0
    }

    #[cold]
    pub(super) fn refuse_handshake(&mut self, refusal: Refusal, turn: &mut Turn<'_>) {
        self.trace(turn, &Trace::HandshakeRefused(refusal));
        log::debug!("handshake refused: {} ({})", refusal.rule(), refusal.section());
        let text = format!("{} ({})\n", refusal.rule(), refusal.section());
        let cause = Cause::HandshakeRefused(refusal);
        self.answer(refusal.status(), refusal.fields(), &text, cause, turn);
    }

    /// Answers in the server's own name and ends the connection.
    #[cold]
    pub(super) fn answer(
        &mut self,
        status: u16,
        extra: &[Field<'_>],
        text: &str,
        cause: Cause,
        turn: &mut Turn<'_>,
    ) {
        self.set_cause(cause);
        let (begun, is_head) = match &self.role {
            Role::Http(role) => {
                let begun = |e: &Exchange<H>| e.side.order() != order::Http::AwaitStart;
                (role.exchange.as_deref().is_some_and(begun), role.is_head)
            }
            Role::WebSocket(_) => (false, false),
        };
        self.http_scope_lost(turn);
        if !begun {
            let version = Version::Http11;
            // [9112-2.2-7] [9112-6.1-8] [9112-6.1-9] [9112-6.3-1] [9112-6.3-3]
            let request = Request { version, is_head, persist: false, te_trailers: false };
            let (out, prefab) = (self.output.tail(), &turn.env.round.prefab);
            sender::write_text(out, prefab, request, status, extra, text.as_bytes());
        }
        if let Some(role) = self.http() {
            role.step(Step::Close);
            role.due = Due::Nothing;
        }
        self.close_http(cause, true);
    }

    /// The response cannot be completed: what was encoded is sent, then the connection ends
    /// without the end of the body, so that the peer sees it (RFC 9112 §8).
    #[cold]
    pub(super) fn cut(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        self.set_cause(cause);
        self.http_scope_lost(turn);
        if let Some(role) = self.http() {
            role.step(Step::Close);
            role.due = Due::Nothing;
        }
        self.close_http(cause, false);
    }

    /// Writes what is queued, then ends; with `linger` a peer that still sends is listened to for a
    /// while, and anyway if it sends the body of a request (RFC 9112 §9.6).
    pub(super) fn close_http(&mut self, cause: Cause, linger: bool) {
        let sends_body = self.http().is_some_and(|role| role.has_body_left());
        // [9112-9.6-5]
        match sends_body && !self.draining {
            true => self.close_and(cause, Linger::Body),
            false => self.close(cause, linger),
        }
    }

    /// The scope ends before its response is complete: tells the handler, drops it.
    pub(in crate::conn) fn http_scope_lost(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else { return };
        let Some(mut exchange) = role.exchange.take() else { return };
        let Exchange { handler, side, path, .. } = &mut *exchange;
        turn.env.kit.paths.last = *path;
        side.peer_left();
        // Handles miss from now on, before anybody can hear of the end.
        if let Some(cell) = &self.core.cell {
            cell.end();
        }
        if let Some(mut handler) = handler.take() {
            let (event, side) = (Event::HttpDisconnect, Side::Http(side));
            let (core, slot) = (&mut self.core, (self.slot, self.generation));
            // A failure is logged; there is nothing left to be ended by it.
            let _ = call::tell_on(&mut handler, event, side, core, &mut self.output, turn, slot);
            call::drop_guarded(handler);
        }
        self.core.end();
    }

    /// A FIN while this connection speaks HTTP.
    pub(in crate::conn) fn http_peer_ended(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else { return };
        if role.outlives_peer(&turn.env.round.config) {
            // It is the last answer.
            if let Some(exchange) = &mut role.exchange {
                exchange.side.do_not_persist();
            }
            return;
        }
        match role.cycle {
            Cycle::Idle => self.close(Cause::PeerClosed, false),
            // RFC 9112 §8: an incomplete request. Whoever sent it does not listen for an answer.
            Cycle::Head => self.close(Cause::PeerVanished, false),
            // [9112-6.3-4] [9112-9.5-3]
            Cycle::Exchange | Cycle::Answering => {
                self.http_scope_lost(turn);
                self.close(Cause::PeerVanished, false);
            }
            Cycle::Draining => self.close(Cause::PeerVanished, false),
            Cycle::Closing | Cycle::Upgraded => {}
        }
    }

    /// A deadline of HTTP may have passed.
    pub(in crate::conn) fn http_time(&mut self, turn: &mut Turn<'_>) {
        let (now, unread) = (turn.env.round.now, self.unread_since.is_some());
        let Some(role) = self.http() else { return };
        match role.due {
            Due::Answer(at) if now >= at && role.awaits_head() => self.answer_late(turn),
            _ if unread => {}
            Due::Idle(since) if now >= since + turn.env.round.config.idle_timeout => {
                // [9112-9.5-2]
                self.close(Cause::DeadlinePassed(Deadline::Idle), false)
            }
            Due::Head(at) if now >= at => {
                if self.received == 0 {
                    // It never said anything: nobody to answer.
                    self.close(Cause::RequestRefused(Error::HeadTimeout), false);
                } else {
                    self.refuse(Error::HeadTimeout, turn);
                }
            }
            // The response is complete already: nothing to add.
            Due::Body(at, _) if now >= at && role.cycle == Cycle::Draining => {
                self.close(Cause::BodyUnread, false);
            }
            // [9112-6.3-4] [9110-10.1.1-2]
            Due::Body(at, error) if now >= at => {
                self.refuse(error, turn);
            }
            _ => {}
        }
    }

    /// The application has begun no answer in time.
    #[cold]
    fn answer_late(&mut self, turn: &mut Turn<'_>) {
        log::warn!("{NO_ANSWER}: response_timeout is {:?}", turn.env.round.config.response_timeout);
        let text = format!("{NO_ANSWER} (response_timeout, RFC 9110 §15.6.5)\n");
        self.answer(504, &[], &text, Cause::DeadlinePassed(Deadline::Response), turn);
    }

    /// The server is ending.
    pub(in crate::conn) fn http_shutdown(&mut self) {
        let Role::Http(role) = &mut self.role else { return };
        match (role.cycle, &mut role.exchange) {
            (Cycle::Idle | Cycle::Head | Cycle::Draining, _) => self.close(Cause::Shutdown, false),
            (_, Some(exchange)) => exchange.side.do_not_persist(),
            _ => {}
        }
    }
}
