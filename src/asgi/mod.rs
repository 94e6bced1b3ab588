//! Floor 2: the contract between server and application, modelled on ASGI.
//!
//! ```text
//!              App::call(&Scope) -> Option<Handler>          once per request, socket, server
//!   server ──> Handler::receive(Event, &mut Outbox) ──> app
//!   server <── Outbox::send(SendEvent) <─────────────── app, at once
//!   server <── Handle::send(SendEvent) <─────────────── app, later, from any thread
//! ```
//!
//! A [`Scope`] says what a conversation is about, an [`Event`] what happened in it, a
//! [`SendEvent`] what the application wants. Which may follow which is [`order`], the law. The
//! words are those of the ASGI specification; what is ours beyond it says so.

mod app;
pub mod config;
pub mod env;
pub mod event;
pub mod groups;
pub(crate) mod guard;
pub mod handle;
pub mod log_limit;
pub mod order;
mod origin;
pub mod outbox;
pub mod paths;
pub mod scope;
pub mod state;

pub use app::{App, AppError, AppFn, Handler, HandlerFn, app, boxed, handler};
pub use config::Config;
pub use event::{Event, SendEvent};
pub use groups::{Delivery, Groups};
pub use handle::Handle;
pub use origin::OriginPolicy;
pub use outbox::{Flow, Outbox, SendError};
pub use scope::{HttpScope, LifespanScope, Scope, WebSocketScope};
pub use state::State;

pub use crate::http::sender::{Field, Invalid};
pub use crate::ws::Message;
