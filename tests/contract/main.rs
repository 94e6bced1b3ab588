//! The contract with applications under attack, without sockets.

#[path = "../rig/mod.rs"]
mod rig;

mod clauses;
mod closing;
mod deadlines;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "deflate")]
mod deflate_clauses;
mod endings;
mod guard;
mod handles;
mod http;
mod websocket;
