//! Calling into an application, and what becomes of its mistakes.

use super::Turn;
use crate::asgi::env::Env;
use crate::asgi::guard::{self, Described, Guarded, Panicked};
use crate::asgi::log_limit::Kind;
use crate::asgi::outbox::{ScopeCore, Side};
use crate::asgi::{AppError, Event, Handler, Outbox, SendError};
use crate::bytes::output::Output;

pub(crate) use crate::asgi::guard::{drop_guarded, drop_guarded_in};

/// How a callback failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It returned [`SendError::Closed`]: the peer is gone, nobody's mistake.
    Closed,
    /// It returned another error.
    Error(Guarded<AppError>),
    /// It panicked. The panic hook has printed where.
    Panic,
}

impl Failure {
    /// It returned this error, or something as bad.
    pub(crate) fn error(error: impl Into<AppError>) -> Self {
        Failure::Error(Guarded::new(error.into()))
    }

    /// Logs it, unless it is nobody's mistake.
    #[cold]
    pub(crate) fn log(&self, event: &str, env: &mut Env<'_>) {
        match self {
            Failure::Closed => {}
            Failure::Error(error) => {
                let error = Described(error.get());
                env.log(Kind::Handler, format_args!("the handler failed on {event}: {error}"));
            }
            Failure::Panic => {
                env.log(Kind::Handler, format_args!("the handler panicked on {event}"));
            }
        }
    }
}

/// Runs a part of an application under the guard: a panic ends its scope, not the worker.
#[inline]
pub(crate) fn guarded<R>(part: impl FnOnce() -> R) -> Result<R, Failure> {
    guard::guarded(part).map_err(|Panicked| Failure::Panic)
}

/// Tells a handler of a connection an event. If it fails, what it asked for beyond the connection
/// is not done, and the failure is logged.
#[inline(always)]
pub(super) fn tell_on<H: Handler>(
    handler: &mut H,
    event: Event<'_>,
    side: Side<'_>,
    core: &mut ScopeCore,
    output: &mut Output,
    turn: &mut Turn<'_>,
    (slot, generation): (u32, u32),
) -> Result<(), Failure> {
    let effects = turn.env.kit.effects.len();
    let name = event.name();
    let mut out = Outbox::new(side, core, output, turn.env.reborrow(), slot, generation);
    let told = tell(handler, event, &mut out);
    if let Err(failure) = &told {
        turn.env.kit.effects.truncate(effects);
        failure.log(name, &mut turn.env);
    }
    told
}

/// Tells a handler an event.
#[inline(always)]
pub(crate) fn tell<H: Handler>(
    handler: &mut H,
    event: Event<'_>,
    out: &mut Outbox<'_>,
) -> Result<(), Failure> {
    match guarded(|| handler.receive(event, out)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failure(error)),
        Err(panic) => Err(panic),
    }
}

/// How a callback failed that returned this.
#[cold]
pub(super) fn failure(error: AppError) -> Failure {
    match error.downcast_ref::<SendError>() {
        Some(SendError::Closed) => Failure::Closed,
        _ => Failure::error(error),
    }
}
