//! The servers: each written as its documentation shows it, with what makes it fast (one worker,
//! `TCP_NODELAY`, echoes flushed when nothing more is there to read), and with the same answers:
//!
//! | what | answer |
//! |---|---|
//! | `GET /plaintext` | 200, `text/plain`, `Hello, World!` |
//! | WebSocket `/ws` | echoes |
//! | WebSocket `/broadcast` | each message goes to all who are connected there |

mod actix;
mod axum;
mod oneport;
mod tokio_io;
mod tungstenite;

use std::net::SocketAddr;

/// What listens calls this with its address.
type Ready = fn(SocketAddr);

pub struct Server {
    pub name: &'static str,
    pub http: bool,
    pub run: fn(Ready),
}

/// Oneport is the first: all others are told in its terms.
pub const SERVERS: [Server; 4] = [
    Server { name: "oneport", http: true, run: oneport::run },
    Server { name: "actix-web", http: true, run: actix::run },
    Server { name: "axum", http: true, run: axum::run },
    Server { name: "tokio-tungstenite", http: false, run: tungstenite::run },
];
