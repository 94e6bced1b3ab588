//! **The law** of the request/response cycle of one connection (RFC 9112 §9).
//!
//! ```text
//!            first byte        head, body follows          body complete
//!   ┌─────┐ ──────────> ┌──────┐ ──────────────> ┌──────────┐ ───────> ┌───────────┐
//!   │ Idle│             │ Head │                 │ Exchange │          │ Answering │
//!   └─────┘ <─┐         └──────┘ ──────────────────────────────────>   └───────────┘
//!             │             │      head, no body      │ response complete      │
//!             │             │ upgrade                 v                        │
//!             │             v                    ┌──────────┐                  │
//!             │         Upgraded                 │ Draining │                  │
//!             └──────────────────────────────────┴──────────┘<── response ─────┘
//!                              body complete                      complete: Idle
//! ```
//!
//! One request is served at a time: the next one, if it is there already (pipelining, RFC 9112
//! §9.3.2), is not looked at before the answer is complete. So answers leave in order, whoever
//! gives them and whenever.

/// Where a connection is in its cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cycle {
    /// Between requests; not a byte of the next one is here.
    Idle,
    /// A head is arriving.
    Head,
    /// The body is arriving and the response is not complete.
    Exchange,
    /// The request is complete, the response is not.
    Answering,
    /// The response is complete; what is left of the body is read and dropped.
    Draining,
    /// No further request is read; what is queued is written, then the connection ends.
    Closing,
    /// The connection speaks another protocol now.
    Upgraded,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The first byte of a request arrived.
    FirstByte,
    /// The head is complete; a body follows.
    HeadThenBody,
    /// The head is complete; no body follows.
    HeadOnly,
    /// The last byte of the body arrived.
    BodyComplete,
    /// The last byte of the response was encoded.
    ResponseComplete,
    /// An upgrade request began a scope of its own.
    Upgrade,
    /// No further request will be read: an error, `Connection: close`, the peer's end.
    Close,
}

/// A step that the law does not know: a mistake of ours, never of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Illegal {
    /// Where it happened.
    pub state: Cycle,
    /// What happened.
    pub step: Step,
}

impl Cycle {
    /// All states, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [Cycle; 7] = [
        Cycle::Idle,
        Cycle::Head,
        Cycle::Exchange,
        Cycle::Answering,
        Cycle::Draining,
        Cycle::Closing,
        Cycle::Upgraded,
    ];

    /// The next state.
    pub const fn next(self, step: Step) -> Result<Cycle, Illegal> {
        use Cycle::*;
        Ok(match (self, step) {
            (Idle, Step::FirstByte) => Head,
            (Head, Step::HeadThenBody) => Exchange,
            (Head, Step::HeadOnly) => Answering,
            (Head, Step::Upgrade) => Upgraded,
            (Exchange, Step::BodyComplete) => Answering,
            (Exchange, Step::ResponseComplete) => Draining,
            (Answering, Step::ResponseComplete) => Idle,
            (Draining, Step::BodyComplete) => Idle,
            (Idle | Head | Exchange | Answering | Draining | Closing, Step::Close) => Closing,
            _ => return Err(Illegal { state: self, step }),
        })
    }
}

impl Step {
    /// All steps, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [Step; 7] = [
        Step::FirstByte,
        Step::HeadThenBody,
        Step::HeadOnly,
        Step::BodyComplete,
        Step::ResponseComplete,
        Step::Upgrade,
        Step::Close,
    ];
}
