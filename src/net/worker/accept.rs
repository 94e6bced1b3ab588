//! Newcomers: accepted up to a budget, refused when there are too many, waited for when the system
//! has no descriptor left.

use std::fmt;
use std::io;

use super::{ACCEPT_RETRY, ACCEPTS, Entry, REFUSALS, SocketSink, Watch, Worker};
use crate::asgi::App;
use crate::asgi::log_limit::Kind;
use crate::conn::budget::Budget;
use crate::conn::{Addresses, Connection};
use crate::net::listener::is_out_of_descriptors;
use crate::net::slab::Key;
use crate::net::world::{Readiness, World};

impl<W: World, A: App> Worker<W, A> {
    /// Accepts who waits, up to a budget.
    pub(super) fn accept(&mut self) {
        if self.accept_retry.is_some_and(|at| self.tools.round.now >= at) {
            self.accept_retry = None;
            self.acceptable = true;
        }
        let lets_in = self.ending.as_ref().is_none_or(|ending| ending.lets_in());
        if !self.acceptable || self.accept_retry.is_some() || !lets_in {
            return;
        }
        for _ in 0..ACCEPTS {
            match self.world.accept() {
                Ok((stream, addresses)) => self.welcome(stream, addresses),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.acceptable = false;
                    return;
                }
                // The peer left before it was accepted, or a signal came: the next one.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return self.accept_failed(&error),
            }
        }
    }

    /// No new event will announce those who wait already: a deadline of our own does.
    pub(super) fn accept_failed(&mut self, error: &io::Error) {
        self.accept_retry = Some(self.tools.round.now + ACCEPT_RETRY);
        let connections = self.connections.len();
        if is_out_of_descriptors(error) {
            self.log(
                Kind::Accept,
                format_args!(
                    "cannot accept: no file descriptor left ({connections} connections on this \
                     worker); raise the limit with `ulimit -n` or set max_connections below it"
                ),
            );
        } else {
            self.log(Kind::Accept, format_args!("cannot accept: {error}"));
        }
    }

    /// Logs a line that a peer can cause, unless there were too many of its kind.
    #[cold]
    pub(super) fn log(&mut self, kind: Kind, what: fmt::Arguments<'_>) {
        self.tools.kit.limits.log(kind, self.tools.round.now, what);
    }

    pub(super) fn welcome(&mut self, mut stream: W::Stream, addresses: Addresses) {
        let key = self.connections.next_key();
        if let Err(error) = self.world.register(&mut stream, key) {
            return self
                .log(Kind::Watch, format_args!("a connection could not be watched: {error}"));
        }
        let connections = self.stats.opened();
        let max = self.tools.round.config.max_connections.unwrap_or(usize::MAX);
        let admitted = self.stats.admit(max);
        let mut budget = Budget::default();
        // A fresh socket can be written to, and often the first bytes are there already; but
        // reading before its event came would nearly always be one read too many.
        let mut ready = Readiness { writable: true, ..Readiness::default() };
        let mut sink = SocketSink { stream: &mut stream, writable: &mut ready.writable };
        let mut turn = self.tools.turn(&mut sink, &mut budget, None);
        let mut conn = Connection::new(key.slot, key.generation, addresses, &turn.env);
        if self.ending.is_some() {
            conn.last_call();
        }
        if !admitted {
            if connections > max.saturating_add(REFUSALS) {
                conn.abort(&mut turn);
            } else {
                conn.refuse_for_load(&mut turn);
            }
        }
        let entry = Entry {
            stream,
            conn,
            ready,
            admitted,
            queued: false,
            shut: false,
            watch: Watch::Normal,
            armed: None,
            held: 0,
        };
        let inserted = self.connections.insert(entry);
        debug_assert_eq!(inserted, key);
        self.after_accept(key);
    }

    pub(super) fn after_accept(&mut self, key: Key) {
        self.enter(key, |_, _| {});
    }
}
