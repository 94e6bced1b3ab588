//! Floor 4: the only floor that knows sockets, threads and the clock.
//!
//! ```text
//!   Server::run
//!    ├─ signals     SIGTERM, SIGINT, SIGHUP -> mail
//!    ├─ log         lines -> the program's logger, if it asked for that
//!    └─ workers     one thread each, nothing shared but the application and the mailboxes
//!         loop: wait -> commands -> sockets -> accept -> publications -> timers
//! ```

mod commands;
mod error;
mod files;
mod lifespan;
mod listener;
mod log_observer;
mod log_thread;
#[cfg(test)]
mod logged;
mod server;
mod signals;
mod slab;
mod stats;
mod timers;
mod unacknowledged;
mod worker;
mod world;

pub use error::ServerError;
pub use log_thread::{LogGuard, log_in_background};
pub use server::{Bound, Server, Stopper};
pub use signals::Hangup;
pub use stats::Stats;
pub(crate) use unacknowledged::unacknowledged;
