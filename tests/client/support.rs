//! Servers for clients to talk to: our own in this process, and one that is written by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use oneport::client::{Connect, WebSocket};
use oneport::{App, Server, ServerError, Stopper};

/// Nothing here takes longer, unless it is broken, however slow the machine is.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A time limit that is to pass, whatever came before: nothing else must depend on it.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// ---- our own server -------------------------------------------------------------------------

/// A server on a thread of its own; dropping it stops it.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stopper: Stopper,
    outcome: Option<JoinHandle<Result<(), ServerError>>>,
}

pub(crate) fn serve<A: App>(app: A, configure: impl FnOnce(Server<A>) -> Server<A>) -> Serving {
    let server = Server::new(app).signals(false).drain_timeout(ms(500)).ping_interval(ms(0));
    let (is_ready, ready) = mpsc::channel();
    let bound = configure(server).bind("127.0.0.1:0").expect("a free port can be had");
    let bound = bound.on_ready(move || is_ready.send(()).expect("the test waits"));
    let (address, stopper) = (bound.local_addr(), bound.stopper());
    let outcome = std::thread::spawn(move || bound.run());
    ready.recv_timeout(LIMIT).expect("the server becomes ready");
    Serving { address, stopper, outcome: Some(outcome) }
}

impl Serving {
    pub(crate) fn to(&self, path: &str) -> Connect {
        to(self.address, path)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stopper.stop();
        let outcome = self.outcome.take().expect("it is dropped once").join();
        if !std::thread::panicking() {
            outcome.expect("the server does not panic").expect("it ends well");
        }
    }
}

// ---- a server by hand -----------------------------------------------------------------------

/// A server that takes one connection and does with it what the test says.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    script: Option<JoinHandle<()>>,
}

/// A port of our own on which nobody listens, for as long as the socket is kept.
pub(crate) fn nobody_listens() -> (socket2::Socket, SocketAddr) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be had");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a free port can be had");
    let address = socket.local_addr().expect("it is bound");
    (socket, address.as_socket().expect("it is an address of IPv4"))
}

/// Runs `script` with the first connection.
pub(crate) fn scripted(script: impl FnOnce(Peer) + Send + 'static) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
    let address = listener.local_addr().expect("it is bound");
    let script = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the client connects");
        script(Peer::new(stream));
    });
    Scripted { address, script: Some(script) }
}

/// The same, and the connection is open already: a handshake with nothing special.
pub(crate) fn opened(script: impl FnOnce(Peer) + Send + 'static) -> Scripted {
    scripted(|mut peer| {
        let request = peer.head();
        peer.write(accepted(&request, "").as_bytes());
        script(peer);
    })
}

impl Scripted {
    pub(crate) fn to(&self, path: &str) -> Connect {
        to(self.address, path)
    }

    pub(crate) fn open(&self) -> WebSocket {
        self.to("/").connect().expect("it opens")
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // If the test failed before it connected, the script waits still.
        let waker = std::thread::panicking().then(|| TcpStream::connect(self.address));
        drop(waker);
        let outcome = self.script.take().expect("it is dropped once").join();
        if !std::thread::panicking() {
            outcome.expect("the script went as it was written");
        }
    }
}

/// With limits that no test waits for unless it is broken, and without a heartbeat, which would
/// wake whoever sleeps too long.
fn to(address: SocketAddr, path: &str) -> Connect {
    Connect::to(&format!("ws://{address}{path}"))
        .connect_timeout(LIMIT)
        .receive_timeout(LIMIT)
        .send_timeout(LIMIT)
        .close_timeout(LIMIT)
        .ping_interval(Duration::ZERO)
}

/// The head of a 101 for this request; `more` are lines that each end with CR LF.
pub(crate) fn accepted(request: &str, more: &str) -> String {
    let key = field(request, "sec-websocket-key").expect("the request has a key");
    let accept = oneport::ws::handshake::accept(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{more}\r\n",
        std::str::from_utf8(&accept[..]).expect("Base64 is ASCII")
    )
}

/// The value of a field of a head.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A frame as a client sent it, unmasked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) payload: Vec<u8>,
}

/// A server's frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// The other end of a client's connection.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).expect("it is a socket");
        stream.set_write_timeout(Some(LIMIT)).expect("it is a socket");
        Self { stream }
    }
}

impl<S: Read + Write> Peer<S> {
    /// The head of the request.
    pub(crate) fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend_from_slice(&self.take(1));
        }
        String::from_utf8(head).expect("it is ASCII")
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the client takes it");
        self.stream.flush().expect("the client takes it");
    }

    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        self.write(&frame(first, payload));
    }

    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).expect("the client sends it");
        bytes
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        let [first, second] = self.take(2)[..] else { unreachable!("two were asked for") };
        let len = match second & 0x7f {
            126 => u16::from_be_bytes(self.take(2).try_into().expect("two")).into(),
            127 => u64::from_be_bytes(self.take(8).try_into().expect("eight")),
            short => short.into(),
        };
        let key = (second & 0x80 != 0).then(|| self.take(4).try_into().expect("four"));
        let mut payload = self.take(len as usize);
        if let Some(key) = key {
            oneport::ws::mask::apply(&mut payload, key);
        }
        Frame { first, key, payload }
    }

    /// The next frame is a Close with this code; its reason.
    pub(crate) fn close_frame(&mut self, code: u16) -> String {
        let Frame { first, key, payload } = self.frame();
        assert!(key.is_some(), "it is masked");
        assert_eq!((first, &payload[..2]), (0x88, &code.to_be_bytes()[..]), "{payload:?}");
        String::from_utf8(payload[2..].to_vec()).expect("it is UTF-8")
    }

    /// Reads until the client has ended the connection.
    pub(crate) fn end(mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.stream.read_to_end(&mut rest);
    }
}
