//! `wss`: whom a client trusts, and WebSocket through TLS.

use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use oneport::client::{Connect, Error, Wait};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{LIMIT, Peer, SHORT, Serving, accepted, frame, ms, serve};
use crate::talk::{echo, echo_server, pattern};

/// An authority, and a certificate of it for a server.
struct Authority {
    pem: String,
    config: Arc<ServerConfig>,
}

/// For servers of this name.
fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = CertifiedIssuer::self_signed(params, key).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_string()]).unwrap().signed_by(&key, &root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Authority { pem: root.pem(), config: Arc::new(config) }
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// A TLS server that runs `script` with its one connection.
struct Scripted {
    port: u16,
    script: Option<JoinHandle<()>>,
}

fn scripted(
    config: Arc<ServerConfig>,
    script: impl FnOnce(Peer<Stream>) + Send + 'static,
) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        let session = ServerConnection::new(config).unwrap();
        script(Peer { stream: StreamOwned::new(session, stream) });
    });
    Scripted { port, script: Some(script) }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let outcome = self.script.take().unwrap().join();
        if !std::thread::panicking() {
            outcome.expect("the script went as it was written");
        }
    }
}

fn to(host: &str, port: u16) -> Connect {
    Connect::to(&format!("wss://{host}:{port}/"))
        .connect_timeout(LIMIT)
        .receive_timeout(LIMIT)
        .send_timeout(LIMIT)
        .close_timeout(LIMIT)
        .ping_interval(ms(0))
}

/// Reads the handshake only, which fails.
fn expect_failure(mut peer: Peer<Stream>) {
    assert!(std::io::Read::read(&mut peer.stream, &mut [0]).is_err(), "the client refuses");
}

/// TLS in front of our server: what comes from either side goes to the other.
fn tunnel(config: Arc<ServerConfig>, server: &Serving) -> Scripted {
    let inner = server.address;
    scripted(config, move |peer| {
        let StreamOwned { mut conn, sock } = peer.stream;
        let plain = TcpStream::connect(inner).unwrap();
        relay(&mut conn, &sock, &plain);
    })
}

/// Until both have ended, or either failed.
fn relay(tls: &mut ServerConnection, outer: &TcpStream, plain: &TcpStream) {
    use rustix::event::{PollFd, PollFlags, poll};
    use std::io::{ErrorKind, Read, Write};
    outer.set_nonblocking(true).unwrap();
    plain.set_nonblocking(true).unwrap();
    let again = |kind: ErrorKind| kind == ErrorKind::WouldBlock;
    let (mut inward, mut outward) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let mut of_outer = PollFlags::empty();
        of_outer.set(PollFlags::IN, inward.len() < 1 << 18);
        of_outer.set(PollFlags::OUT, tls.wants_write() || !outward.is_empty());
        let mut of_plain = PollFlags::empty();
        of_plain.set(PollFlags::IN, outward.is_empty());
        of_plain.set(PollFlags::OUT, !inward.is_empty());
        poll(&mut [PollFd::new(outer, of_outer), PollFd::new(plain, of_plain)], None).unwrap();
        if inward.len() < 1 << 18 {
            match tls.read_tls(&mut &*outer) {
                Ok(0) => break,
                Ok(_) if tls.process_new_packets().is_err() => break,
                Err(error) if !again(error.kind()) => break,
                _ => {}
            }
        }
        while let Ok(n @ 1..) = tls.reader().read(&mut buffer) {
            inward.extend_from_slice(&buffer[..n]);
        }
        match (&*plain).write(&inward) {
            Ok(n) => drop(inward.drain(..n)),
            Err(error) if !again(error.kind()) => break,
            Err(_) => {}
        }
        if outward.is_empty() {
            match (&*plain).read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => outward.extend_from_slice(&buffer[..n]),
                Err(error) if !again(error.kind()) => break,
                Err(_) => {}
            }
        }
        let taken = tls.writer().write(&outward).unwrap();
        outward.drain(..taken);
        while tls.wants_write() {
            match tls.write_tls(&mut &*outer) {
                Ok(_) => {}
                Err(error) if again(error.kind()) => break,
                Err(_) => return,
            }
        }
    }
    tls.send_close_notify();
    let _ = tls.write_tls(&mut &*outer);
}

#[test]
fn a_given_root_is_trusted_and_http_1_1_is_asked_for() {
    let authority = authority("localhost");
    let server = scripted(authority.config, |mut peer| {
        let head = peer.head();
        assert_eq!(peer.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(peer.stream.conn.server_name(), Some("localhost"));
        peer.write(accepted(&head, "").as_bytes());
        peer.send(0x81, b"through TLS");
        peer.close_frame(1000);
        peer.send(0x88, b"\x03\xe8");
        peer.stream.conn.send_close_notify();
        let _ = std::io::Write::flush(&mut peer.stream);
        peer.end();
    });
    let connect = to("localhost", server.port).roots(authority.pem.as_bytes()).unwrap();
    let mut socket = connect.connect().unwrap();
    assert_eq!(socket.receive().unwrap(), "through TLS");
    socket.close(1000, "").unwrap();
}

#[test]
fn an_address_can_have_a_certificate() {
    let authority = authority("127.0.0.1");
    let server = scripted(authority.config, |mut peer| {
        let head = peer.head();
        peer.write(accepted(&head, "").as_bytes());
        peer.end();
    });
    let connect = to("127.0.0.1", server.port).roots(authority.pem.as_bytes()).unwrap();
    drop(connect.connect().unwrap());
}

#[test]
fn an_unknown_root_and_a_wrong_name_are_refused() {
    let ours = authority("localhost");
    let other = authority("localhost");
    let elsewhere = authority("elsewhere.example");
    let rows = [
        (&ours.config, None, "UnknownIssuer"),
        (&ours.config, Some(&other.pem), "certificate"),
        (&elsewhere.config, Some(&elsewhere.pem), "elsewhere.example"),
    ];
    for (config, pem, part) in rows {
        let server = scripted(Arc::clone(config), expect_failure);
        let mut connect = to("localhost", server.port);
        if let Some(pem) = pem {
            connect = connect.roots(pem.as_bytes()).unwrap();
        }
        let error = connect.connect().unwrap_err();
        assert!(matches!(&error, Error::Tls { host, .. } if host == "localhost"), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn roots_without_a_certificate_are_refused() {
    for pem in
        [&b""[..], b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let refused = Connect::to("wss://localhost/").roots(pem);
        assert!(matches!(refused, Err(Error::Tls { .. })), "{refused:?}");
    }
}

#[test]
fn a_server_that_speaks_no_tls() {
    let server = echo_server();
    let error = to("127.0.0.1", server.address.port()).connect().unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("speaks no TLS"), "{text}");
}

#[test]
fn a_server_that_says_nothing() {
    let server = crate::support::scripted(Peer::end);
    let error =
        to("127.0.0.1", server.address.port()).connect_timeout(SHORT).connect().unwrap_err();
    assert!(matches!(error, Error::TimedOut(Wait::Connect)), "{error:?}");
}

#[test]
fn large_messages_through_tls() {
    let authority = authority("localhost");
    let inner = echo_server();
    let server = tunnel(authority.config, &inner);
    let connect = to("localhost", server.port).roots(authority.pem.as_bytes()).unwrap();
    let mut socket = connect.connect().unwrap();
    for len in [0, 1, 16_384, 16_385, 65_536, 1 << 20, 8 << 20] {
        let bytes = pattern(len);
        socket.send(&bytes[..]).unwrap();
        assert!(socket.receive().unwrap().as_bytes() == bytes, "{len} bytes");
    }
    socket.ping(LIMIT).unwrap();
    socket.close(1000, "").unwrap();
}

#[test]
fn several_threads_through_tls() {
    let authority = authority("localhost");
    let inner = serve(echo(), |server| server.max_control_frames(u32::MAX));
    let server = tunnel(authority.config, &inner);
    let connect = to("localhost", server.port).roots(authority.pem.as_bytes()).unwrap();
    crate::threads::many_at_once(connect.connect().unwrap());
}

#[test]
fn frames_that_are_glued_to_the_101_are_not_left_in_tls() {
    let authority = authority("localhost");
    let server = scripted(authority.config, |mut peer| {
        let head = peer.head();
        let mut answer = accepted(&head, "").into_bytes();
        answer.extend_from_slice(&frame(0x82, &[7; 12_000]));
        peer.write(&answer);
        peer.end();
    });
    let connect = to("localhost", server.port).roots(authority.pem.as_bytes()).unwrap();
    let mut socket = connect.connect().unwrap();
    assert_eq!(socket.receive().unwrap().as_bytes(), [7; 12_000]);
}

#[test]
fn a_server_that_takes_nothing_is_noticed_behind_tls_too() {
    let (done, is_done) = mpsc::channel::<()>();
    let authority = authority("localhost");
    let server = scripted(authority.config, move |mut peer| {
        let head = peer.head();
        peer.write(accepted(&head, "").as_bytes());
        // Until the test is over.
        let _ = is_done.recv();
    });
    let connect = to("localhost", server.port).roots(authority.pem.as_bytes()).unwrap();
    let mut socket = connect.send_timeout(SHORT).connect().unwrap();
    // Messages that TLS takes whole, so that the connection itself has nothing left.
    let message = vec![0; 10_000];
    let error = loop {
        if let Err(error) = socket.send(&message[..]) {
            break error;
        }
    };
    assert!(matches!(error, Error::TimedOut(Wait::Send)), "{error:?}");
    drop(done);
}

#[test]
fn a_connection_that_breaks_off_in_tls() {
    let authority = authority("localhost");
    let server = scripted(authority.config, |mut peer| {
        let head = peer.head();
        peer.write(accepted(&head, "").as_bytes());
    });
    let connect = to("localhost", server.port).roots(authority.pem.as_bytes()).unwrap();
    let error = connect.connect().unwrap().receive().unwrap_err();
    assert!(matches!(error, Error::Broken(_)), "{error:?}");
}
