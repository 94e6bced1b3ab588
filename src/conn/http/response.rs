//! The handler is told events and answers: from the first byte of a response to the last.

use std::io::Read as _;

use super::{Due, Exchange, FILE_PIECE, HttpRole, is_unread};
use crate::asgi::log_limit::Kind;
use crate::asgi::order;
use crate::asgi::outbox::{HttpSide, Side};
use crate::asgi::{Event, Handler};
use crate::conn::call::{self, Failure};
use crate::conn::record::Cause;
use crate::conn::trace::Trace;
use crate::conn::{Connection, Role, Turn};
use crate::http::cycle::{Cycle, Step};
use crate::http::sender::Field;

/// What is to be known of a response that is complete.
pub(super) struct Ended {
    status: u16,
    persists: bool,
    /// It has fewer bytes than it announced.
    short: bool,
    /// The request was the last one by its own words, and had no body.
    was_last: bool,
}

impl Ended {
    #[inline]
    pub(super) fn of(side: &HttpSide, was_last: bool) -> Self {
        let sender = side.sender();
        let (status, persists) = (sender.status(), sender.persists());
        Self { status, persists, short: sender.is_short(), was_last }
    }
}

impl<H: Handler> Connection<H> {
    /// Tells the handler of the current exchange an event and settles what follows.
    #[inline]
    pub(in crate::conn) fn tell_http(&mut self, event: Event<'_>, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else { return };
        let HttpRole { receiver, exchange: Some(exchange), .. } = &mut **role else { return };
        let Exchange { handler: Some(handler), side, .. } = &mut **exchange else { return };
        side.set_unread(is_unread(receiver));
        let (side, slot) = (Side::Http(side), (self.slot, self.generation));
        match call::tell_on(handler, event, side, &mut self.core, &mut self.output, turn, slot) {
            Ok(()) | Err(Failure::Closed) => self.settle_http(turn),
            Err(_) => self.http_failed(turn),
        }
    }

    /// The handler failed: a 500 if the response has not left, else the connection is cut.
    pub(in crate::conn) fn http_failed(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else { return };
        let Some(exchange) = &mut role.exchange else { return };
        if exchange.side.order() == order::Http::Done {
            return self.settle_http(turn);
        }
        if exchange.side.take_back(&mut self.output) {
            // ASGI: an application that raises ends its instance and its connection.
            exchange.side.do_not_persist();
            self.answer_for_app(500, "the application failed\n", turn);
        } else {
            // It has ended itself: it is not told an end.
            if let Role::Http(role) = &mut self.role
                && let Some(exchange) = &mut role.exchange
                && let Some(handler) = exchange.handler.take()
            {
                call::drop_guarded(handler);
            }
            self.cut(Cause::HandlerFailed, turn);
        }
    }

    /// After a callback: the head is on its way; is the response complete, can it still be?
    #[inline(always)]
    pub(in crate::conn) fn settle_http(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else { return };
        let Some(exchange) = &mut role.exchange else { return };
        exchange.side.release_head(&mut self.output);
        if self.core.lost {
            // The end of the turn tells and ends it.
            return;
        }
        if exchange.side.is_complete() {
            return self.finish_response(turn);
        }
        self.settle_incomplete(turn);
    }

    /// As [`Connection::settle_http`], where the response is not complete.
    fn settle_incomplete(&mut self, turn: &mut Turn<'_>) {
        let can_still_answer = self.core.can_still_answer();
        let paused = self.core.paused;
        let Role::Http(role) = &mut self.role else { return };
        let Some(exchange) = &mut role.exchange else { return };
        if exchange.side.has_file() {
            return self.pump_file(turn);
        }
        if exchange.expecting && !paused {
            // No answer was begun: the client may send the body.
            return self.send_continue(turn);
        }
        let more_to_come = role.cycle == Cycle::Exchange && !paused;
        if more_to_come || can_still_answer {
            return;
        }
        // Nothing is left that could answer: no handle, no timer, no piece of the body.
        match exchange.side.order() {
            order::Http::AwaitStart => {
                let what = "the handler returned without an answer and kept nothing to answer with";
                turn.env.log(Kind::Handler, format_args!("{what}"));
                // [9110-10.1.1-2]
                self.answer_for_app(500, "the application gave no answer\n", turn);
            }
            order::Http::AwaitTrailers => {
                let what = format_args!("the handler announced trailers and sent none");
                turn.env.log(Kind::Handler, what);
                exchange.side.end_without_trailers(&mut self.output);
                self.finish_response(turn);
            }
            _ => {
                let what = "the handler began a response and kept nothing to complete it with";
                turn.env.log(Kind::Handler, format_args!("{what}"));
                self.cut(Cause::HandlerFailed, turn);
            }
        }
    }

    /// Sends the 100 that a client waits for, unless an answer was begun or the application
    /// pauses.
    pub(super) fn send_continue(&mut self, turn: &mut Turn<'_>) {
        let paused = self.core.paused;
        let Some(role) = self.http() else { return };
        let Some(exchange) = &mut role.exchange else { return };
        if !exchange.expecting || paused || exchange.side.order() != order::Http::AwaitStart {
            return;
        }
        exchange.expecting = false;
        exchange.side = HttpSide::new(exchange.request);
        // [9110-10.1.1-4] [9110-10.1.1-5]
        self.output.tail().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.trace(turn, &Trace::ContinueSent);
    }

    /// Answers in the application's place, in order with everything else; the exchange goes on
    /// like any other.
    pub(super) fn answer_for_app(&mut self, status: u16, text: &str, turn: &mut Turn<'_>) {
        if let Role::Http(role) = &mut self.role
            && let Some(exchange) = &mut role.exchange
        {
            if let Some(handler) = exchange.handler.take() {
                call::drop_guarded(handler);
            }
            self.core.end();
        }
        let fields: &[Field<'_>] = &[(b"content-type", b"text/plain; charset=utf-8")];
        let sent = self.with_outbox(turn, |out| out.respond(status, fields, text.as_bytes()));
        if matches!(sent, Some(Ok(_))) {
            self.settle_http(turn);
        } else {
            self.cut(Cause::HandlerFailed, turn);
        }
    }

    /// The response is complete to its last byte.
    #[inline(never)]
    pub(super) fn finish_response(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else { return };
        let Some(exchange) = &mut role.exchange else { return };
        let was_last = !exchange.request.persist && role.receiver.had_no_body();
        let response = Ended::of(&exchange.side, was_last);
        turn.env.kit.paths.last = exchange.path;
        if let Some(handler) = exchange.handler.take() {
            call::drop_guarded(handler);
        }
        // Its room is free for the next one.
        if let Some(room) = role.exchange.take()
            && self.room.is_none()
        {
            self.room = Some(room);
        }
        self.end_exchange(&response, turn);
    }

    /// The exchange has ended with this response: what comes next on the connection?
    #[inline(always)]
    pub(super) fn end_exchange(&mut self, response: &Ended, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else { return };
        let Ended { status, persists, short, was_last } = *response;
        if !self.core.is_quiet() {
            self.core.end();
        }
        role.step(Step::ResponseComplete);
        if role.cycle == Cycle::Idle {
            role.due = Due::Idle(turn.env.round.now);
        }
        if turn.observer.is_some() {
            self.trace(turn, &Trace::ResponseComplete { status, persists });
        }
        if short {
            // RFC 9110 §8.6: fewer bytes than announced. Never padded: the peer must see it.
            let what = "the response body is shorter than its content-length: connection cut";
            turn.env.log(Kind::Handler, format_args!("{what}"));
            self.close_http(Cause::HandlerFailed, false);
        } else if !persists || self.draining {
            let ending = self.draining || self.last_call;
            let cause = match &self.role {
                _ if ending => Cause::Shutdown,
                _ if self.eof => Cause::PeerClosed,
                // [9112-9.3-3]
                Role::Http(role) if is_unread(&role.receiver) => Cause::BodyUnread,
                _ => Cause::NotPersistent,
            };
            // RFC 9112 §9.6: a client that sends "close" "MUST NOT send further requests on that
            // connection". Nothing can come then that would make the system reset the connection
            // before our answer is read: no need to listen. (Behind a body old clients send an
            // empty line more.)
            // [9112-9.6-2] [9112-9.6-5]
            self.close_http(cause, ending || !was_last);
        }
    }

    /// Reads on in the file that is the body, while the peer takes it.
    pub(in crate::conn) fn pump_file(&mut self, turn: &mut Turn<'_>) {
        let Role::Http(role) = &mut self.role else { return };
        let Some(exchange) = &mut role.exchange else { return };
        let Some(mut body) = exchange.side.take_file() else { return };
        if self.output.len() <= turn.env.round.config.low_water {
            let piece = body.left.min(FILE_PIECE as u64);
            let read = (&mut body.file).take(piece).read_to_end(self.output.tail());
            match read {
                Ok(n) if n as u64 == piece => body.left -= piece,
                // Shorter than it was when its length was announced.
                _ => {
                    let what = "a file could not be read to its end while it was sent";
                    turn.env.log(Kind::Handler, format_args!("{what}"));
                    return self.cut(Cause::HandlerFailed, turn);
                }
            }
        }
        if body.left > 0 {
            exchange.side.put_file(body);
            return;
        }
        self.output.tail().extend_from_slice(&body.after);
        self.settle_http(turn);
    }
}
