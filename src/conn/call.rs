//! Calling into an application, and what becomes of its mistakes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Turn;
use crate::asgi::outbox::{ScopeCore, Side};
use crate::asgi::{AppError, Event, Handler, Outbox, SendError};
use crate::bytes::output::Output;

/// How a callback failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It returned [`SendError::Closed`]: the peer is gone, nobody's mistake.
    Closed,
    /// It returned another error.
    Error(AppError),
    /// It panicked. The panic hook has printed where.
    Panic,
}

impl Failure {
    /// Logs it, unless it is nobody's mistake.
    pub(crate) fn log(&self, event: &str) {
        match self {
            Failure::Closed => {}
            Failure::Error(error) => log::error!("the handler failed on {event}: {error}"),
            Failure::Panic => log::error!("the handler panicked on {event}"),
        }
    }
}

/// Runs a part of an application: a panic ends its scope, not the worker.
///
/// `AssertUnwindSafe`: what the closure touched is thrown away (the handler) or put right by the
/// caller (output, effects).
#[inline]
pub(crate) fn guarded<R>(part: impl FnOnce() -> R) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(part)).map_err(|payload| {
        // A payload whose drop panics must not take the worker along.
        std::mem::forget(payload);
        Failure::Panic
    })
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
        failure.log(name);
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
        _ => Failure::Error(error),
    }
}

/// Drops what belongs to an application; its `drop` may panic too.
pub(crate) fn drop_guarded<T>(value: T) {
    drop_guarded_in(&mut Some(value));
}

/// As [`drop_guarded`], where it is.
#[inline(always)]
pub(crate) fn drop_guarded_in<T>(place: &mut Option<T>) {
    if std::mem::needs_drop::<T>() && guarded(|| *place = None).is_err() {
        log::error!("a handler panicked while it was dropped");
    }
}
