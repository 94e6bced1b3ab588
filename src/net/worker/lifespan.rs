//! The lifespan on the first worker: before the first accept, after the last connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::ending::Ending;
use super::{LIFESPAN_TIMEOUT, NoSink, Worker};
use crate::asgi::App;
use crate::asgi::env::Env;
use crate::conn::budget::Budget;
use crate::net::commands::Mail;
use crate::net::lifespan::{LIFESPAN_KEY, Lifespan, Startup};
use crate::net::world::World;

impl<W: World, A: App> Worker<W, A> {
    /// Tells the application that the server starts, and waits for its answer. Before the first
    /// accept.
    pub(crate) fn start_lifespan(&mut self) -> io::Result<Startup> {
        let app = Arc::clone(&self.app);
        let Some(lifespan) = Lifespan::call(&*app) else {
            return Ok(Startup::None);
        };
        self.lifespan = Some(lifespan);
        self.with_lifespan(Lifespan::startup);
        self.wait_for_lifespan(true)?;
        if self.ending.is_some() {
            // Whoever asked for the end does not wait for a start, nor do we for a shutdown.
            self.lifespan = None;
            return Ok(Startup::None);
        }
        Ok(self.with_lifespan(|lifespan, _| lifespan.startup_outcome()).unwrap_or(Startup::None))
    }

    /// Tells the application that the server has ended, and waits for its answer. After the
    /// last connection.
    pub(crate) fn stop_lifespan(&mut self) -> io::Result<Result<(), String>> {
        self.with_lifespan(Lifespan::shutdown);
        self.wait_for_lifespan(false)?;
        Ok(self.with_lifespan(|lifespan, _| lifespan.shutdown_outcome()).unwrap_or(Ok(())))
    }

    pub(super) fn wait_for_lifespan(&mut self, starting: bool) -> io::Result<()> {
        let deadline = self.world.now() + LIFESPAN_TIMEOUT;
        loop {
            let Some(lifespan) = &self.lifespan else { return Ok(()) };
            let now = self.world.now();
            if !lifespan.is_waiting() || now >= deadline || (starting && self.ending.is_some()) {
                return Ok(());
            }
            let until = lifespan.deadline().map_or(deadline, |timer| timer.min(deadline));
            let timeout = until.since(now) + Duration::from_millis(1);
            self.world.wait(Some(timeout), &mut self.ready)?;
            self.begin_round();
            // No connection is served now.
            self.ready.sockets.clear();
            self.ready.mailbox = false;
            self.mailbox.take(&mut self.taken);
            for mail in std::mem::take(&mut self.taken) {
                match mail {
                    Mail::Shutdown if starting => {
                        self.ending = Some(Ending::at_once(self.tools.round.now));
                    }
                    Mail::Shutdown => {}
                    other => self.mail(other),
                }
            }
            self.with_lifespan(Lifespan::time);
        }
    }

    /// Lends the lifespan what a callback may need.
    pub(super) fn with_lifespan<R>(
        &mut self,
        then: impl FnOnce(&mut Lifespan<A::Handler>, &mut Env<'_>) -> R,
    ) -> Option<R> {
        let lifespan = self.lifespan.as_mut()?;
        let mut budget = Budget::default();
        let mut sink = NoSink;
        let mut turn = self.tools.turn(&mut sink, &mut budget, None);
        let result = then(lifespan, &mut turn.env);
        // A lifespan may publish; it cannot join.
        if !self.tools.kit.effects.is_empty() {
            self.apply_effects(LIFESPAN_KEY);
        }
        Some(result)
    }
}
