//! Floor 5: a WebSocket client that blocks, for programs and threads that have one thing to do.
//!
//! ```no_run
//! use oneport::client;
//!
//! fn main() -> Result<(), client::Error> {
//!     let mut socket = client::connect("ws://127.0.0.1:8000/ws")?;
//!     socket.send("hello")?;
//!     let answer = socket.receive()?;
//!     println!("{answer:?}");
//!     socket.close(1000, "done")
//! }
//! ```
//!
//! [`Connect`] has everything that can be set: fields, subprotocols, Origin, compression, time
//! limits, root certificates. [`WebSocket::split`] gives one half to a thread that receives and
//! one to those that send. What goes wrong is told apart by [`Error`].
//!
//! It drives the same connection as the server does ([`crate::conn`]), in the client's role;
//! what is here is the waiting: see [`websocket`](self::WebSocket).

mod connect;
mod engine;
mod error;
mod message;
mod response;
mod socket;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
mod tls;
mod uri;
mod websocket;

pub use connect::Connect;
pub use error::{Error, Wait};
pub use message::Message;
pub use response::Response;
pub use uri::Uri;
pub use websocket::{Messages, Receiver, Sender, WebSocket};

/// Connects to a `ws://` or `wss://` URI with the defaults of [`Connect`].
///
/// # Errors
/// See [`Connect::connect`].
pub fn connect(uri: &str) -> Result<WebSocket, Error> {
    Connect::to(uri).connect()
}
