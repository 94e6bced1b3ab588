//! The side of a lifespan scope.

use super::{SendError, obey};
use crate::asgi::event::SendEvent;
use crate::asgi::order::{Lifespan, LifespanStep};
use crate::asgi::state::State;

/// What a lifespan answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifespanAnswer {
    /// `…complete`
    Complete,
    /// `…failed`, with its message.
    Failed(String),
}

/// The answers of the lifespan scope.
#[derive(Debug)]
pub struct LifespanSide {
    order: Lifespan,
    answer: Option<LifespanAnswer>,
    /// What later scopes will find.
    pub state: State,
}

impl Default for LifespanSide {
    fn default() -> Self {
        Self { order: Lifespan::Starting, answer: None, state: State::default() }
    }
}

impl LifespanSide {
    /// Takes the answer to the last event, if it was given.
    pub fn take_answer(&mut self) -> Option<LifespanAnswer> {
        self.answer.take()
    }

    /// Is the answer to `lifespan.startup` still due?
    pub fn is_starting(&self) -> bool {
        self.order == Lifespan::Starting
    }

    /// A handler that returned from startup without an answer, and kept nothing to answer with,
    /// has started.
    pub fn started_silently(&mut self) {
        self.order = Lifespan::Started;
    }

    /// The server tells `lifespan.shutdown`; false if there is nothing left to be told.
    pub fn begin_shutdown(&mut self) -> bool {
        match self.order.next(LifespanStep::Shutdown) {
            super::Verdict::To(next) => {
                self.order = next;
                true
            }
            _ => false,
        }
    }

    pub(super) fn out_of_order(&self, event: &'static str) -> SendError {
        let state = match self.order {
            Lifespan::Starting => "the server is starting",
            Lifespan::Started => "the server has started",
            Lifespan::Stopping => "the server is stopping",
            Lifespan::Ended => "the lifespan is over",
        };
        SendError::OutOfOrder { event, state }
    }

    pub(super) fn send(&mut self, event: SendEvent<'_>) -> Result<(), SendError> {
        let (step, answer) = match event {
            SendEvent::LifespanStartupComplete => {
                (LifespanStep::StartupComplete, LifespanAnswer::Complete)
            }
            SendEvent::LifespanStartupFailed { message } => {
                (LifespanStep::StartupFailed, LifespanAnswer::Failed(message.into()))
            }
            SendEvent::LifespanShutdownComplete => {
                (LifespanStep::ShutdownComplete, LifespanAnswer::Complete)
            }
            SendEvent::LifespanShutdownFailed { message } => {
                (LifespanStep::ShutdownFailed, LifespanAnswer::Failed(message.into()))
            }
            other => return Err(self.out_of_order(other.name())),
        };
        if let Some(next) = obey(self.order.next(step), event.name(), "")
            .map_err(|_| self.out_of_order(event.name()))?
        {
            self.order = next;
            self.answer = Some(answer);
        }
        Ok(())
    }
}
