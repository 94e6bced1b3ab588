//! A server to talk to, and the command as a process.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oneport::{App, AppError, Deflate, Event, Handler, Outbox, Scope, SendEvent, Server, Stopper};
use rustix::process::Signal;

/// Nothing here takes longer, unless it is broken, however slow the machine is.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

// ---- the server -----------------------------------------------------------------------------

/// A path for each way to behave.
pub(crate) struct Places;

pub(crate) struct Place {
    path: String,
    /// What came, for `/scope`.
    scope: String,
    subprotocol: Option<String>,
}

impl App for Places {
    type Handler = Place;

    fn call(&self, scope: &Scope<'_>) -> Option<Place> {
        let path = scope.path().to_string();
        let value = |name: &str| scope.headers().get_str(name).unwrap_or("-").to_string();
        let mut told = Vec::new();
        let mut subprotocol = None;
        if let Scope::WebSocket(websocket) = scope {
            subprotocol = websocket.subprotocols().next().map(str::to_string);
            told.push(Vec::from_iter(websocket.subprotocols()).join("+"));
        }
        told.extend([value("origin"), value("x-test"), value("sec-websocket-extensions")]);
        if let Scope::Http(_) = scope {
            told.push(value("content-type"));
        }
        (path != "/nowhere").then(|| Place { path, scope: told.join(" "), subprotocol })
    }
}

impl Handler for Place {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match event {
            Event::HttpRequest { more_body: false, .. } => self.answer(out)?,
            Event::WebSocketConnect => {
                let subprotocol = self.subprotocol.as_deref();
                out.send(SendEvent::WebSocketAccept { subprotocol, headers: &[] })?;
                match self.path.as_str() {
                    "/scope" => _ = out.message(&self.scope)?,
                    "/escape" => _ = out.message("a\u{1b}[2Jb\u{9b}c\r")?,
                    "/close/4001" => _ = out.close(4001, "no\u{1b}[2J more")?,
                    "/close/1000" => {
                        out.message("last words")?;
                        out.close(1000, "")?;
                    }
                    "/hello" => _ = out.message("hello")?,
                    "/many" => {
                        for _ in 0..100_000 {
                            out.message("many")?;
                        }
                    }
                    _ => {}
                }
            }
            Event::WebSocketReceive(message) => match self.path.as_str() {
                "/silent" => {}
                "/wrong" => _ = out.message("x".repeat(message.as_bytes().len()).as_str())?,
                "/short" => _ = out.message("x")?,
                _ => _ = out.message(message)?,
            },
            _ => {}
        }
        Ok(())
    }
}

impl Place {
    fn answer(&self, out: &mut Outbox<'_>) -> Result<(), AppError> {
        match self.path.as_str() {
            "/typed" => {
                let status = if self.scope.contains("application/json") { 200 } else { 415 };
                out.respond(status, &[], b"")?;
            }
            "/close" => _ = out.respond(200, &[(b"connection", b"close")], b"closing")?,
            "/chunked" => {
                let start =
                    SendEvent::HttpResponseStart { status: 200, headers: &[], trailers: false };
                out.send(start)?;
                for more_body in [true, false] {
                    out.send(SendEvent::HttpResponseBody { body: b"piece", more_body })?;
                }
            }
            _ => _ = out.respond(200, &[], b"here")?,
        }
        Ok(())
    }
}

/// A server on a thread of its own, for one test.
pub(crate) struct Serving {
    address: SocketAddr,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

pub(crate) fn serve() -> Serving {
    serve_with(|server| server.deflate(Deflate::default()))
}

pub(crate) fn serve_with(configure: impl FnOnce(Server<Places>) -> Server<Places>) -> Serving {
    let server = Server::new(Places).signals(false).drain_timeout(Duration::from_secs(2));
    let server = configure(server);
    let bound = server.bind("127.0.0.1:0").expect("a free port can be had");
    let (address, stopper) = (bound.local_addr(), bound.stopper());
    let (is_ready, ready) = mpsc::channel();
    let bound = bound.on_ready(move || is_ready.send(()).expect("the test waits"));
    let thread = std::thread::spawn(|| bound.run().expect("the server ends well"));
    ready.recv_timeout(LIMIT).expect("the server starts");
    Serving { address, stopper, thread: Some(thread) }
}

impl Serving {
    pub(crate) fn ws(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stopper.stop();
        let ended = self.thread.take().expect("it is dropped once").join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server ended well");
    }
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

// ---- the command ----------------------------------------------------------------------------

/// How the command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn oneport(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneport"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with this input until all this is printed. It ends when nothing came for a second,
/// which a slow machine may need for the answer itself: then it is given longer.
pub(crate) fn run_until(args: &[&str], input: &[u8], printed: &str) -> Ended {
    let mut ended = run(args, input);
    for wait in ["5", "20"] {
        if ended.code != Some(0) || ended.out.len() >= printed.len() {
            break;
        }
        ended = run(&[args, &["--wait", wait]].concat(), input);
    }
    ended
}

/// Runs it with this input.
pub(crate) fn run(args: &[&str], input: &[u8]) -> Ended {
    let mut child = oneport(args).spawn().expect("the command was built");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let input = input.to_vec();
    // Beside the reading: a pipe may hold little. It may end before it has read all, or any.
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let ended = finish(child);
    let _ = writing.join().expect("it only writes");
    ended
}

/// Waits for the end, and reads all there is.
pub(crate) fn finish(mut child: Child) -> Ended {
    let out = child.stdout.take().map(read_all);
    let err = child.stderr.take().map(read_all);
    let status = wait(&mut child);
    let text = |reader: Option<JoinHandle<Vec<u8>>>| {
        let bytes = reader.map(|reader| reader.join().expect("it only reads"));
        String::from_utf8(bytes.unwrap_or_default()).expect("the output is UTF-8")
    };
    Ended { code: status.code(), out: text(out), err: text(err) }
}

fn read_all(mut from: impl std::io::Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A terminal that is gone is an error, behind which there is nothing.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// Waits for the end.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            panic!("the command does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What Ctrl-C does to a program.
pub(crate) fn interrupt(child: &Child) {
    signal(child, Signal::INT);
}

/// Sends it a signal.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(id.expect("it has an id"), signal).expect("it is our child");
}
