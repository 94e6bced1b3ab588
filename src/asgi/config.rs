//! Limits and deadlines, with their defaults.

use std::time::Duration;

use crate::bytes::moment::Moment;
use crate::ws::extension::Deflate;

/// Limits and deadlines of a server. [`Server`](crate::Server) has a builder method for each;
/// [`Server::config`](crate::Server::config) sets all at once: change those of the default, for
/// one may be added in a later version.
///
/// ```
/// let mut config = oneport::Config::default();
/// config.max_message = 64 * 1024;
/// config.drain_timeout = std::time::Duration::from_secs(30);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Connections at the same time over all workers; past it a newcomer gets a 503. Default:
    /// none.
    pub max_connections: Option<usize>,
    /// Bytes of a request head; past it 431 or 414. Default 64 KiB.
    pub max_head: usize,
    /// Field lines of a request head; past it 431. Default 100.
    pub max_fields: usize,
    /// Bytes of a request body; past it 413. Default 16 MiB.
    pub max_body: u64,
    /// Bytes of a WebSocket message; past it close code 1009. Default 64 MiB.
    pub max_message: usize,
    /// Fragments of a WebSocket message; past it close code 1008. Default 131,072.
    pub max_fragments: u32,
    /// Control frames (pings, and pongs that answer no ping of ours) of a peer in one second; past
    /// it close code 1008. Default 1,000.
    pub max_control_frames: u32,
    /// For a whole head: from accept for the first one, later from its first byte. Default 10 s.
    pub head_timeout: Duration,
    /// Between a response and the first byte of the next request. Default 75 s: proxies in front of
    /// servers (nginx, AWS's load balancers) keep idle connections for 60 s, and a server that waits
    /// as long closes just as the next request comes.
    pub idle_timeout: Duration,
    /// Without any byte of a body, or of a WebSocket message of which a part has come; past it 408,
    /// or close code 1008. It stands still while the application pauses. Default 30 s.
    pub body_timeout: Duration,
    /// Bytes per second that a body or a WebSocket message must reach after its first 5 s; below it
    /// 408, or close code 1008. Also what a peer whose pong is late must send or take meanwhile, see
    /// `ping_timeout`. 0 switches it off; then any byte shows a live peer. Default 240, as with
    /// Kestrel.
    pub min_body_rate: u64,
    /// Is a FIN behind a request no disconnect? Then answers are completed after it that are deferred,
    /// or begun and not finished; else only those that the handler has ended. Default no.
    pub half_close: bool,
    /// From a complete request to the head of its response, or from a handshake to its answer,
    /// whatever the application waits for; past it 504. Zero switches it off. Default 60 s.
    pub response_timeout: Duration,
    /// In which a peer takes none of what we have for it. Default 30 s.
    pub write_timeout: Duration,
    /// Between two pings on an open WebSocket; zero switches them off. Default 20 s, as with
    /// Python's websockets.
    pub ping_interval: Duration,
    /// For the pong that answers a ping; past it close code 1011. A pong may be late because it
    /// cannot stand inside of a large frame, or because the ping is behind much that the peer has not
    /// read yet. So the peer has the same time again as long as the bytes that came from it and
    /// those of ours that its system acknowledged (Linux tells that) reach `min_body_rate`, or a
    /// message of which a part has come since is younger than 5 s. Default 20 s.
    pub ping_timeout: Duration,
    /// For the peer's half of the closing handshake. Default 5 s.
    pub close_timeout: Duration,
    /// Between the signal to end and the end, whatever peers do. Default 10 s.
    pub drain_timeout: Duration,
    /// How long idle connections still answer requests that cross the end of the server, and WebSockets
    /// wait for their Close; a part of `drain_timeout`. Default 250 ms.
    pub shutdown_grace: Duration,
    /// The close code for WebSockets when the server shuts down. Default 1001.
    pub shutdown_code: u16,
    /// Above this many queued bytes an application is told [`Flow::Full`](super::Flow::Full)
    /// and the peer's socket is not read. Default 64 KiB.
    pub high_water: usize,
    /// Below this many queued bytes [`Event::Drain`](super::Event::Drain) is told. Default
    /// 16 KiB.
    pub low_water: usize,
    /// With more than this many bytes queued a further send aborts the connection. Default
    /// 1 MiB.
    pub hard_limit: usize,
    /// Compress WebSocket messages if the client offers to (RFC 7692), and how. Default: no.
    pub deflate: Option<Deflate>,
    /// Bytes of memory that all connections may hold which keep context between compressed messages
    /// ([`Deflate::takeover`], 404 KiB each with the largest windows); beyond it a handshake is answered without
    /// takeover. Default 256 MiB.
    pub takeover_memory: usize,
    /// The Server field of responses; `None` leaves it out. Default `oneport`.
    pub server_field: Option<String>,
    /// Send a Date field (RFC 9110 §6.6.1)? Default yes.
    pub date_field: bool,
}

impl Config {
    /// When an answer is due to what is complete now.
    #[inline]
    pub(crate) fn answer_due(&self, now: Moment) -> Option<Moment> {
        (!self.response_timeout.is_zero()).then(|| now + self.response_timeout)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: None,
            max_head: 64 * 1024,
            max_fields: 100,
            max_body: 16 * 1024 * 1024,
            max_message: 64 * 1024 * 1024,
            max_fragments: 128 * 1024,
            max_control_frames: 1000,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            min_body_rate: 240,
            response_timeout: Duration::from_secs(60),
            half_close: false,
            write_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::from_millis(250),
            shutdown_code: crate::ws::close::GOING_AWAY,
            high_water: 64 * 1024,
            low_water: 16 * 1024,
            hard_limit: 1024 * 1024,
            deflate: None,
            takeover_memory: 256 * 1024 * 1024,
            // [9110-10.2.4-1]
            server_field: Some("oneport".to_string()),
            date_field: true,
        }
    }
}
