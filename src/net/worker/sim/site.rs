//! The application of the simulation: a handler does what its path and its messages say. Each
//! callback costs time, which moves the simulated clock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::platform::SimClock;
use crate::asgi::{App, AppError, Event, Handle, Handler, Message, Outbox, Scope};

/// What all handlers share with the driver.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) callbacks: AtomicUsize,
    pub(super) begun: AtomicUsize,
    pub(super) dropped: AtomicUsize,
    /// Ends that handlers were told.
    pub(super) ends: AtomicUsize,
    /// Handles that wait to be used by "another thread".
    pub(super) handles: Mutex<Vec<Handle>>,
    /// Publications by each publisher and group, to number them.
    published: Mutex<HashMap<(u64, String), u64>>,
}

#[derive(Clone)]
pub(super) struct Site {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: SimClock,
    /// What a callback costs.
    pub(super) cost: Duration,
}

pub(super) struct Visit {
    site: Site,
    path: String,
    number: u64,
    ticks: u32,
    ended: bool,
}

impl App for Site {
    type Handler = Visit;

    fn call(&self, scope: &Scope<'_>) -> Option<Visit> {
        let path = scope.path().to_string();
        if path == "/none" || matches!(scope, Scope::Lifespan(_)) {
            return None;
        }
        let number = self.shared.begun.fetch_add(1, Ordering::Relaxed) as u64;
        Some(Visit { site: self.clone(), path, number, ticks: 0, ended: false })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.site.shared.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Visit {
    fn said(&mut self, message: Message<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        let text = message.as_text().unwrap_or("");
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "join" => out.join(rest)?,
            "leave" => out.leave(rest)?,
            "publish" => {
                let mut published = self.site.shared.published.lock().unwrap();
                let count = published.entry((self.number, rest.to_string())).or_default();
                *count += 1;
                out.publish(rest, &*format!("from {rest} {} {count}", self.number));
            }
            "pause" => {
                out.pause();
                out.wake_after(Duration::from_secs(600));
            }
            "close" => {
                out.close(4000, "as asked")?;
            }
            "silent" => {}
            _ => {
                out.message(message)?;
            }
        }
        Ok(())
    }
}

impl Handler for Visit {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        assert!(!self.ended, "nothing follows the end");
        let shared = Arc::clone(&self.site.shared);
        shared.callbacks.fetch_add(1, Ordering::Relaxed);
        self.site.clock.pass(self.site.cost);
        match event {
            Event::HttpRequest { more_body: false, .. } => match &*self.path {
                // One timer after the other, each due at once, for as long as the client stays.
                "/ticks" => out.wake_after(Duration::ZERO),
                "/later" => shared.handles.lock().unwrap().push(out.handle()),
                "/panic" => panic!("as asked"),
                "/nothing" => {}
                _ => {
                    out.respond(200, &[], "hello")?;
                }
            },
            Event::Timer if self.path == "/ticks" => {
                self.ticks += 1;
                if self.ticks < 1000 {
                    out.wake_after(Duration::ZERO);
                } else {
                    out.respond(200, &[], "ticked")?;
                }
            }
            Event::Timer => out.resume(),
            Event::WebSocketConnect => {
                out.accept()?;
            }
            Event::WebSocketReceive(message) => self.said(message, out)?,
            Event::WebSocketDisconnect { .. } | Event::HttpDisconnect => {
                self.ended = true;
                shared.ends.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(())
    }
}
