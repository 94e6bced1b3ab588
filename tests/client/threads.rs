//! Halves in several threads.

use std::collections::HashMap;
use std::io::Write;
use std::sync::mpsc;
use std::thread;

use oneport::client::Error;

use crate::support::{LIMIT, SHORT, frame, opened, serve};
use crate::talk::{echo, echo_server, pattern};

/// One thread receives while several send and another pings: all comes back, in each one's order.
pub(crate) fn many_at_once(socket: oneport::client::WebSocket) {
    const SENDERS: usize = 4;
    const EACH: usize = 1000;
    let (sender, mut receiver) = socket.split();
    let (stop, stopped) = mpsc::channel::<()>();
    let pings = thread::scope(|scope| {
        for n in 0..SENDERS {
            let sender = sender.clone();
            scope.spawn(move || {
                for i in 0..EACH {
                    let padding = "x".repeat(i * 7 % 500);
                    sender.send(&format!("{n} {i} {padding}")).expect("it is sent");
                }
            });
        }
        let pinger = sender.clone();
        let pinging = scope.spawn(move || {
            let mut pings = 0;
            loop {
                pinger.ping(LIMIT).expect("it is answered");
                pings += 1;
                if stopped.try_recv() != Err(mpsc::TryRecvError::Empty) {
                    break pings;
                }
            }
        });
        let mut next = HashMap::new();
        for _ in 0..SENDERS * EACH {
            let message = receiver.receive().expect("the echo comes");
            let mut words = message.as_text().expect("a text").split(' ');
            let (n, i) = (words.next().expect("n"), words.next().expect("i"));
            let i: usize = i.parse().expect("a number");
            let expected = next.entry(n.to_string()).or_insert(0);
            assert_eq!(*expected, i, "of sender {n}");
            *expected += 1;
            assert_eq!(words.next().map(str::len), Some(i * 7 % 500));
        }
        drop(stop);
        pinging.join().expect("no ping failed")
    });
    assert!(pings > 0);
    thread::scope(|scope| {
        let receiving = scope.spawn(|| receiver.receive());
        sender.close(1000, "done").expect("it closes");
        let end = receiving.join().expect("no panic").expect_err("it was closed");
        assert!(matches!(end, Error::Closed { code: 1000, .. }), "{end:?}");
    });
}

#[test]
fn one_receives_while_several_send_and_one_pings() {
    // As fast as they are answered: more than a server takes by default.
    let server = serve(echo(), |server| server.max_control_frames(u32::MAX));
    many_at_once(server.to("/").connect().unwrap());
}

#[test]
fn messages_come_in_while_a_sender_is_blocked() {
    let (all, all_received) = mpsc::channel::<()>();
    let server = opened(move |mut peer| {
        for n in 0..100u8 {
            peer.send(0x82, &[n; 1000]);
        }
        all_received.recv_timeout(LIMIT).expect("the test received them");
        assert_eq!(peer.frame().payload.len(), 32 << 20);
        peer.end();
    });
    let (sender, mut receiver) = server.open().split();
    thread::scope(|scope| {
        let (begins, begun) = mpsc::channel();
        let sending = scope.spawn(move || {
            begins.send(()).unwrap();
            sender.send(&vec![1; 32 << 20][..])
        });
        begun.recv().unwrap();
        for n in 0..100u8 {
            assert_eq!(receiver.receive().unwrap().as_bytes(), [n; 1000]);
        }
        assert!(!sending.is_finished(), "nobody has taken it");
        all.send(()).unwrap();
        sending.join().unwrap().unwrap();
    });
}

#[test]
fn a_sender_and_a_server_that_both_write_first_are_freed_by_a_receiver() {
    const MESSAGES: usize = 512;
    // As many as the client keeps, whatever the buffers of the system hold: 1 MiB.
    const KEPT: usize = 16;
    let (kept, are_kept) = mpsc::channel();
    let server = opened(move |mut peer| {
        // As an echo server under load: it reads only when its own messages are taken.
        for n in 0..MESSAGES {
            peer.stream.write_all(&frame(0x82, &[n as u8; 65_536])).expect("they are taken");
            if n + 1 == KEPT {
                kept.send(()).expect("the test waits");
            }
        }
        assert_eq!(peer.frame().payload.len(), 32 << 20);
        peer.end();
    });
    let (sender, mut receiver) = server.open().split();
    thread::scope(|scope| {
        let sending = scope.spawn(move || sender.send(&vec![1; 32 << 20][..]));
        // The inbox is full, or about to be.
        are_kept.recv_timeout(LIMIT).unwrap();
        for n in 0..MESSAGES {
            let message = receiver.receive_within(LIMIT / 2).expect("it comes");
            assert!(message.as_bytes() == [n as u8; 65_536], "message {n}");
        }
        sending.join().unwrap().unwrap();
    });
}

#[test]
fn a_receiver_without_a_time_limit_hears_of_an_end_that_a_sender_caused() {
    let server = opened(|mut peer| {
        peer.close_frame(1000);
        peer.end();
    });
    let socket = server.to("/").close_timeout(SHORT).connect().unwrap();
    let (sender, mut receiver) = socket.split();
    thread::scope(|scope| {
        let (begins, begun) = mpsc::channel();
        let receiving = scope.spawn(move || {
            begins.send(()).unwrap();
            // The limit is there for a test that fails.
            receiver.receive_within(LIMIT)
        });
        begun.recv().unwrap();
        let closing = sender.close(1000, "");
        assert!(matches!(closing, Err(Error::TimedOut(_))), "{closing:?}");
        let told = receiving.join().unwrap().unwrap_err();
        assert!(matches!(told, Error::TimedOut(oneport::client::Wait::Close)), "{told:?}");
    });
}

#[test]
fn large_messages_both_ways_at_once() {
    let server = echo_server();
    let (sender, mut receiver) = server.to("/").connect().unwrap().split();
    let message = pattern(3 << 20);
    thread::scope(|scope| {
        let message = &message;
        scope.spawn(move || {
            for _ in 0..8 {
                sender.send(&message[..]).unwrap();
            }
        });
        for _ in 0..8 {
            assert!(receiver.receive_within(LIMIT / 2).unwrap().as_bytes() == message);
        }
    });
}
