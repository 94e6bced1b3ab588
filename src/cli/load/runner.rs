//! One thread with its share of the connections: an event loop.
//!
//! Nothing is allocated for a message. The clock is read once for a read and once for all that
//! is sent in answer to it.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::time::{ClockId, clock_gettime};

use super::fault::{Fault, Faults};
use super::link::{Link, Stage};
use super::pace::Pace;
use super::packed::Unpacker;
use super::plan::Plan;
use super::{Phase, Shared};

/// Bytes read at once.
const SCRATCH: usize = 256 * 1024;
/// Connections of a thread that are being made at the same time: listeners have short queues.
const CONNECTING: usize = 64;
/// How often the phase is looked at while nothing happens, and for how long one connection is read in
/// a row: a server that never stops sending must not hold the thread.
const TICK: Duration = Duration::from_millis(10);
/// What is to be told of a connection.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// Not a connection: a message is due.
const DUE: Token = Token(usize::MAX);
/// At the end: for answers that are under way, then for the server's Close.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Nanoseconds.
    pub(super) times: Option<Histogram<u64>>,
    pub(super) answers: u64,
    pub(super) received: u64,
    pub(super) written: u64,
    pub(super) faults: Faults,
    /// Connections that an HTTP server ended in order, and that were made again.
    pub(super) reconnects: u64,
    /// The measured time, in seconds.
    pub(super) seconds: f64,
    /// The part of it that each thread was busy, 0 to 1.
    pub(super) busy: Vec<f64>,
}

impl Outcome {
    pub(super) fn add(&mut self, other: Outcome) {
        match (&mut self.times, other.times) {
            (Some(times), Some(more)) => {
                times.add(more).expect("all histograms have the same bounds");
            }
            (times @ None, more) => *times = more,
            (Some(_), None) => {}
        }
        self.answers += other.answers;
        self.received += other.received;
        self.written += other.written;
        self.faults.add(&other.faults);
        self.reconnects += other.reconnects;
        self.seconds = self.seconds.max(other.seconds);
        self.busy.extend(other.busy);
    }
}

struct Runner<'r> {
    plan: &'r Plan,
    shared: &'r Shared,
    poll: Poll,
    /// Connections to be made, and how many are being made.
    waiting: std::ops::Range<usize>,
    connecting: usize,
    epoch: Instant,
    phase: Phase,
    /// If there is a fixed rate, and the connection whose turn it is.
    pace: Option<Pace>,
    turn: usize,
    /// When the measurement began: on the clock of the messages, and of the processor.
    began: (u64, f64),
    times: Histogram<u64>,
    outcome: Outcome,
}

/// Runs until the end of all phases.
pub(super) fn run(plan: &Plan, shared: &Shared, connections: usize) -> io::Result<Outcome> {
    let times = Histogram::new_with_bounds(1, 3_600_000_000_000, 3);
    let mut runner = Runner {
        plan,
        shared,
        poll: Poll::new()?,
        waiting: 0..connections,
        connecting: 0,
        epoch: Instant::now(),
        phase: Phase::Connect,
        pace: None,
        turn: 0,
        began: (0, 0.0),
        times: times.expect("the bounds are valid"),
        outcome: Outcome::default(),
    };
    let unpacker = plan.deflate.map(|_| Rc::new(RefCell::new(Unpacker::new())));
    let mut links: Vec<_> =
        (0..connections).map(|_| Link::new(plan.depth, unpacker.clone())).collect();
    runner.serve(&mut links)?;
    runner.finish(&mut links)?;
    let Runner { times, mut outcome, .. } = runner;
    outcome.times = Some(times);
    Ok(outcome)
}

fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

impl Runner<'_> {
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn fault(&mut self, fault: Fault) {
        self.outcome.faults.count(fault, 1);
        self.shared.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// All phases but the end.
    fn serve(&mut self, links: &mut [Link]) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut scratch = vec![0; SCRATCH];
        while self.phase != Phase::End {
            self.make_connections(links);
            self.turn(links, &mut events, &mut scratch, TICK)?;
            let phase = self.shared.phase();
            if phase != self.phase {
                self.enter(phase, links)?;
            }
        }
        Ok(())
    }

    fn turn(
        &mut self,
        links: &mut [Link],
        events: &mut Events,
        scratch: &mut [u8],
        wait: Duration,
    ) -> io::Result<()> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let before = self.outcome.answers;
        for event in events.iter().filter(|event| event.token() != DUE) {
            let index = event.token().0;
            let link = &mut links[index];
            if event.is_writable() {
                link.becomes_writable();
            }
            let ended = event.is_read_closed() || event.is_error();
            let readable = event.is_readable() || ended;
            if let Err(fault) = self.serve_link(link, index, readable, ended, scratch) {
                self.lose(link, index, fault);
            }
        }
        self.send_due(links);
        let answers = self.outcome.answers.saturating_sub(before);
        self.shared.answers.fetch_add(answers, Ordering::Relaxed);
        Ok(())
    }

    /// Does what can be done. An error ends the connection; `None`: in order.
    fn serve_link(
        &mut self,
        link: &mut Link,
        index: usize,
        readable: bool,
        ended: bool,
        scratch: &mut [u8],
    ) -> Result<(), Option<Fault>> {
        if matches!(link.stage, Stage::Connecting) {
            if !link.connected(self.plan)? {
                return Ok(());
            }
            self.connecting -= 1;
            if link.is_open() {
                self.open(link);
            }
        }
        if readable {
            self.read_link(link, index, ended, scratch)?;
        }
        let written = link.write(self.plan).map_err(|error| Some(Fault::Failed(error.kind())))?;
        self.outcome.written += written;
        Ok(())
    }

    /// Reads what is there, as far as it is this connection's turn.
    fn read_link(
        &mut self,
        link: &mut Link,
        index: usize,
        ended: bool,
        scratch: &mut [u8],
    ) -> Result<(), Option<Fault>> {
        let began = self.now();
        while let Some(stream) = &mut link.stream {
            let failed = |error: io::Error| Some(Fault::Failed(error.kind()));
            if link.read_at.saturating_sub(began) > TICK.as_nanos() as u64 {
                // Edge-triggered: what is still there is told once more.
                let registry = self.poll.registry();
                return registry.reregister(stream, Token(index), INTEREST).map_err(failed);
            }
            let n = match stream.read(scratch) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            self.outcome.received += n as u64;
            self.take(link, &mut scratch[..n])?;
            // Edge-triggered: less than was asked for means that there is no more, and what
            // comes later is told. Unless the end was told already.
            if n < scratch.len() && !ended {
                break;
            }
        }
        Ok(())
    }

    /// Takes what came; no bytes are the end. For each answer the next message is handed over.
    fn take(&mut self, link: &mut Link, bytes: &mut [u8]) -> Result<(), Option<Fault>> {
        let now = self.now();
        link.read_at = now;
        let was_open = link.is_open();
        let (mut answers, end) = (0, bytes.is_empty());
        let (mut right, mut wrongs) = (0, 0);
        let (times, faults) = (&mut self.times, &mut self.outcome.faults);
        let mut answered = |sent: &mut std::collections::VecDeque<u64>, wrong: Option<Fault>| {
            let Some(since) = sent.pop_front() else {
                // A status says why it came unasked: a full server's 503, a 408.
                let status = wrong.filter(|wrong| matches!(wrong, Fault::Status(_)));
                return Err(status.unwrap_or(Fault::Unasked));
            };
            answers += 1;
            match wrong {
                Some(fault) => {
                    wrongs += 1;
                    faults.count(fault, 1);
                }
                None => {
                    right += 1;
                    times.saturating_record(now - since);
                }
            }
            Ok(())
        };
        let outcome = match &mut link.stage {
            _ if !end => link.read(self.plan, bytes, &mut answered),
            Stage::Closing => return Err(None),
            Stage::Http(responses) => {
                let sent = &mut link.sent;
                responses.end(&mut |wrong| answered(sent, wrong)).map(|()| true)
            }
            _ => Err(Fault::Ended),
        };
        self.outcome.answers += right;
        self.shared.faults.fetch_add(wrongs, Ordering::Relaxed);
        let opens = link.is_open() && !was_open;
        if opens {
            self.open(link);
        }
        if outcome.map_err(Some)? {
            // RFC 9112 §9.3.2: what was sent behind the last answer may be sent again.
            let forgiven = match &link.stage {
                Stage::Http(responses) => responses.is_last() || link.sent.is_empty(),
                _ => false,
            };
            return Err(if forgiven { None } else { Some(Fault::Ended) });
        }
        if !opens && answers > 0 && self.phase != Phase::End && self.plan.rate.is_none() {
            link.send(self.plan, answers, now);
        }
        Ok(())
    }

    /// The connection can be used.
    fn open(&mut self, link: &mut Link) {
        if !std::mem::replace(&mut link.was_open, true) {
            self.shared.opened.fetch_add(1, Ordering::Relaxed);
        }
        if self.plan.rate.is_some() {
            link.send_again(self.plan);
        } else if matches!(self.phase, Phase::WarmUp | Phase::Measure) {
            link.send(self.plan, self.plan.depth, self.now());
        }
    }

    /// At a fixed rate: what is due, in turn on the connections that are open. While none is, it
    /// waits, and that counts.
    fn send_due(&mut self, links: &mut [Link]) {
        let now = self.now();
        while let Some(due) = self.pace.as_ref().and_then(|pace| pace.due(now)) {
            let in_turn = (0..links.len()).map(|n| (self.turn + n) % links.len());
            let Some(index) = in_turn.into_iter().find(|&index| links[index].is_open()) else {
                return;
            };
            self.turn = (index + 1) % links.len();
            let (link, plan) = (&mut links[index], self.plan);
            link.send(plan, 1, due);
            if let Some(pace) = &mut self.pace {
                pace.hand_out();
            }
            match link.write(plan) {
                Ok(written) => self.outcome.written += written,
                Err(error) => self.lose(link, index, Some(Fault::Failed(error.kind()))),
            }
        }
    }

    /// The connection has ended. An HTTP connection is made again: servers may end them as they
    /// like (RFC 9112 §9.5), and some do after so many requests.
    fn lose(&mut self, link: &mut Link, index: usize, fault: Option<Fault>) {
        let closing = matches!(link.stage, Stage::Closing);
        if matches!(link.stage, Stage::Connecting) {
            self.connecting -= 1;
        }
        // At a fixed rate what a server may leave unanswered is due still.
        if fault.is_some() || self.plan.rate.is_none() {
            link.sent.clear();
        }
        if let Some(fault) = fault.filter(|_| !closing) {
            self.fault(fault);
        }
        let again = matches!(link.stage, Stage::Http(_)) && self.phase != Phase::End;
        link.lose();
        if again {
            self.outcome.reconnects += 1;
            self.connect(link, index);
        } else {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn make_connections(&mut self, links: &mut [Link]) {
        while self.connecting < CONNECTING
            && let Some(index) = self.waiting.next()
        {
            self.connect(&mut links[index], index);
        }
    }

    fn connect(&mut self, link: &mut Link, index: usize) {
        let connected = TcpStream::connect(self.plan.address).and_then(|mut stream| {
            self.poll.registry().register(&mut stream, Token(index), INTEREST)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => {
                link.connecting(stream);
                self.connecting += 1;
            }
            Err(error) => {
                self.fault(Fault::Connect(error.kind()));
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Another phase has begun; one may have been left out.
    fn enter(&mut self, phase: Phase, links: &mut [Link]) -> io::Result<()> {
        let before = std::mem::replace(&mut self.phase, phase);
        if before == Phase::Connect && phase != Phase::End {
            self.begin_sending(links);
            if let Some(rate) = self.plan.rate {
                let waker = Waker::new(self.poll.registry(), DUE)?;
                let rate = rate * links.len() as f64;
                self.pace = Some(Pace::new(rate, self.epoch, self.now(), waker));
            }
        }
        if phase == Phase::End {
            self.pace = None;
        }
        let (now, processor) = (self.now(), processor_time());
        if phase == Phase::Measure {
            self.began = (now, processor);
            self.times.reset();
            let faults = std::mem::take(&mut self.outcome.faults);
            self.outcome = Outcome { faults, ..Outcome::default() };
        } else if before == Phase::Measure {
            let seconds = (now - self.began.0) as f64 / 1e9;
            self.outcome.seconds = seconds;
            self.outcome.busy = vec![((processor - self.began.1) / seconds).clamp(0.0, 1.0)];
        }
        Ok(())
    }

    fn begin_sending(&mut self, links: &mut [Link]) {
        // Those that were not made in time are given up.
        for _ in std::mem::take(&mut self.waiting) {
            self.fault(Fault::ConnectTimeout);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        for (index, link) in links.iter_mut().enumerate() {
            if link.is_open() {
                if self.plan.rate.is_none() {
                    link.send(self.plan, self.plan.depth, self.now());
                }
                match link.write(self.plan) {
                    Ok(written) => self.outcome.written += written,
                    Err(error) => self.lose(link, index, Some(Fault::Failed(error.kind()))),
                }
            } else if !matches!(link.stage, Stage::Lost) && !link.was_open {
                // One that was open is being made again.
                self.lose(link, index, Some(Fault::ConnectTimeout));
            }
        }
    }

    /// The measurement is over: what is under way may still be answered, then all is closed.
    /// Nothing of it counts but what is wrong.
    fn finish(&mut self, links: &mut [Link]) -> io::Result<()> {
        let (times, measured) = (self.times.clone(), std::mem::take(&mut self.outcome));
        let faults;
        {
            let mut events = Events::with_capacity(1024);
            let mut scratch = vec![0; SCRATCH];
            self.outcome.faults = measured.faults;
            let waited = |link: &Link| link.is_open() && !link.sent.is_empty();
            let deadline = Instant::now() + END_TIMEOUT;
            while Instant::now() < deadline && links.iter().any(waited) {
                self.turn(links, &mut events, &mut scratch, TICK)?;
            }
            for (index, link) in links.iter_mut().enumerate() {
                if link.sent.front().is_some_and(|&since| since < self.began.0) && waited(link) {
                    self.fault(Fault::Silent);
                }
                link.close(self.plan);
                if link.write(self.plan).is_err() {
                    self.lose(link, index, None);
                }
            }
            let deadline = Instant::now() + END_TIMEOUT;
            let closing = |link: &Link| matches!(link.stage, Stage::Closing);
            while Instant::now() < deadline && links.iter().any(closing) {
                self.turn(links, &mut events, &mut scratch, TICK)?;
            }
            faults = std::mem::take(&mut self.outcome.faults);
        }
        self.times = times;
        self.outcome = Outcome { faults, ..measured };
        Ok(())
    }
}
