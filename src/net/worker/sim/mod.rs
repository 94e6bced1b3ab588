//! Whole workers in simulation: several peers, scripted or random, a clock, mail, timers and
//! publications, without a socket or a thread. A seed decides everything, so a failure can be
//! repeated: `SEED=n cargo test --lib sim`.
//!
//! After every round the [`Sim`] checks what must hold whatever peers and handlers do:
//!
//! - the round did bounded work, and served no connection twice;
//! - a deadline that has passed was acted on within two rounds;
//! - no connection stands twice on a list;
//!
//! and after the end of the server that nothing is left: no connection, no handler, no member, no
//! byte. Mistakes that were made once are put back one by one ([`Fault`]): each must be found.

mod peer;
mod platform;
mod site;

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::pace::ROUND;
use super::{Common, Fault, READS, Worker};
use crate::asgi::handle::Mailbox;
use crate::asgi::{Config, Groups};
use crate::bytes::moment::Moment;
use crate::conn::budget;
use crate::net::commands::{Mail, Wake, WorkerMailbox};
use crate::net::stats::Stats;
use peer::{Kind, Peer};
use platform::{Net, Pipe, SimClock, SimPlatform, Watchdog};
use site::{Shared, Site};

/// A round may exceed its budget by what is done before it is looked at: a turn, and the least
/// that each part of a round does.
const OVERSHOOT: usize = 8 * budget::TURN;
/// A round lasts 10 ms, a turn 2 ms more, 16 callbacks pass before a turn looks at the clock, and
/// each part of a round has one turn at least.
const ROUND_LASTS: Duration = Duration::from_millis(30);
/// Rounds in which a deadline that has passed is acted on.
const ROUNDS_TO_ACT: u32 = 2;
/// A peer that has left is noticed within this time.
const NOTICED: Duration = Duration::from_secs(4);

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

struct WakeFlag(std::sync::Mutex<bool>);

impl Wake for Arc<WakeFlag> {
    fn wake(&self) {
        *self.0.lock().unwrap() = true;
    }
}

struct Sim {
    worker: Worker<SimPlatform, Site>,
    net: Rc<RefCell<Net>>,
    clock: SimClock,
    shared: Arc<Shared>,
    stats: Stats,
    mailbox: Arc<WorkerMailbox>,
    woken: Arc<WakeFlag>,
    random: Random,
    peers: Vec<Peer>,
    /// Deadlines that have passed, and the rounds since.
    overdue: HashMap<(u32, u32), (Moment, u32)>,
    rounds: usize,
}

impl Sim {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut random = Random(seed);
        let clock = SimClock::default();
        // Some microseconds a callback; some applications are slow.
        let cost = Duration::from_micros([1, 5, 20, 100][random.below(4)]);
        let shared = Arc::new(Shared::default());
        let site = Site { shared: Arc::clone(&shared), clock: clock.clone(), cost };
        let mut config = Config { server_field: None, date_field: false, ..Config::default() };
        config.max_message = 4 << 20;
        #[cfg(feature = "deflate")]
        {
            config.deflate = Some(crate::ws::extension::Deflate::default());
        }
        let common = Common {
            app: Arc::new(site),
            config: Arc::new(config),
            groups: Groups::default(),
            stats: Stats::default(),
            takeover: Default::default(),
            on_closed: None,
        };
        let woken = Arc::new(WakeFlag(std::sync::Mutex::new(false)));
        let mailbox = Arc::new(WorkerMailbox::new(Box::new(Arc::clone(&woken))));
        common.groups.connect(vec![Arc::clone(&mailbox) as Arc<dyn Mailbox>]);
        let net = Rc::new(RefCell::new(Net::default()));
        let platform = SimPlatform {
            net: Rc::clone(&net),
            clock: clock.clone(),
            watchdog: Watchdog::default(),
            random: seed,
        };
        let mut worker = Worker::new(0, platform, Arc::clone(&mailbox), &common);
        worker.fault = fault;
        Self {
            worker,
            net,
            clock,
            shared,
            stats: common.stats,
            mailbox,
            woken,
            random,
            peers: Vec::new(),
            overdue: HashMap::new(),
            rounds: 0,
        }
    }

    fn connect(&mut self, kind: Kind) {
        let room = [usize::MAX, usize::MAX, 100_000, 1000][self.random.below(4)];
        let pipe = self.net.borrow_mut().connect(room);
        self.peers.push(Peer::new(kind, pipe, room == usize::MAX));
    }

    /// A peer that takes everything.
    fn connect_eager(&mut self, kind: Kind) {
        let pipe = self.net.borrow_mut().connect(usize::MAX);
        self.peers.push(Peer::new(kind, pipe, true));
    }

    /// One round, and what must hold after it. `patience` is how long nothing may happen.
    fn round(&mut self, patience: Duration) {
        self.rounds += 1;
        {
            let mut net = self.net.borrow_mut();
            net.patience = patience;
            net.mailbox_news |= std::mem::take(&mut *self.woken.0.lock().unwrap());
        }
        self.worker.step().unwrap();
        let began = self.worker.tools.round.now;
        let lasted = Moment::at(self.clock.now()).since(began);
        assert!(lasted <= ROUND_LASTS, "the round lasted {lasted:?}");
        let units = self.worker.pace.units();
        assert!(units <= ROUND + OVERSHOOT, "{units} units of work in a round");
        self.check_lists();
        self.check_deadlines();
        self.check_peers();
    }

    fn check_lists(&mut self) {
        let mut seen = HashMap::new();
        for key in self.worker.run_again.iter().chain(&self.worker.deferred) {
            *seen.entry((key.slot, key.generation)).or_insert(0) += 1;
        }
        for key in self.worker.connections.keys() {
            let listed = seen.get(&(key.slot, key.generation)).copied().unwrap_or(0);
            assert!(listed <= 1, "{key:?} stands {listed} times on a list");
            let queued = self.worker.connections.get_mut(key).is_some_and(|entry| entry.queued);
            assert_eq!(queued, listed == 1, "{key:?} knows whether it is on a list");
        }
    }

    fn check_deadlines(&mut self) {
        let now = self.worker.tools.round.now;
        let config = Arc::clone(&self.worker.tools.round.config);
        let before = std::mem::take(&mut self.overdue);
        for key in self.worker.connections.keys() {
            let Some(entry) = self.worker.connections.get_mut(key) else { continue };
            let Some(deadline) = entry.conn.deadline(&config).filter(|at| *at <= now) else {
                continue;
            };
            let id = (key.slot, key.generation);
            // Where many are due at once, the round's budget lets them wait in a queue.
            let waits = self.worker.due.iter().any(|(_, due)| *due == key);
            let rounds = match before.get(&id) {
                Some((same, rounds)) if *same == deadline && !waits => rounds + 1,
                _ => 0,
            };
            let kind = self.worker.connections.get_mut(key).map(|entry| entry.watch);
            assert!(rounds <= ROUNDS_TO_ACT, "a deadline passed {rounds} rounds ago: {kind:?}");
            self.overdue.insert(id, (deadline, rounds));
        }
    }

    fn check_peers(&mut self) {
        let now = self.clock.now();
        for peer in &mut self.peers {
            let reads = peer.pipe.borrow().reads;
            assert!(reads <= READS + 1, "{:?} was read {reads} times in a round", peer.kind);
            peer.check();
            if let Some(left) = peer.left_at(now) {
                let noticed = peer.pipe.borrow().closed;
                assert!(
                    noticed || now < left + NOTICED,
                    "{:?} left {:?} ago, unnoticed",
                    peer.kind,
                    now - left
                );
            }
        }
    }

    /// Ends the server, and looks at what is left.
    fn finish(mut self) {
        self.mailbox.put(Mail::Shutdown);
        for _ in 0..2_000 {
            if self.worker.is_over() {
                break;
            }
            // Between two rounds time passes even if peers send without pause.
            self.clock.pass(Duration::from_millis(10));
            let random = &mut self.random;
            for peer in &mut self.peers {
                peer.goes_on(random);
            }
            self.round(Duration::from_millis(50));
        }
        assert!(self.worker.is_over(), "the drain has a deadline");
        self.worker.serve_all().unwrap();
        while self.worker.table.has_departures() {
            self.worker.apply_waiting();
        }
        assert!(self.worker.table.is_empty(), "a member is left");
        assert_eq!(self.stats.connections(), 0);
        assert_eq!(self.stats.bytes_held(), 0);
        assert!(self.worker.publications.is_empty() || self.worker.is_over());
        let begun = self.shared.begun.load(Ordering::Relaxed);
        assert_eq!(self.shared.dropped.load(Ordering::Relaxed), begun, "a handler is left");
        for pipe in &self.net.borrow().pipes {
            assert!(pipe.borrow().closed, "a socket is left");
        }
        self.shared.handles.lock().unwrap().clear();
    }

    /// Something that another thread may do.
    fn thread(&mut self) {
        match self.random.below(3) {
            0 => {
                let handle = self.shared.handles.lock().unwrap().pop();
                if let Some(handle) = handle {
                    let _ = handle.respond(200, &[], "later");
                }
            }
            1 => {
                if let Some(handle) = self.shared.handles.lock().unwrap().first() {
                    handle.resume();
                    handle.resume();
                }
            }
            _ => {
                let report = self.worker.tools.round.groups.publish("a", "from outside");
                drop(report);
            }
        }
    }
}

/// A random conversation of several peers with one worker.
fn conversation(seed: u64, fault: Option<Fault>) {
    let mut sim = Sim::new(seed, fault);
    for _ in 0..1 + sim.random.below(6) {
        let kind = Kind::any(&mut sim.random);
        sim.connect(kind);
    }
    for _ in 0..20 + sim.random.below(60) {
        if sim.random.below(10) == 0 {
            let kind = Kind::any(&mut sim.random);
            sim.connect(kind);
        }
        if sim.random.below(4) == 0 {
            sim.thread();
        }
        for peer in &mut sim.peers {
            peer.acts(&mut sim.random);
        }
        let patience = [0, 1, 100, 3_000, 30_000][sim.random.below(5)];
        sim.round(Duration::from_millis(patience));
    }
    sim.finish();
}

/// Many members of one group, and one of another, who are published to at the same time: the
/// rounds that it took.
fn crowd(members: usize, publications: usize, size: usize, fault: Option<Fault>) -> usize {
    let mut sim = Sim::new(0, fault);
    for _ in 0..members {
        sim.connect_eager(Kind::Paused);
    }
    sim.connect_eager(Kind::Echo);
    while sim.peers.iter().any(|peer| peer.pipe.borrow().key.is_none()) {
        sim.round(Duration::ZERO);
    }
    for (number, peer) in sim.peers.iter_mut().enumerate() {
        let group = if number == members { "join b" } else { "join a" };
        peer.opens(&[group]);
    }
    let joined = |sim: &Sim, group| {
        sim.worker.table.group(group).map_or(0, |group| sim.worker.table.members(group).len())
    };
    while joined(&sim, "a") < members || joined(&sim, "b") < 1 {
        sim.round(Duration::ZERO);
    }
    let groups = sim.worker.tools.round.groups.clone();
    let text = "x".repeat(size);
    let reports: Vec<_> = (0..publications).map(|_| groups.publish("a", &*text)).collect();
    let last = groups.publish("b", "y");
    let before = sim.rounds;
    while !last.is_complete() || sim.worker.has_publications() {
        sim.round(Duration::ZERO);
    }
    assert_eq!(last.queued(), 1);
    assert!(reports.iter().all(|report| report.queued() + report.skipped() == members));
    let rounds = sim.rounds - before;
    sim.finish();
    rounds
}

#[test]
fn a_pass_of_publications_is_cut_into_slices_and_costs_no_product() {
    // 300 members x 200 publications, and one of another group: one round is enough.
    assert_eq!(crowd(300, 200, 1, None), 1);
    assert!(crowd(500, 1, 60_000, None) > 1);
    let product = catch_unwind(|| crowd(300, 200, 1, Some(Fault::ProductOfPass)));
    let message = product.expect_err("the fault is found");
    let message = message.downcast_ref::<&str>().expect("an assertion failed");
    assert!(message.contains("no product"), "{message}");
    let endless = catch_unwind(|| crowd(500, 1, 60_000, Some(Fault::EndlessPass)));
    let message = endless.expect_err("the fault is found");
    let message = message.downcast_ref::<String>().expect("an assertion failed");
    assert!(message.contains("units of work in a round"), "{message}");
}

/// Runs a conversation; the message of the check that failed.
fn failure(seed: u64, fault: Option<Fault>) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| conversation(seed, fault)));
    let payload = outcome.err()?;
    let text = payload.downcast_ref::<String>().cloned();
    Some(
        text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_default(),
    )
}

#[test]
fn whatever_peers_do_the_laws_of_the_loop_hold() {
    if let Some(seed) = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        return conversation(seed, None);
    }
    for seed in 0..SEEDS {
        if let Some(message) = failure(seed, None) {
            panic!("SEED={seed}: {message}");
        }
    }
}

/// Conversations in one run of the tests.
const SEEDS: u64 = 2_000;

/// The first of many seeds that finds a fault, and how.
fn found(fault: Fault) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| failure(seed, Some(fault)).map(|message| (seed, message)))
}

#[test]
fn each_mistake_of_the_past_is_found() {
    let expected = [
        (Fault::ReadForEver, "a deadline passed"),
        (Fault::DueInSameRound, "round"),
        (Fault::ListedTwice, "on a list"),
        (Fault::EndlessTurn, ""),
        (Fault::FinUnseen, "Paused left"),
    ];
    for (fault, how) in expected {
        let (seed, message) = found(fault).unwrap_or_else(|| panic!("{fault:?} is not found"));
        println!("{fault:?}: seed {seed}: {message}");
        assert!(message.contains(how), "{fault:?}, seed {seed}: {message}");
    }
}
