//! **The law** of the contract: which event of an application may follow which.
//!
//! Three small machines, one per kind of scope, each nothing but a table. They answer every
//! event with a [`Verdict`]; the outbox obeys. `docs/STATE-MACHINES.md` is printed from them.
//!
//! Events of the server are no steps, but for an end: [`Event::Shutdown`](super::Event::Shutdown), like
//! a timer, leaves every state as it is.

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict<S> {
    /// Do it, and be in this state.
    To(S),
    /// Do nothing, silently: ASGI wants what follows a completed response to be ignored.
    Ignored,
    /// The peer is gone (or the closing handshake began): an error of its own, which is not
    /// logged when the handler returns it.
    Closed,
    /// The application's mistake.
    OutOfOrder,
}

/// An HTTP response as the application gives it.
///
/// ```text
///  AwaitStart ─start─> HeadHeld ─(callback returns)─> HeadSent
///                          │ body more      body more │
///                          └────> Streaming <─────────┘
///   any of the three ─last body─> Done, or AwaitTrailers ─last trailers─> Done
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Http {
    /// No response yet.
    AwaitStart,
    /// The head is encoded but can still be replaced.
    HeadHeld,
    /// The head is on its way; no byte of the body yet.
    HeadSent,
    /// The body has begun.
    Streaming,
    /// The body is complete, trailers are due.
    AwaitTrailers,
    /// The response is complete.
    Done,
    /// The peer left before that.
    PeerGone,
}

/// Where the peer's FIN stands, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fin {
    /// In the middle of the request.
    InRequest,
    /// Behind the request: the peer has left.
    BehindRequest,
    /// Behind the request, where that does not count as leaving.
    HalfClose,
}

impl Fin {
    /// All of them, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [Fin; 3] = [Fin::InRequest, Fin::BehindRequest, Fin::HalfClose];
}

/// What can happen to an HTTP response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpStep {
    /// `http.response.start`
    Start,
    /// The callback that sent the start has returned.
    HeadReleased,
    /// `http.response.body` with `more_body`
    BodyMore,
    /// `http.response.body`, the last one
    BodyLast,
    /// `http.response.body`, the last one, after a start with `trailers`
    BodyLastThenTrailers,
    /// `http.response.trailers` with `more_trailers`
    TrailersMore,
    /// `http.response.trailers`, the last one
    TrailersLast,
    /// `http.response.early_hint`
    EarlyHint,
    /// `http.response.pathsend`: the whole body at once
    Pathsend,
    /// `http.response.pathsend`, after a start with `trailers`
    PathsendThenTrailers,
    /// The peer left.
    PeerLeft,
}

impl Http {
    /// All states, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [Http; 7] = [
        Http::AwaitStart,
        Http::HeadHeld,
        Http::HeadSent,
        Http::Streaming,
        Http::AwaitTrailers,
        Http::Done,
        Http::PeerGone,
    ];

    /// The law.
    pub const fn next(self, step: HttpStep) -> Verdict<Http> {
        use Http::*;
        use Verdict::{Closed, Ignored, OutOfOrder, To};
        match (self, step) {
            (Done, _) => Ignored,
            (_, HttpStep::PeerLeft) => To(PeerGone),
            (PeerGone, HttpStep::HeadReleased) => Ignored,
            (PeerGone, _) => Closed,
            (AwaitStart, HttpStep::Start) => To(HeadHeld),
            (HeadHeld, HttpStep::HeadReleased) => To(HeadSent),
            (_, HttpStep::HeadReleased) => Ignored,
            // ASGI puts early hints behind start, on the wire a 103 precedes the head: both
            // orders are taken while the head is held; later they come too late and are dropped,
            // as the extension allows.
            (AwaitStart, HttpStep::EarlyHint) => To(AwaitStart),
            (HeadHeld, HttpStep::EarlyHint) => To(HeadHeld),
            (HeadSent | Streaming, HttpStep::EarlyHint) => Ignored,
            (HeadHeld | HeadSent | Streaming, HttpStep::BodyMore) => To(Streaming),
            (HeadHeld | HeadSent | Streaming, HttpStep::BodyLast) => To(Done),
            (HeadHeld | HeadSent | Streaming, HttpStep::BodyLastThenTrailers) => To(AwaitTrailers),
            (HeadHeld | HeadSent, HttpStep::Pathsend) => To(Done),
            (HeadHeld | HeadSent, HttpStep::PathsendThenTrailers) => To(AwaitTrailers),
            (AwaitTrailers, HttpStep::TrailersMore) => To(AwaitTrailers),
            (AwaitTrailers, HttpStep::TrailersLast) => To(Done),
            _ => OutOfOrder,
        }
    }

    /// May the scope still answer after the peer's FIN? What its handler has ended is on its way.
    /// Otherwise its request must be complete, and a FIN not count as leaving
    /// ([`Config::half_close`](super::Config::half_close)).
    // [9112-9.5-3]
    pub const fn outlives_fin(self, fin: Fin) -> bool {
        match self {
            Http::Done => true,
            Http::PeerGone => false,
            _ => matches!(fin, Fin::HalfClose),
        }
    }
}

impl HttpStep {
    /// All steps, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [HttpStep; 11] = [
        HttpStep::Start,
        HttpStep::HeadReleased,
        HttpStep::BodyMore,
        HttpStep::BodyLast,
        HttpStep::BodyLastThenTrailers,
        HttpStep::TrailersMore,
        HttpStep::TrailersLast,
        HttpStep::EarlyHint,
        HttpStep::Pathsend,
        HttpStep::PathsendThenTrailers,
        HttpStep::PeerLeft,
    ];
}

/// A WebSocket as the application sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebSocket {
    /// `websocket.connect` was told; the handshake waits for an answer.
    Connecting,
    /// Accepted.
    Open,
    /// We sent a Close: nothing more may be sent.
    CloseSent,
    /// A denial response has begun.
    Denying,
    /// Refused, the answer is complete.
    Denied,
    /// The peer is gone.
    PeerGone,
}

/// What can happen to a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebSocketStep {
    /// `websocket.accept`
    Accept,
    /// `websocket.send`
    Send,
    /// `websocket.close`
    Close,
    /// `websocket.http.response.start`
    DenyStart,
    /// `websocket.http.response.body` with `more_body`
    DenyBodyMore,
    /// `websocket.http.response.body`, the last one
    DenyBodyLast,
    /// The peer left.
    PeerLeft,
}

impl WebSocket {
    /// All states, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [WebSocket; 6] = [
        WebSocket::Connecting,
        WebSocket::Open,
        WebSocket::CloseSent,
        WebSocket::Denying,
        WebSocket::Denied,
        WebSocket::PeerGone,
    ];

    /// The law.
    pub const fn next(self, step: WebSocketStep) -> Verdict<WebSocket> {
        use Verdict::{Closed, Ignored, OutOfOrder, To};
        use WebSocket::*;
        match (self, step) {
            (_, WebSocketStep::PeerLeft) => To(PeerGone),
            (PeerGone, WebSocketStep::Close) => Ignored,
            (PeerGone, _) => Closed,
            (Connecting, WebSocketStep::Accept) => To(Open),
            // ASGI: a close before accept is a 403.
            (Connecting, WebSocketStep::Close) => To(Denied),
            (Connecting, WebSocketStep::DenyStart) => To(Denying),
            (Denying, WebSocketStep::DenyBodyMore) => To(Denying),
            (Denying, WebSocketStep::DenyBodyLast) => To(Denied),
            (Open, WebSocketStep::Send) => To(Open),
            (Open, WebSocketStep::Close) => To(CloseSent),
            // RFC 6455 §5.5.1: no frame after our Close.
            (CloseSent, WebSocketStep::Send) => Closed,
            (CloseSent | Denied, WebSocketStep::Close) => Ignored,
            _ => OutOfOrder,
        }
    }
}

impl WebSocketStep {
    /// All steps, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [WebSocketStep; 7] = [
        WebSocketStep::Accept,
        WebSocketStep::Send,
        WebSocketStep::Close,
        WebSocketStep::DenyStart,
        WebSocketStep::DenyBodyMore,
        WebSocketStep::DenyBodyLast,
        WebSocketStep::PeerLeft,
    ];
}

/// A lifespan as the application sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lifespan {
    /// `lifespan.startup` was told; an answer is due.
    Starting,
    /// Started; the server serves.
    Started,
    /// `lifespan.shutdown` was told; an answer is due.
    Stopping,
    /// Over.
    Ended,
}

/// What can happen to a lifespan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LifespanStep {
    /// `lifespan.startup.complete`
    StartupComplete,
    /// `lifespan.startup.failed`
    StartupFailed,
    /// The server tells `lifespan.shutdown`.
    Shutdown,
    /// `lifespan.shutdown.complete`
    ShutdownComplete,
    /// `lifespan.shutdown.failed`
    ShutdownFailed,
}

impl Lifespan {
    /// All states, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [Lifespan; 4] =
        [Lifespan::Starting, Lifespan::Started, Lifespan::Stopping, Lifespan::Ended];

    /// The law.
    pub const fn next(self, step: LifespanStep) -> Verdict<Lifespan> {
        use Lifespan::*;
        use Verdict::{OutOfOrder, To};
        match (self, step) {
            (Starting, LifespanStep::StartupComplete) => To(Started),
            (Starting, LifespanStep::StartupFailed) => To(Ended),
            (Started, LifespanStep::Shutdown) => To(Stopping),
            (Stopping, LifespanStep::ShutdownComplete | LifespanStep::ShutdownFailed) => To(Ended),
            _ => OutOfOrder,
        }
    }
}

impl LifespanStep {
    /// All steps, for the table in `docs/STATE-MACHINES.md`.
    pub const ALL: [LifespanStep; 5] = [
        LifespanStep::StartupComplete,
        LifespanStep::StartupFailed,
        LifespanStep::Shutdown,
        LifespanStep::ShutdownComplete,
        LifespanStep::ShutdownFailed,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks a sequence; the last step decides.
    fn http(steps: &[HttpStep]) -> Verdict<Http> {
        let mut state = Http::AwaitStart;
        let mut verdict = Verdict::To(state);
        for step in steps {
            verdict = state.next(*step);
            if let Verdict::To(next) = verdict {
                state = next;
            }
        }
        verdict
    }

    #[test]
    fn legal_and_illegal_sequences_of_http() {
        use HttpStep::*;
        let legal: &[(&[HttpStep], Http)] = &[
            (&[Start, BodyLast], Http::Done),
            (&[Start, HeadReleased, BodyMore, BodyMore, BodyLast], Http::Done),
            (&[EarlyHint, Start, EarlyHint, BodyLast], Http::Done),
            (&[Start, BodyLastThenTrailers, TrailersMore, TrailersLast], Http::Done),
            (&[Start, Pathsend], Http::Done),
            (&[Start, HeadReleased, Pathsend], Http::Done),
            (&[Start, BodyMore, PeerLeft], Http::PeerGone),
        ];
        for (steps, state) in legal {
            assert_eq!(http(steps), Verdict::To(*state), "{steps:?}");
        }
        let illegal: &[&[HttpStep]] = &[
            &[BodyMore],
            &[BodyLast],
            &[Start, Start],
            &[Start, BodyMore, Start],
            &[Start, BodyMore, Pathsend],
            &[Start, TrailersLast],
            &[Start, BodyLastThenTrailers, BodyMore],
            &[Start, BodyLastThenTrailers, EarlyHint],
            &[Pathsend],
        ];
        for steps in illegal {
            assert_eq!(http(steps), Verdict::OutOfOrder, "{steps:?}");
        }
        for step in HttpStep::ALL {
            assert_eq!(Http::Done.next(step), Verdict::Ignored, "after completion: {step:?}");
        }
        for step in [Start, BodyMore, BodyLast, TrailersLast, EarlyHint, Pathsend] {
            assert_eq!(Http::PeerGone.next(step), Verdict::Closed, "after loss: {step:?}");
        }
    }

    #[test]
    fn legal_and_illegal_sequences_of_websocket() {
        use WebSocketStep::*;
        let run = |steps: &[WebSocketStep]| {
            let mut state = WebSocket::Connecting;
            let mut verdict = Verdict::To(state);
            for step in steps {
                verdict = state.next(*step);
                if let Verdict::To(next) = verdict {
                    state = next;
                }
            }
            verdict
        };
        let rows: &[(&[WebSocketStep], Verdict<WebSocket>)] = &[
            (&[Accept, Send, Send, Close], Verdict::To(WebSocket::CloseSent)),
            (&[Close], Verdict::To(WebSocket::Denied)),
            (&[DenyStart, DenyBodyMore, DenyBodyLast], Verdict::To(WebSocket::Denied)),
            (&[Send], Verdict::OutOfOrder),
            (&[Accept, Accept], Verdict::OutOfOrder),
            (&[Accept, DenyStart], Verdict::OutOfOrder),
            (&[DenyBodyLast], Verdict::OutOfOrder),
            (&[DenyStart, Accept], Verdict::OutOfOrder),
            (&[Close, Accept], Verdict::OutOfOrder),
            (&[Accept, Close, Send], Verdict::Closed),
            (&[Accept, Close, Close], Verdict::Ignored),
            (&[PeerLeft, Accept], Verdict::Closed),
            (&[Accept, PeerLeft, Send], Verdict::Closed),
            (&[Accept, PeerLeft, Close], Verdict::Ignored),
        ];
        for (steps, verdict) in rows {
            assert_eq!(run(steps), *verdict, "{steps:?}");
        }
    }

    #[test]
    fn legal_and_illegal_sequences_of_lifespan() {
        use Lifespan::*;
        use LifespanStep::*;
        assert_eq!(Starting.next(StartupComplete), Verdict::To(Started));
        assert_eq!(Starting.next(StartupFailed), Verdict::To(Ended));
        assert_eq!(Starting.next(ShutdownComplete), Verdict::OutOfOrder);
        assert_eq!(Started.next(StartupComplete), Verdict::OutOfOrder);
        assert_eq!(Started.next(Shutdown), Verdict::To(Stopping));
        assert_eq!(Stopping.next(ShutdownFailed), Verdict::To(Ended));
        assert_eq!(Ended.next(ShutdownComplete), Verdict::OutOfOrder);
    }
}
