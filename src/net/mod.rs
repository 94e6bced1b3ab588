//! Floor 4: the only floor that knows sockets, threads and the clock.
//!
//! ```text
//!   Server::run
//!    ├─ signals     SIGTERM, SIGINT, SIGHUP -> mail
//!    └─ workers     one thread each, nothing shared but the application and the mailboxes
//!         loop: wait -> commands -> sockets -> accept -> publications -> timers
//! ```

mod commands;
mod error;
mod lifespan;
mod listener;
mod log_observer;
mod server;
mod signals;
mod slab;
mod stats;
mod timers;
mod worker;
mod world;

pub use error::ServerError;
pub use server::{Bound, Server, Stopper};
pub use signals::Hangup;
pub use stats::Stats;
