//! End to end: a real server, real sockets, and clients that nobody here wrote.
//!
//! | module | what |
//! |---|---|
//! | `support` | a server that runs for one test; what it logged; notes of what a handler was told |
//! | `raw` | a client on a bare socket: HTTP responses and WebSocket frames, byte by byte |
//! | `http` | requests, responses, pipelining, persistence |
//! | `bodies` | uploads, `Expect: 100-continue`, early hints, trailers, files |
//! | `failures` | handlers that err, panic, forget to answer, or answer wrongly |
//! | `flow` | backpressure, pause and resume, timers, posts, half-closed connections |
//! | `limits` | deadlines and sizes |
//! | `lifespan` | start and end of the application |
//! | `shutdown` | the end of the server, and several workers |
//! | `websocket` | opening, messages, closing, broken rules |
//! | `groups` | publishing |
//! | `rules` | the corner rules of ASGI, by number |
//!
//! No test waits for a guessed time. A test that needs "nothing happened" asks for something
//! else behind it ([`support::Serving::barrier`]): a server with one worker has then done all
//! that it was given before.

mod bodies;
mod failures;
mod flow;
mod groups;
mod http;
mod lifespan;
mod limits;
mod raw;
mod rules;
mod shutdown;
mod support;
mod websocket;
