//! A message of which a part arrived obeys the limits of a request body, `body_timeout` and
//! `min_body_rate`; so does a frame that is not even a part of one yet: a piece of a header, or of a
//! ping.
//!
//! Looked at once for each turn that leaves something behind it, never for a message that arrived
//! whole.

use std::time::Duration;

use super::pace::{self, Rule};
use super::websocket::WebSocketRole;
use crate::asgi::Config;
use crate::bytes::moment::Moment;
use crate::ws::Error;

/// What is arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A message. All its fragments are one; control frames between them are not its bytes.
    Message,
    /// A frame outside of a message, which began here in the peer's stream.
    Frame(u64),
}

/// Something of which a part arrived.
#[derive(Debug)]
pub(super) struct Unfinished {
    what: What,
    /// So much of it has come.
    bytes: u64,
    /// Bytes of any kind that had come with the last of them.
    received: u64,
    began: Moment,
    due: Moment,
    rule: Rule,
}

/// Bytes of the peer that wait in our input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) bytes: usize,
    /// They wait until we go on, not for more of them.
    pub(super) for_us: bool,
}

impl Unfinished {
    /// When more of it is due, at the latest.
    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// The rule that is broken when it is due.
    pub(super) fn error(&self) -> Error {
        match self.rule {
            Rule::Silence => Error::MessageTimeout,
            Rule::Rate => Error::MessageTooSlow,
        }
    }

    /// Has more of it come since so many bytes had, and is it too young for its rate to count?
    pub(super) fn is_fresh(&self, received: u64, now: Moment) -> bool {
        self.received > received && now.since(self.began) < pace::GRACE
    }
}

impl<H> WebSocketRole<H> {
    /// After a turn: what is left of all that was `received`?
    pub(super) fn note_unfinished(
        &mut self,
        waiting: Waiting,
        received: u64,
        now: Moment,
        config: &Config,
    ) {
        let Waiting { bytes: waiting, for_us } = waiting;
        let (what, bytes) = match self.receiver.unfinished() {
            // Not looked at yet, it may be of the message.
            Some(bytes) => (What::Message, if for_us { bytes + waiting } else { bytes }),
            None if waiting > 0 && !for_us => (What::Frame(received - waiting as u64), waiting),
            None => return self.forget_unfinished(),
        };
        let bytes = bytes as u64;
        let unfinished = &mut self.rare().unfinished;
        let began = match unfinished {
            Some(known) if known.what == what && known.bytes == bytes => return,
            Some(known) if known.what == what => known.began,
            _ => now,
        };
        let (due, rule) = pace::due(now, began, bytes, config);
        *unfinished = Some(Unfinished { what, bytes, received, began, due, rule });
    }

    /// We did not read for so long: what the peer could not send it is not late with.
    pub(super) fn shift_unfinished(&mut self, pause: Duration) {
        if let Some(rare) = &mut self.rare
            && let Some(unfinished) = &mut rare.unfinished
        {
            unfinished.began += pause;
            unfinished.due += pause;
        }
    }

    /// What was arriving has arrived: whatever follows is another.
    #[inline]
    pub(super) fn forget_unfinished(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.unfinished = None;
        }
    }
}
