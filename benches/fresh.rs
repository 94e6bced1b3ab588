//! Requests on fresh connections: `cargo bench --bench fresh -- 100000`.
//!
//! So many connections to a server in a process of its own, 16 at a time, each for one GET; first
//! such that the server ends them (`Connection: close`), then such that the client does. Told are
//! requests per second, the server's CPU time for each connection's life, its system calls (of
//! 2,000 further connections, by `strace` if it is there), and what the server holds before and
//! after: descriptors and memory, which must not grow. Linux: it reads `/proc`.

mod again;

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oneport::{AppError, Event, Handler, Outbox, Scope, Server};
use socket2::{Domain, Socket, Type};

/// Connections at the same time.
const AT_ONCE: usize = 16;
/// Connections of one client address: far fewer than it has ports, since each port rests for a
/// minute, and the system looks long for one that does not when most do.
const OF_ONE_ADDRESS: usize = 2_000;
/// Connections whose system calls are counted.
const TRACED: usize = 2_000;

const HELLO: &[u8] = b"Hello, World!";

struct Hello;

impl Handler for Hello {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        if let Event::HttpRequest { more_body: false, .. } = event {
            out.respond(200, &[(b"content-type", b"text/plain")], HELLO)?;
        }
        Ok(())
    }
}

fn serve() {
    let app = oneport::app(|_: &Scope<'_>| Some(Hello));
    let bound = Server::new(app).workers(1).bind("127.0.0.1:0").expect("a free port can be had");
    println!("{}", bound.local_addr());
    bound.run().expect("it serves");
}

/// Who ends a connection.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Server,
    Client,
}

/// One connection's life, from this address of ours.
fn live(server: SocketAddr, from: Ipv4Addr, by: By) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor can be had");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("a port is free");
    socket.connect(&server.into()).expect("the server accepts");
    let mut stream = TcpStream::from(socket);
    let request: &[u8] = match by {
        By::Server => b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        By::Client => b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    stream.write_all(request).expect("the server reads");
    let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
    while by == By::Server || !answer.ends_with(HELLO) {
        match stream.read(&mut piece).expect("the server answers") {
            0 => break,
            n => answer.extend_from_slice(&piece[..n]),
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(HELLO));
}

/// So many connections; `addresses` counts the addresses that were used up before.
fn live_all(server: SocketAddr, count: usize, by: By, addresses: &mut usize) {
    let (first, next) = (*addresses, AtomicUsize::new(0));
    *addresses += count.div_ceil(OF_ONE_ADDRESS);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let address = 2 + first + number / OF_ONE_ADDRESS;
                    let [low, high] = (address as u16).to_le_bytes();
                    live(server, Ipv4Addr::new(127, 0, high, low), by);
                }
            });
        }
    });
}

/// What a process holds and used.
struct Held {
    descriptors: usize,
    memory: f64,
    cpu: Duration,
}

fn held(process: &Child) -> Held {
    let of = |file: &str| format!("/proc/{}/{file}", process.id());
    let status = std::fs::read_to_string(of("status")).expect("this is Linux and it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    let nanoseconds = std::fs::read_dir(of("task")).expect("it has threads").map(|thread| {
        let path = thread.expect("it can be read").path().join("schedstat");
        let times = std::fs::read_to_string(path).expect("the kernel keeps times");
        let first = times.split(' ').next().expect("three numbers");
        first.parse::<u64>().expect("a number")
    });
    Held {
        cpu: Duration::from_nanos(nanoseconds.sum()),
        descriptors: std::fs::read_dir(of("fd")).expect("it runs").count(),
        memory: kib / 1024.0,
    }
}

/// As [`held`], when the connections that were have ended.
fn held_at_rest(process: &Child, descriptors: usize) -> Held {
    let since = Instant::now();
    loop {
        let held = held(process);
        if held.descriptors <= descriptors || since.elapsed() > Duration::from_secs(5) {
            return held;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The server's system calls while this happens: the lines of `strace -c`, if it is there.
fn traced(process: &Child, what: impl FnOnce()) -> Option<Vec<(String, f64)>> {
    let mut strace = Command::new("strace")
        .args(["-c", "-f", "-p", &process.id().to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(strace.stderr.take().expect("it is piped"));
    let mut attached = String::new();
    lines.read_line(&mut attached).ok().filter(|_| attached.contains("attached"))?;
    what();
    let pid = rustix::process::Pid::from_child(&strace);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).ok()?;
    let mut table = String::new();
    lines.read_to_string(&mut table).ok()?;
    strace.wait().ok()?;
    // % time, seconds, usecs/call, calls, perhaps errors, name
    let calls = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let count = words.get(3)?.parse().ok()?;
        Some((words.last()?.to_string(), count))
    });
    Some(calls.filter(|(name, _)| name != "total").collect())
}

fn measure(count: usize) {
    let (mut server, address) = again::serve(&["serve"]);
    let (mut addresses, idle) = (0, held(&server).descriptors);

    for (by, name) in [(By::Server, "the server"), (By::Client, "the client")] {
        live_all(address, 1000.min(count), by, &mut addresses);
        let before = held_at_rest(&server, idle);
        let since = Instant::now();
        live_all(address, count, by, &mut addresses);
        let seconds = since.elapsed().as_secs_f64();
        let after = held_at_rest(&server, idle);
        println!("{count} connections of one GET, {AT_ONCE} at a time, ended by {name}");
        println!("  requests per second   {:.0}", count as f64 / seconds);
        let cpu = (after.cpu - before.cpu).as_secs_f64() / count as f64;
        println!("  CPU time each         {:.1} us", cpu * 1e6);
        println!(
            "  descriptors           {} before, {} after",
            before.descriptors, after.descriptors
        );
        println!(
            "  memory                {:.1} MiB before, {:.1} after",
            before.memory, after.memory
        );
        let calls = traced(&server, || live_all(address, TRACED, by, &mut addresses));
        let Some(calls) = calls else {
            println!("  system calls          (strace is missing, or may not look)");
            continue;
        };
        print!("  system calls each    ");
        for (name, calls) in calls.iter().filter(|(_, calls)| *calls >= TRACED as f64 / 100.0) {
            print!(" {name} {:.2}", calls / TRACED as f64);
        }
        println!();
        assert!(after.descriptors <= before.descriptors, "descriptors are not given back");
    }
    server.kill().expect("it still runs");
    server.wait().expect("it ends");
}

fn main() {
    // Cargo's own arguments (`--bench`) are not ours.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    match args.first().map(String::as_str) {
        Some("serve") => serve(),
        Some(count) => measure(count.parse().expect("a number of connections")),
        None => measure(10_000),
    }
}
