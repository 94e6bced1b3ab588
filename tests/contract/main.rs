//! The contract with applications under attack, without sockets.

#[path = "../rig/mod.rs"]
mod rig;

mod clauses;
mod deadlines;
mod handles;
mod http;
mod websocket;
