//! The turn of a connection: how much it may do, and what follows from what it did. At its end what
//! is queued is written, in one go.

use super::heartbeat::Progress;
use super::http::Exchange;
use super::record::Cause;
use super::unfinished::Waiting;
use super::{Connection, Phase, Role, Turn, WriteBlocked};
use crate::asgi::{App, Config, Event, Handler};
use crate::bytes::moment::Moment;

/// What a worker lends to one connection after the other, each for its turn: memory that a
/// connection at rest does without.
pub struct Loan<H> {
    /// The buffer that answers are appended to.
    output: Vec<u8>,
    /// Room for one request and its response.
    room: Option<Box<Exchange<H>>>,
}

impl<H> Loan<H> {
    /// With a buffer of this size (bytes).
    pub fn new(buffer: usize) -> Self {
        Self { output: Vec::with_capacity(buffer), room: None }
    }
}

impl<H: Handler> Connection<H> {
    /// The connection borrows for this turn what it does not have for itself.
    #[inline(always)]
    pub fn begin_turn(&mut self, loan: &mut Loan<H>) {
        self.output.lend(&mut loan.output);
        self.room = loan.room.take();
    }

    /// The whole turn of a connection that is quiet, beginning and end: bytes arrived, which are used
    /// as by [`Connection::bytes_in`]. Tells whether the connection is quiet again.
    #[inline(always)]
    pub fn turn_at_rest<A: App<Handler = H>>(
        &mut self,
        app: &A,
        bytes: &mut [u8],
        loan: &mut Loan<H>,
        turn: &mut Turn<'_>,
    ) -> bool {
        debug_assert!(self.is_quiet());
        self.received += bytes.len() as u64;
        turn.spend(bytes.len());
        self.output.lend(&mut loan.output);
        let mut used = 0;
        if let Role::WebSocket(_) = self.role {
            let told = self.tell_whole_messages(bytes, turn);
            used = told.used;
            if used == bytes.len() && told.as_before && self.core.is_quiet() {
                let all = self.write(loan, turn);
                debug_assert!(!all || self.is_quiet());
                return all || self.settle_end(all, loan, turn);
            }
        }
        self.room = loan.room.take();
        if used < bytes.len() {
            self.use_or_keep(app, &mut bytes[used..], turn);
        }
        self.end_turn(loan, turn)
    }

    /// Ends the turn: writes what is queued, settles what follows from it, and gives back what is
    /// not needed between turns. Tells whether the connection is quiet then.
    #[inline(always)]
    pub fn end_turn(&mut self, loan: &mut Loan<H>, turn: &mut Turn<'_>) -> bool {
        let all = self.write(loan, turn);
        self.settle_end(all, loan, turn)
    }

    /// The end of a turn, behind its write, which was of all that waited or not.
    #[inline(always)]
    fn settle_end(&mut self, all: bool, loan: &mut Loan<H>, turn: &mut Turn<'_>) -> bool {
        let quiet = all && self.is_quiet();
        if !quiet {
            self.settle_turn(turn);
            self.output.give_back(&mut loan.output, &mut turn.env.kit.pool);
        }
        if let Some(room) = self.room.take() {
            loan.room = Some(room);
        }
        quiet
    }

    /// Writes what is queued; tells whether all of it has left, and the lent buffer is back.
    #[inline(always)]
    fn write(&mut self, loan: &mut Loan<H>, turn: &mut Turn<'_>) -> bool {
        if self.core.broken.is_some() {
            return false;
        }
        // [6455-6.1-5]
        let (scratch, pool) = (&mut loan.output, &mut turn.env.kit.pool);
        let before = self.output.written();
        match self.output.send_and_give_back(scratch, pool, turn.env.sink) {
            Ok(all) => {
                turn.spend((self.output.written() - before) as usize);
                all
            }
            Err(error) => {
                self.core.fail(error.kind());
                false
            }
        }
    }

    /// What follows from a turn, for a connection that is not quiet after it.
    fn settle_turn(&mut self, turn: &mut Turn<'_>) {
        self.settle_written(turn);
        if let Some(cell) = &self.core.cell {
            cell.set_queued(self.output.len());
        }
        let (now, config) = (turn.env.round.now, &turn.env.round.config);
        self.note_left(now, config);
        self.note_reading(now, config);
        if let Role::WebSocket(role) = &mut self.role
            && role.is_open()
            && self.unread_since.is_none()
            // The whole message has come: what is left of it is our work.
            && role.receiver.stopped().is_none()
        {
            let waiting = Waiting { bytes: self.input.len(), for_us: self.stalled };
            role.note_unfinished(waiting, self.received, now, config);
        }
    }

    fn settle_written(&mut self, turn: &mut Turn<'_>) {
        if self.core.lost {
            return self.give_up(turn);
        }
        self.note_written(turn);
        if let Phase::Closing { linger } = self.phase
            && self.output.is_empty()
        {
            self.begin_lingering(linger, turn);
        }
    }

    /// The socket failed, or a sender ignored that the peer does not keep up.
    #[cold]
    fn give_up(&mut self, turn: &mut Turn<'_>) {
        if let Some(kind) = self.core.broken {
            return self.lost(kind, turn);
        }
        self.set_cause(Cause::Overrun);
        self.abort(turn);
    }

    /// After a write: how long has the peer taken nothing? Is a `Drain` due?
    fn note_written(&mut self, turn: &mut Turn<'_>) {
        if self.output.is_empty() {
            self.write_blocked = None;
        } else {
            let written = self.output.written();
            match &mut self.write_blocked {
                Some(blocked) if blocked.written == written => {}
                blocked => {
                    *blocked = Some(Box::new(WriteBlocked { since: turn.env.round.now, written }));
                }
            }
        }
        if self.phase == Phase::Active && self.output.len() <= turn.env.round.config.low_water {
            let for_handles = self.core.cell.as_ref().is_some_and(|cell| cell.drain_is_due());
            if self.core.full || for_handles {
                self.drain_due = true;
            }
        }
        if let Role::WebSocket(role) = &mut self.role {
            let progress = Progress { output: &self.output, received: self.received };
            role.note_written(progress, turn);
        }
    }

    pub(super) fn tell_drain(&mut self, turn: &mut Turn<'_>) {
        self.core.full = false;
        if let Some(cell) = &self.core.cell {
            cell.drained();
        }
        self.tell_scope(Event::Drain, turn);
    }

    /// Notes when we stop reading and moves the peer's deadlines when we begin again: what it
    /// could not send it is not late with.
    fn note_reading(&mut self, now: Moment, config: &Config) {
        // To look for the peer's end only is not to read it.
        let reads = self.wants_read(config) && !self.reads_to_the_end();
        match (reads, self.unread_since) {
            (false, None) => self.unread_since = Some(now),
            (true, Some(since)) => {
                self.unread_since = None;
                let pause = now.since(since);
                match &mut self.role {
                    Role::Http(role) => role.shift_deadlines(pause),
                    Role::WebSocket(role) => role.shift_deadlines(pause, now),
                }
            }
            _ => {}
        }
    }

    /// Looks whether more work is allowed, and counts this; else notes that bytes wait.
    #[inline]
    pub(super) fn may_proceed(&mut self, units: usize, turn: &mut Turn<'_>) -> bool {
        if turn.budget.is_spent() || !self.takes_input(&turn.env.round.config) {
            self.stalled = true;
            return false;
        }
        turn.spend(units);
        true
    }
}
