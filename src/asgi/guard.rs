//! The guard: whatever of an application can run, runs under it. A panic ends a scope, not a worker.
//!
//! An application does not run only where it is called. An error prints itself and is dropped; so are
//! a handler, a posted value, a value of the state and the payload of a panic, at any time and on
//! any thread, also while a worker that died is cleared away. What is kept of an application is
//! therefore kept in a [`Guarded`], or in a type that does the same in its `Drop`: then no place can
//! forget it.
//!
//! Two things cannot be held: a panic that leaves a `drop` while another panic unwinds, and any
//! panic with `panic = "abort"`. Rust ends the process then.

use std::any::Any;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// It panicked. The panic hook has printed where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs a part of an application.
///
/// `AssertUnwindSafe`: what the closure touched is thrown away (the handler) or put right by the
/// caller (output, effects).
#[inline]
pub(crate) fn guarded<R>(part: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(part)).map_err(|payload| {
        drop_payload(payload);
        Panicked
    })
}

/// As [`guarded`], with what the panic said.
pub(crate) fn caught<R>(part: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(part)).map_err(|payload| {
        let said = what_it_said(&*payload).to_string();
        drop_payload(payload);
        said
    })
}

/// The message of a panic.
pub(crate) fn what_it_said(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(said), _) => said,
        (_, Some(said)) => said,
        _ => "it panicked without a message",
    }
}

/// A payload is a value of the application, too.
#[cold]
fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its payload may panic in its drop, too, and so on: here it ends.
        std::mem::forget(second);
    }
}

/// Drops what belongs to an application.
pub(crate) fn drop_guarded<T>(value: T) {
    drop_guarded_in(&mut Some(value));
}

/// As [`drop_guarded`], where it is.
#[inline(always)]
pub(crate) fn drop_guarded_in<T>(place: &mut Option<T>) {
    if std::mem::needs_drop::<T>() && guarded(|| *place = None).is_err() {
        drop_panicked(std::any::type_name::<T>());
    }
}

/// A line for the first of them on a thread, then for each power of two: no clock is at hand.
#[cold]
fn drop_panicked(name: &str) {
    const FIRST: u64 = 16;
    thread_local! { static PANICS: Cell<u64> = const { Cell::new(0) } }
    let count = PANICS.with(|panics| panics.replace(panics.get() + 1)) + 1;
    if count <= FIRST {
        log::error!("a value of the application panicked while it was dropped: {name}");
    } else if count.is_power_of_two() {
        log::error!(
            "a value of the application panicked while it was dropped: {name}; \
             the {count}th on this thread"
        );
    }
}

/// A value of an application; its `drop` runs under the guard, wherever that is.
pub(crate) struct Guarded<T>(Option<T>);

impl<T> Guarded<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Takes it out; its drop is not guarded from now on.
    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect("it is taken once")
    }

    pub(crate) fn get(&self) -> &T {
        self.0.as_ref().expect("it is taken by value only")
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        drop_guarded_in(&mut self.0);
    }
}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value's own `Debug` is code of the application.
        f.write_str(std::any::type_name::<T>())
    }
}

/// The most that is written of a value that describes itself (bytes).
const LONGEST: usize = 4096;

/// What something of an application says of itself, in one line that is safe to print: control
/// characters are escaped (`\n`, `\x1b`), what panics or fails on the way is cut there.
pub(crate) fn describe(what: &dyn fmt::Display) -> String {
    let mut line = OneLine { text: String::new(), is_cut: false };
    let written = guarded(|| write!(line, "{what}"));
    let OneLine { mut text, is_cut } = line;
    let end = match written {
        Err(Panicked) => " (it panicked while it was printed)",
        _ if is_cut => "…",
        Ok(Err(fmt::Error)) => " (it could not be printed)",
        Ok(Ok(())) => return text,
    };
    text.push_str(end);
    text
}

/// As [`describe`], made only if it is printed.
pub(crate) struct Described<'a>(pub(crate) &'a dyn fmt::Display);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(self.0))
    }
}

/// Takes a text, without its control characters and up to a length.
struct OneLine {
    text: String,
    is_cut: bool,
}

impl fmt::Write for OneLine {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for c in piece.chars() {
            if self.text.len() >= LONGEST {
                self.is_cut = true;
                return Err(fmt::Error);
            }
            match c {
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                c if c.is_control() => write!(self.text, "\\x{:02x}", u32::from(c))?,
                // Line separators, and what turns the direction of the text around it.
                '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(self.text, "\\u{{{:x}}}", u32::from(c))?;
                }
                c => self.text.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(fn(&mut fmt::Formatter<'_>) -> fmt::Result);

    impl fmt::Display for Says {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (self.0)(f)
        }
    }

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("a bomb"));
        }
    }

    #[test]
    fn whatever_it_says_is_one_line_and_safe_to_print() {
        for (says, line) in [
            (Says(|f| f.write_str("plain, ä, \\ stays")), "plain, ä, \\ stays"),
            (Says(|f| f.write_str("a\r\nb\t\0\x1b[2J\x7f")), "a\\r\\nb\\t\\x00\\x1b[2J\\x7f"),
            (Says(|f| f.write_str("\u{9b}2J\u{85}")), "\\x9b2J\\x85"),
            (Says(|f| f.write_str("\u{202e}txt\u{2028}")), "\\u{202e}txt\\u{2028}"),
            (
                Says(|f| {
                    f.write_str("half")?;
                    std::panic::resume_unwind(Box::new(Bomb))
                }),
                "half (it panicked while it was printed)",
            ),
            (
                Says(|f| {
                    f.write_str("half")?;
                    Err(fmt::Error)
                }),
                "half (it could not be printed)",
            ),
        ] {
            assert_eq!(describe(&says), line);
        }
    }

    #[test]
    fn what_says_too_much_is_cut() {
        let endless = Says(|f| {
            loop {
                f.write_str("on and on, ")?;
            }
        });
        let line = describe(&endless);
        assert!(line.len() < LONGEST + 32 && line.ends_with('…'), "{}", line.len());
    }

    #[test]
    fn a_drop_that_panics_is_held_also_while_another_panic_unwinds() {
        drop(Guarded::new(Bomb));
        drop_guarded((Bomb, 1));
        assert!(guarded(|| std::panic::resume_unwind(Box::new(Bomb))).is_err());
        let unwound = caught(|| {
            let _held = Guarded::new(Bomb);
            std::panic::resume_unwind(Box::new("the first".to_string()));
        });
        assert_eq!(unwound, Err("the first".to_string()));
    }

    #[test]
    fn what_is_taken_out_is_no_longer_guarded() {
        let guarded_value = Guarded::new(5);
        assert_eq!((guarded_value.get(), format!("{guarded_value:?}")), (&5, "i32".to_string()));
        assert_eq!(guarded_value.into_inner(), 5);
    }
}
