//! The lifespan: the application's start and end (ASGI, Lifespan 2.0).
//!
//! Departure from ASGI, which has one per event loop: there is one per server, on the first
//! worker, because the application is one object that all workers share.

use super::slab::Key;
use crate::asgi::env::Env;
use crate::asgi::guard::describe;
use crate::asgi::handle::ScopeCommand;
use crate::asgi::outbox::{LifespanAnswer, LifespanSide, ScopeCore, Side};
use crate::asgi::{App, Event, Handler, LifespanScope, Outbox, Scope, State};
use crate::bytes::moment::Moment;
use crate::bytes::output::Output;
use crate::conn::call::{self, Failure};

/// The address of the lifespan scope: a slot that no connection has.
pub(crate) const LIFESPAN_KEY: Key = Key { slot: u32::MAX, generation: 0 };

/// What came of `lifespan.startup`.
pub(crate) enum Startup {
    /// The application has no lifespan.
    None,
    /// It has started, and set this state.
    Complete(State),
    /// It said that it cannot start.
    Failed(String),
    /// It erred or panicked before it answered.
    Raised(String),
}

pub(crate) struct Lifespan<H> {
    /// None when its life is over.
    handler: Option<H>,
    side: LifespanSide,
    core: ScopeCore,
    /// A lifespan has no peer; nothing is ever written here.
    output: Output,
    answer: Option<LifespanAnswer>,
    raised: Option<String>,
    /// An answer is due.
    waiting: bool,
}

/// The handler is the application's, wherever the lifespan ends.
impl<H> Drop for Lifespan<H> {
    fn drop(&mut self) {
        call::drop_guarded_in(&mut self.handler);
    }
}

impl<H: Handler> Lifespan<H> {
    /// Calls the application with the lifespan scope; `None` if it does not want it.
    pub(crate) fn call<A: App<Handler = H>>(app: &A) -> Option<Self> {
        let scope = Scope::Lifespan(LifespanScope::default());
        let (handler, raised) = match call::guarded(|| app.call(&scope)) {
            Ok(handler) => (Some(handler?), None),
            Err(_) => (None, Some("it panicked when it was called with the scope".to_string())),
        };
        Some(Self {
            handler,
            side: LifespanSide::default(),
            core: ScopeCore::default(),
            output: Output::default(),
            answer: None,
            raised,
            waiting: false,
        })
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
    }

    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.core.timer
    }

    pub(crate) fn startup(&mut self, env: &mut Env<'_>) {
        self.waiting = self.handler.is_some();
        self.tell(Event::LifespanStartup, env);
    }

    pub(crate) fn shutdown(&mut self, env: &mut Env<'_>) {
        if self.side.begin_shutdown() {
            self.waiting = self.handler.is_some();
            self.tell(Event::LifespanShutdown, env);
        }
    }

    pub(crate) fn time(&mut self, env: &mut Env<'_>) {
        if self.core.timer.is_some_and(|due| env.round.now >= due) {
            self.core.timer = None;
            self.tell(Event::Timer, env);
        }
    }

    pub(crate) fn command(&mut self, command: ScopeCommand, env: &mut Env<'_>) {
        if let Some(cell) = &self.core.cell {
            cell.taken(command.cost());
        }
        match command {
            ScopeCommand::Send(event) => {
                let sent = event.with(|event| self.outbox(env).send(event));
                if let Err(error) = sent {
                    log::error!("the lifespan handler's event was not taken: {error}");
                }
                self.settle();
            }
            // Without a handler it ends here, under the guard.
            ScopeCommand::Post(value) if self.handler.is_some() => {
                self.tell(Event::Custom(value.into_value()), env);
            }
            ScopeCommand::Post(_) => {}
            ScopeCommand::HandlesGone => self.settle(),
            ScopeCommand::Respond(_) | ScopeCommand::Resume | ScopeCommand::Overrun => {}
        }
    }

    /// What came of the startup, once it is no longer waited for.
    pub(crate) fn startup_outcome(&mut self) -> Startup {
        match self.answer.take() {
            Some(LifespanAnswer::Complete) => Startup::Complete(self.side.state.clone()),
            Some(LifespanAnswer::Failed(message)) => Startup::Failed(message),
            None if self.waiting => Startup::Failed("no answer within 60 s".to_string()),
            None => match self.raised.take() {
                Some(message) => Startup::Raised(message),
                None => {
                    self.side.started_silently();
                    Startup::Complete(self.side.state.clone())
                }
            },
        }
    }

    /// What came of the shutdown.
    pub(crate) fn shutdown_outcome(&mut self) -> Result<(), String> {
        match self.answer.take() {
            Some(LifespanAnswer::Failed(message)) => Err(message),
            Some(LifespanAnswer::Complete) => Ok(()),
            None if self.waiting => Err("no answer within 60 s".to_string()),
            None => Ok(()),
        }
    }

    fn outbox<'a>(&'a mut self, env: &'a mut Env<'_>) -> Outbox<'a> {
        let side = Side::Lifespan(&mut self.side);
        let Key { slot, generation } = LIFESPAN_KEY;
        Outbox::new(side, &mut self.core, &mut self.output, env.reborrow(), slot, generation)
    }

    fn tell(&mut self, event: Event<'_>, env: &mut Env<'_>) {
        let Some(mut handler) = self.handler.take() else { return };
        let name = event.name();
        match call::tell(&mut handler, event, &mut self.outbox(env)) {
            Ok(()) => self.handler = Some(handler),
            Err(failure) => {
                failure.log(name, env);
                self.raised = Some(match failure {
                    Failure::Error(error) => describe(error.get()),
                    Failure::Panic => "it panicked".to_string(),
                    Failure::Closed => "the scope is closed".to_string(),
                });
                call::drop_guarded(handler);
                self.core.end();
            }
        }
        self.settle();
    }

    /// Is an answer still due, and can it come?
    fn settle(&mut self) {
        if let Some(answer) = self.side.take_answer() {
            self.answer = Some(answer);
            self.waiting = false;
        }
        if self.handler.is_none() || !self.core.can_still_answer() {
            self.waiting = false;
        }
    }
}
