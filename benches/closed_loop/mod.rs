//! A load generator for servers that a bench started: one thread, one poll, a closed loop.
//!
//! Each connection has so many requests or messages on the way, and sends the next when an answer
//! is complete. What is sent is encoded once; every answer is compared, byte for byte, with what it
//! has to be (only the value of Date may differ).
//!
//! Before it sleeps it looks some 200 times without waiting: a load that sleeps at once makes the
//! server pay for waking it with nearly every answer, which in a virtual machine costs more than
//! the answer itself. It does sleep then, as one that never does loses its core when others want it.
#![allow(dead_code, unreachable_pub)] // each program uses its own part

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Looks without waiting before it sleeps.
const SPINS: u32 = 200;
/// Nothing in this time is an error.
const STALLED: Duration = Duration::from_secs(20);
const READ: usize = 256 * 1024;

/// What is asked for, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// `GET /plaintext`, answered with `Hello, World!`.
    Get,
    /// `POST /echo` of so many bytes.
    Post(usize),
    /// A message of so many bytes to `/ws`, text below 1 KiB and binary from there on.
    Echo(usize),
    /// A message of so many bytes to `/broadcast` by the first connection, and to all from there:
    /// each delivery counts.
    Broadcast(usize),
}

/// When it ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After a time, measured from the end of the warm-up.
    Time { warm_up: Duration, measured: Duration },
    /// After so many answers; there is no warm-up.
    Answers(u64),
}

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub address: SocketAddr,
    pub work: Work,
    pub connections: usize,
    /// Requests or messages on the way, of each connection.
    pub depth: usize,
    pub until: Until,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Report {
    /// Answers, or deliveries.
    pub answers: u64,
    pub elapsed: Duration,
    pub latency: Latency,
}

/// Latencies in steps of at most 3 %.
#[derive(Debug, Clone)]
pub struct Latency {
    buckets: Vec<u64>,
    count: u64,
}

impl Latency {
    const fn new() -> Self {
        Self { buckets: Vec::new(), count: 0 }
    }

    /// 32 buckets for each power of two of nanoseconds.
    fn bucket(nanoseconds: u64) -> usize {
        let exponent = nanoseconds.max(32).ilog2();
        let step = (nanoseconds >> (exponent - 5)) as usize;
        (exponent as usize - 5) * 32 + step
    }

    fn note(&mut self, latency: Duration) {
        let bucket = Self::bucket(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
    }

    /// What this share of the answers needed at most.
    pub fn percentile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                let exponent = (bucket / 32).max(1) - 1;
                let step = bucket - exponent * 32;
                return Duration::from_nanos((step as u64) << exponent);
            }
        }
        Duration::ZERO
    }
}

/// Time that the threads of a process were on a CPU. Linux: it reads `/proc`.
///
/// # Errors
/// There is no such process, or no such file.
pub fn cpu_time(process: u32) -> io::Result<Duration> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
        sum += first.ok_or(ErrorKind::InvalidData)?;
    }
    Ok(Duration::from_nanos(sum))
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

/// The bytes of an answer, and where they may be others: the value of Date.
struct Template {
    bytes: Vec<u8>,
    hole: Range<usize>,
}

impl Template {
    /// Is this what the answer holds from here on?
    fn agrees(&self, at: usize, got: &[u8]) -> bool {
        let end = at + got.len();
        let same =
            |from: usize, to: usize| from >= to || self.bytes[from..to] == got[from - at..to - at];
        same(at, end.min(self.hole.start)) && same(at.max(self.hole.end), end)
    }

    /// One response, that it ends with this body checked, its Date found.
    fn of_response(bytes: Vec<u8>, body: &[u8]) -> io::Result<Self> {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let head = text.split_inclusive("\r\n\r\n").next().unwrap_or_default();
        let length = format!("\r\ncontent-length: {}\r\n", body.len());
        let whole = head.starts_with("http/1.1 200 ")
            && head.contains(&length)
            && bytes.get(head.len()..) == Some(body);
        if !whole {
            return Err(wrong(format!("not the answer that was to come: {head}")));
        }
        let hole = head.find("\r\ndate: ").map_or(bytes.len()..bytes.len(), |at| {
            let from = at + "\r\ndate: ".len();
            from..from + head[from..].find("\r\n").unwrap_or(0)
        });
        Ok(Self { bytes, hole })
    }
}

/// What goes out and what comes back.
struct Exchange {
    path: &'static str,
    /// One request or frame.
    out: Vec<u8>,
    /// What HTTP answers with; nothing for WebSocket.
    body: Vec<u8>,
    /// The frame that comes back; nothing for HTTP, where the first response is the template.
    frame: Vec<u8>,
}

impl Exchange {
    fn of(work: Work) -> Self {
        let payload = |size| (b'a'..=b'z').cycle().take(size).collect::<Vec<u8>>();
        match work {
            Work::Get => Self {
                path: "/plaintext",
                out: b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_vec(),
                body: b"Hello, World!".to_vec(),
                frame: Vec::new(),
            },
            Work::Post(size) => {
                let body = payload(size);
                let mut out = format!(
                    "POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\
                     Content-Length: {size}\r\n\r\n"
                )
                .into_bytes();
                out.extend_from_slice(&body);
                Self { path: "/echo", out, body, frame: Vec::new() }
            }
            Work::Echo(size) | Work::Broadcast(size) => {
                let payload = payload(size);
                let path = if let Work::Echo(_) = work { "/ws" } else { "/broadcast" };
                Self {
                    path,
                    out: frame(&payload, Some([0x37, 0xfa, 0x21, 0x3d])),
                    body: Vec::new(),
                    frame: frame(&payload, None),
                }
            }
        }
    }

    fn is_http(&self) -> bool {
        self.frame.is_empty()
    }
}

/// RFC 6455 §5.2.
fn frame(payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = vec![if payload.len() < 1024 { 0x81 } else { 0x82 }];
    let masked = if key.is_some() { 0x80 } else { 0 };
    match payload.len() {
        len @ ..126 => out.push(masked | len as u8),
        len @ ..65536 => {
            out.push(masked | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(masked | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend(key.iter().flatten());
    let key = key.unwrap_or_default();
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A connection that is open for the exchange; for HTTP, with one response.
fn open(plan: &Plan, exchange: &Exchange) -> io::Result<(Blocking, Vec<u8>)> {
    let mut stream = Blocking::connect(plan.address)?;
    stream.set_nodelay(true)?;
    // It ends with a reset: ten thousand connections would else keep their ports for a minute.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    stream.set_read_timeout(Some(STALLED))?;
    let mut got = Vec::new();
    let more = |stream: &mut Blocking, got: &mut Vec<u8>, most: usize| {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer[..most.min(4096)])?;
        got.extend_from_slice(&buffer[..n]);
        if n == 0 { Err(wrong("the server closed a connection at its beginning")) } else { Ok(()) }
    };
    if exchange.is_http() {
        stream.write_all(&exchange.out)?;
        while !got.windows(4).any(|end| end == b"\r\n\r\n") {
            more(&mut stream, &mut got, 4096)?;
        }
        let head = got.windows(4).position(|end| end == b"\r\n\r\n").expect("it was found") + 4;
        while got.len() < head + exchange.body.len() {
            more(&mut stream, &mut got, 4096)?;
        }
        return Ok((stream, got));
    }
    // The key of RFC 6455 §1.3, and what has to answer it.
    write!(
        stream,
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        exchange.path
    )?;
    while !got.ends_with(b"\r\n\r\n") {
        more(&mut stream, &mut got, 1)?;
    }
    let head = String::from_utf8_lossy(&got);
    if !head.starts_with("HTTP/1.1 101 ") || !head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
        return Err(wrong(format!("the handshake was refused: {head}")));
    }
    Ok((stream, got))
}

/// One connection under load.
struct Link {
    stream: TcpStream,
    /// Bytes to write, and where in the unit the next one is.
    due: usize,
    at: usize,
    /// Where in the answer the next byte to come is.
    answer_at: usize,
    /// When each was sent that is on the way.
    sent: VecDeque<Instant>,
}

impl Link {
    /// Writes what is due, as far as the socket takes it.
    fn write(&mut self, batch: &[u8], unit: usize) -> io::Result<()> {
        while self.due > 0 {
            let n = self.due.min(batch.len() - self.at);
            match self.stream.write(&batch[self.at..self.at + n]) {
                Ok(n) => {
                    self.due -= n;
                    self.at = (self.at + n) % unit;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there; the number of answers that are complete.
    fn read(&mut self, buffer: &mut [u8], template: &Template) -> io::Result<u64> {
        let mut complete = 0;
        loop {
            let n = match self.stream.read(buffer) {
                Ok(0) => return Err(wrong("the server closed a connection")),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut rest = &buffer[..n];
            while !rest.is_empty() {
                let take = rest.len().min(template.bytes.len() - self.answer_at);
                if !template.agrees(self.answer_at, &rest[..take]) {
                    return Err(wrong("an answer is not what was to come"));
                }
                self.answer_at += take;
                rest = &rest[take..];
                if self.answer_at == template.bytes.len() {
                    self.answer_at = 0;
                    complete += 1;
                }
            }
            if n < buffer.len() {
                break;
            }
        }
        Ok(complete)
    }
}

/// Who has to receive what is broadcast.
struct Room {
    members: usize,
    /// For each message on the way: when it was sent, and deliveries to come.
    on_the_way: VecDeque<(Instant, usize)>,
    /// Messages that each member received beyond those that all have.
    ahead: Vec<usize>,
}

impl Room {
    fn send(&mut self, now: Instant, count: usize) {
        self.on_the_way.extend(std::iter::repeat_n((now, self.members), count));
    }

    /// One more message arrived at a member: when it was sent.
    fn delivered(&mut self, member: usize) -> Option<Instant> {
        let (sent, left) = self.on_the_way.get_mut(self.ahead[member])?;
        *left -= 1;
        self.ahead[member] += 1;
        Some(*sent)
    }

    /// Messages that all have: as many may be sent.
    fn complete(&mut self) -> usize {
        let done = self.on_the_way.iter().take_while(|(_, left)| *left == 0).count();
        if done > 0 {
            self.on_the_way.drain(..done);
            self.ahead.iter_mut().for_each(|ahead| *ahead -= done);
        }
        done
    }
}

/// Puts the load on the server. `mark` is called when the measuring begins and when it ends.
///
/// # Errors
/// The server cannot be reached, closes, stalls, or answers anything else than it has to.
pub fn run(plan: &Plan, mut mark: impl FnMut() -> io::Result<()>) -> io::Result<Report> {
    let exchange = Exchange::of(plan.work);
    let unit = exchange.out.len();
    let batch = exchange.out.repeat((plan.depth + 1).min((1 << 20) / unit + 1));
    let mut template = Template { bytes: exchange.frame.clone(), hole: 0..0 };
    let mut poll = Poll::new()?;
    let mut links = Vec::with_capacity(plan.connections);
    for number in 0..plan.connections {
        let (stream, got) = open(plan, &exchange)?;
        if exchange.is_http() {
            let response = Template::of_response(got, &exchange.body)?;
            if number > 0 && response.bytes.len() != template.bytes.len() {
                return Err(wrong("responses differ in length"));
            }
            template = response;
        }
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        stream.register(poll.registry(), Token(number), interest)?;
        links.push(Link { stream, due: 0, at: 0, answer_at: 0, sent: VecDeque::new() });
    }
    let mut room = Room {
        members: plan.connections,
        on_the_way: VecDeque::new(),
        ahead: vec![0; plan.connections],
    };
    let broadcast = matches!(plan.work, Work::Broadcast(_));

    let (warm_up, measured, most) = match plan.until {
        Until::Time { warm_up, measured } => (warm_up, measured, u64::MAX),
        Until::Answers(count) => (Duration::ZERO, Duration::MAX, count),
    };
    let mut events = Events::with_capacity(2048);
    let mut buffer = vec![0; READ];
    let mut latency = Latency::new();
    let mut answers = 0;
    let mut begun: Option<Instant> = None;
    let start = Instant::now();
    let mut progress = start;
    let mut idle = 0;

    let senders = if broadcast { 1 } else { links.len() };
    for link in &mut links[..senders] {
        link.due = unit * plan.depth;
        if !broadcast {
            link.sent.extend(std::iter::repeat_n(start, plan.depth));
        }
    }
    if broadcast {
        room.send(start, plan.depth);
    }
    if warm_up.is_zero() {
        mark()?;
        begun = Some(start);
    }
    for link in &mut links[..senders] {
        link.write(&batch, unit)?;
    }
    let ended = loop {
        let wait = if idle < SPINS { Duration::ZERO } else { Duration::from_millis(100) };
        if let Err(error) = poll.poll(&mut events, Some(wait))
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(error);
        }
        idle = if events.is_empty() { idle + 1 } else { 0 };
        let now = Instant::now();
        match begun {
            None if now - start >= warm_up => {
                mark()?;
                begun = Some(Instant::now());
                (answers, latency) = (0, Latency::new());
            }
            Some(begun) if now - begun >= measured || answers >= most => break now,
            _ => {}
        }
        if now - progress > STALLED {
            return Err(wrong("the server stalls"));
        }
        for event in &events {
            let number = event.token().0;
            let link = &mut links[number];
            if event.is_writable() && link.due > 0 {
                link.write(&batch, unit)?;
            }
            if !event.is_readable() {
                continue;
            }
            let complete = link.read(&mut buffer, &template)?;
            let now = Instant::now();
            answers += complete;
            for _ in 0..complete {
                let sent = if broadcast { room.delivered(number) } else { link.sent.pop_front() };
                latency.note(now - sent.ok_or_else(|| wrong("an answer that nobody asked for"))?);
            }
            if complete > 0 {
                progress = now;
                if !broadcast {
                    link.sent.extend(std::iter::repeat_n(now, complete as usize));
                    link.due += unit * complete as usize;
                    link.write(&batch, unit)?;
                }
            }
        }
        let complete = room.complete();
        if complete > 0 {
            room.send(now, complete);
            links[0].due += unit * complete;
            links[0].write(&batch, unit)?;
        }
    };
    mark()?;
    let begun = begun.expect("it ends only after it began");
    Ok(Report { answers, elapsed: ended - begun, latency })
}
