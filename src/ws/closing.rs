//! **The law** of the closing handshake (RFC 6455 §7.1).
//!
//! ```text
//!                 sent Close    ┌────────────┐  received Close
//!            ┌────────────────> │ ClosedByUs │ ─────────────────┐
//!  ┌──────┐ ─┘                  └────────────┘                  v
//!  │ Open │                                                  ┌──────┐
//!  └──────┘ ─┐                  ┌──────────────┐             │ Done │
//!            └────────────────> │ ClosedByPeer │ ──────────> └──────┘
//!              received Close   └──────────────┘  sent Close
//! ```
//!
//! After its own Close an end sends no more data (§5.5.1), but still answers pings (§5.5.2); after
//! the peer's Close nothing more is read as a frame. When both are through, the server closes the
//! TCP connection (§7.1.1).

/// How far the closing handshake is, seen from one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closing {
    /// Neither side sent a Close.
    Open,
    /// We did, and wait for the peer's.
    ClosedByUs,
    /// The peer did, and waits for ours.
    ClosedByPeer,
    /// Both did.
    Done,
}

/// A Close frame passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseEvent {
    /// We sent one.
    SentClose,
    /// The peer sent one.
    ReceivedClose,
}

/// A Close where none may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Illegal {
    /// Where it happened.
    pub state: Closing,
    /// What happened.
    pub event: CloseEvent,
}

impl Closing {
    /// All states, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [Closing; 4] =
        [Closing::Open, Closing::ClosedByUs, Closing::ClosedByPeer, Closing::Done];

    /// The next state.
    pub const fn next(self, event: CloseEvent) -> Result<Closing, Illegal> {
        use {CloseEvent::*, Closing::*};
        Ok(match (self, event) {
            (Open, SentClose) => ClosedByUs,
            (Open, ReceivedClose) => ClosedByPeer,
            (ClosedByUs, ReceivedClose) => Done,
            (ClosedByPeer, SentClose) => Done,
            _ => return Err(Illegal { state: self, event }),
        })
    }

    /// May we still send data frames (§5.5.1)?
    pub const fn may_send(self) -> bool {
        matches!(self, Closing::Open)
    }

    /// Is a ping still answered (§5.5.2)? Until the peer's Close was received.
    pub const fn may_answer_ping(self) -> bool {
        matches!(self, Closing::Open | Closing::ClosedByUs)
    }
}

impl CloseEvent {
    /// All events, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [CloseEvent; 2] = [CloseEvent::SentClose, CloseEvent::ReceivedClose];
}
