//! A log without a reader must not stop the server.
//!
//! The server is a process of its own, this program again with the name of one test, so that its
//! standard error is a pipe.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use oneport::{Event, Server, app, handler};

/// Nothing here takes longer, unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// The server. Everything is logged, and a panic for each `/panic`.
#[test]
#[ignore = "it is started by the other tests"]
fn child() {
    let logger = env_logger::Builder::new().filter_level(log::LevelFilter::Debug).build();
    let most = logger.filter();
    let _log = oneport::log_in_background(logger, most).unwrap();
    let app = app(|scope| {
        let path = scope.path().to_string();
        Some(handler(move |event, out| match event {
            Event::HttpRequest { .. } if path == "/panic" => panic!("asked to panic\x1b[2J"),
            Event::HttpRequest { .. } if path == "/error" => Err("asked to fail\x1b[2J".into()),
            Event::HttpRequest { .. } => {
                out.respond(200, &[], "fine")?;
                Ok(())
            }
            _ => Ok(()),
        }))
    });
    let bound = Server::new(app).bind("127.0.0.1:0").unwrap();
    println!("\nlistening on {}", bound.local_addr());
    bound.run().unwrap();
    log::info!("the last line");
}

struct Serving {
    child: Child,
    address: SocketAddr,
}

fn serve() -> Serving {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = loop {
        let line = out.next().expect("it says where it is").unwrap();
        if let Some(address) = line.strip_prefix("listening on ") {
            break address.parse().unwrap();
        }
    };
    // What the test's program says at its end is read, or it could not say it.
    std::thread::spawn(move || out.for_each(drop));
    Serving { child, address }
}

impl Serving {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Asks so often, one after the other; each is answered.
    fn ask(&self, path: &str, count: usize) {
        let mut stream = self.connect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        for n in 0..count {
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = [0; 4096];
            let n_read = stream.read(&mut answer).unwrap_or_else(|error| {
                panic!("request {n} of {count} is not answered: {error}");
            });
            assert!(answer[..n_read].starts_with(b"HTTP/1.1 "), "request {n}");
            if path != "/" {
                // An error ends its connection.
                stream = self.connect();
            }
        }
    }

    /// SIGTERM; then it ends well, and in time.
    fn end(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("it does not end"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_serves_and_ends_although_nobody_reads_its_log() {
    let mut server = serve();
    // Several hundred bytes each; a pipe holds 64 KiB.
    server.ask("/", 3000);
    server.ask("/panic", 200);
    server.ask("/error", 200);
    server.end();
}

#[test]
fn a_late_reader_learns_how_much_is_missing() {
    let mut server = serve();
    server.ask("/", 6000);
    let (give, lines) = mpsc::channel();
    let err = server.child.stderr.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(err).lines() {
            let _ = give.send(line.unwrap());
        }
    });
    // The pipe and the queue were full: the count comes as soon as they have moved.
    let mut dropped = 0;
    while dropped == 0 {
        let line = lines.recv_timeout(LIMIT).expect("the count of dropped lines comes");
        if let Some((before, _)) = line.split_once(" lines of the log were dropped") {
            dropped = before.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        }
    }
    server.ask("/panic", 1);
    server.ask("/error", 1);
    server.end();
    let rest: Vec<String> = lines.iter().collect();
    for part in ["panicked at tests/log.rs", "asked to panic\\x1b[2J", "asked to fail\\x1b[2J"] {
        assert!(rest.iter().any(|line| line.contains(part)), "{part}: {rest:#?}");
    }
    assert!(rest.iter().any(|line| line.contains("the last line")), "{rest:#?}");
}
