//! The protocol cost of an echo, beside tungstenite and fastwebsockets, in one run:
//! `cargo bench --bench echo`.
//!
//! Each is a server's end of an open WebSocket whose socket is memory. One round: the bytes of
//! one masked binary message are there to be read, the library reads them into its own buffer,
//! parses, unmasks and hands the message over, and it is sent back and flushed, which copies it
//! out. No system call, no thread, no handshake; binary, because fastwebsockets leaves the check
//! of UTF-8 to its caller.
//!
//! - oneport: a whole connection with its handler, turn and deadlines (`tests/rig`).
//! - tungstenite: `read`, then `send` of the same message.
//! - fastwebsockets: `read_frame`, then `write_frame` of its payload and `flush`. It is async; as
//!   its socket is always ready each round is one poll, and no runtime is needed.

#[path = "../tests/rig/mod.rs"]
mod rig;

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oneport::{Event, Handler, Outbox, Scope};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use rig::{Rig, frame, upgrade};

/// A typed handler, as a real application has.
struct Echo;

impl Handler for Echo {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), oneport::AppError> {
        match event {
            Event::WebSocketConnect => {
                out.accept()?;
            }
            Event::WebSocketReceive(message) => {
                out.message(message)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// A socket that is memory.
#[derive(Default)]
struct Wire {
    input: Vec<u8>,
    read: usize,
    sent: Vec<u8>,
}

impl Wire {
    /// The same bytes are there again.
    fn again(&mut self) {
        self.read = 0;
        self.sent.clear();
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.input[self.read..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.read += n;
        Ok(n)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The wire where fastwebsockets keeps it and the bench reaches it.
struct Shared(Rc<RefCell<Wire>>);

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.borrow_mut();
        let n = (wire.input.len() - wire.read).min(buffer.remaining());
        assert!(n > 0, "it reads no more than there is");
        buffer.put_slice(&wire.input[wire.read..wire.read + n]);
        wire.read += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.borrow_mut().write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = &mut self.0.borrow_mut().sent;
        parts.iter().for_each(|part| sent.extend_from_slice(part));
        Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The outcome of a future that never has to wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("the wire is always ready"),
    }
}

fn echo(criterion: &mut Criterion) {
    for len in [16usize, 128, 4096, 65_536] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let message = frame(0x82, &payload);
        let mut group = criterion.benchmark_group(format!("echo {len} B"));
        group.throughput(Throughput::Bytes(len as u64));

        let mut rig = Rig::new(oneport::app(|_: &Scope<'_>| Some(Echo)));
        rig.feed(&upgrade("/"));
        let mut round = || {
            rig.peer.got.clear();
            rig.feed(&message);
            rig.peer.got.len()
        };
        let echoed = round();
        assert!(echoed >= len + 2);
        group.bench_function("oneport", |bench| bench.iter(&mut round));

        let wire = || Wire { input: message.clone(), ..Wire::default() };
        let role = tungstenite::protocol::Role::Server;
        let mut socket = tungstenite::WebSocket::from_raw_socket(wire(), role, None);
        let mut round = || {
            socket.get_mut().again();
            let message = socket.read().expect("it is a message");
            socket.send(message).expect("the wire takes it");
            socket.get_ref().sent.len()
        };
        assert_eq!(round(), echoed);
        group.bench_function("tungstenite", |bench| bench.iter(&mut round));

        let role = fastwebsockets::Role::Server;
        let shared = Rc::new(RefCell::new(wire()));
        let mut socket =
            fastwebsockets::WebSocket::after_handshake(Shared(Rc::clone(&shared)), role);
        let mut round = || {
            shared.borrow_mut().again();
            now(async {
                let frame = socket.read_frame().await.expect("it is a message");
                // Its key would be sent along with the frame as it is.
                let answer = fastwebsockets::Frame::binary(frame.payload);
                socket.write_frame(answer).await.expect("the wire takes it");
                socket.flush().await.expect("the wire takes it");
            });
            shared.borrow().sent.len()
        };
        assert_eq!(round(), echoed);
        group.bench_function("fastwebsockets", |bench| bench.iter(&mut round));
        group.finish();
    }
}

criterion_group!(benches, echo);
criterion_main!(benches);
