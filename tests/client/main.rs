//! The client: with our own server, with servers that are hostile, from several threads, through
//! TLS.

mod closing;
#[cfg(feature = "deflate")]
mod deflate;
mod handshake;
mod hostile;
mod readme;
mod support;
mod talk;
mod threads;
#[cfg(feature = "tls")]
mod tls;
