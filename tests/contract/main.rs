//! The contract with applications under attack, without sockets.

#[path = "../rig/mod.rs"]
mod rig;

mod clauses;
mod deadlines;
#[cfg(feature = "deflate")]
mod deflate;
mod handles;
mod http;
mod websocket;
