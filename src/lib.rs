//! **Oneport**: a web server framework in the shape of ASGI, from scratch.
//!
//! One port serves HTTP/1.1 and WebSocket. What arrives reaches an application as a [`Scope`]
//! (what the conversation is about) and [`Event`]s (what happened); the application is a
//! [`Handler`] object that answers events with [`SendEvent`]s.
//!
//! ```no_run
//! use oneport::{Event, Server, app, handler};
//!
//! fn main() -> Result<(), oneport::ServerError> {
//!     let app = app(|_scope| {
//!         Some(handler(|event, out| {
//!             match event {
//!                 Event::HttpRequest { more_body: false, .. } => {
//!                     out.respond(200, &[(b"content-type", b"text/plain")], b"Hello, HTTP!")?;
//!                 }
//!                 Event::WebSocketConnect => {
//!                     out.accept()?;
//!                 }
//!                 Event::WebSocketReceive(message) => {
//!                     out.message(message)?;
//!                 }
//!                 _ => {}
//!             }
//!             Ok(())
//!         }))
//!     });
//!     Server::new(app).bind("127.0.0.1:8000")?.run()
//! }
//! ```
//!
//! # The house
//!
//! The source is a house with floors; arrows point down. Sockets, threads and the clock are
//! known to the topmost only; everything below takes bytes and the time as arguments.
//!
//! | floor | module | what |
//! |---|---|---|
//! | 4 | `net` | sockets, threads, the clock |
//! | 3 | [`conn`], [`groups`] | one connection, one table of groups, without I/O |
//! | 2 | [`asgi`] | the contract: scope, events, their order, handlers |
//! | 1 | [`http`], [`ws`] | the protocols, without I/O |
//! | 0 | [`bytes`] | byte classes, buffers, UTF-8 |

pub mod asgi;
pub mod bytes;
pub mod client;
pub mod conn;
pub mod groups;
pub mod http;
mod net;
pub mod ws;

#[doc(inline)]
pub use asgi::{
    App, AppError, AppFn, Config, Delivery, Event, Field, Flow, Groups, Handle, Handler, HandlerFn,
    HttpScope, Invalid, LifespanScope, Message, OriginPolicy, Outbox, Scope, SendError, SendEvent,
    State, WebSocketScope, app, boxed, handler,
};
#[doc(inline)]
pub use conn::record::{By, Cause, Record};
#[doc(inline)]
pub use http::Headers;
pub use net::{Bound, Hangup, LogGuard, Server, ServerError, Stats, Stopper, log_in_background};
#[doc(inline)]
pub use ws::extension::Deflate;
