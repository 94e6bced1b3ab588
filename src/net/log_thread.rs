//! A thread that logs: a worker never waits until a line is written.
//!
//! ```text
//!   worker ──log::info!──> bounded queue ──> thread "oneport-log" ──> any logger ──> stderr, a file
//!   worker ──log::info!──>      │ full: the line is dropped and counted
//! ```
//!
//! A logger writes on the thread that calls it. If standard error is a pipe without a reader, the
//! write waits as soon as the pipe is full (64 KiB), and with it the worker and all its connections.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::panic::PanicHookInfo;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::asgi::guard::{describe, guarded, what_it_said};

/// Lines that may wait.
const MOST_LINES: usize = 8192;
/// Bytes of lines that may wait, what they cost besides their text included.
const MOST_BYTES: usize = 1024 * 1024;
/// A longer line is cut (bytes).
const LONGEST_LINE: usize = 64 * 1024;
/// How long the end of a program waits for lines that are still to be written.
const FLUSH: Duration = Duration::from_secs(1);
/// A line that waited longer says so: its time is that of its writing.
const LATE: Duration = Duration::from_secs(1);

/// Makes this logger the program's, on a thread of its own: `log::info!` and its like never wait
/// until a line is written, and a server serves on when its standard error is a pipe that is full. At most 1 MiB of lines waits; beyond that lines are dropped, and a line says how many as
/// soon as the others have been written. Panics are logged in the same way, as errors, in place of
/// what prints them.
///
/// `most` is the level that the program logs at most (`env_logger::Logger` tells it by `filter()`);
/// the logger may choose among them. Keep the [`LogGuard`] until the end of `main`: it sees to it that
/// the last lines are written.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let logger = env_logger::Builder::from_default_env().build();
/// let most = logger.filter();
/// let _log = oneport::log_in_background(logger, most)?;
/// # Ok(())
/// # }
/// ```
///
/// What is lost on the way: key-value pairs of a line, and the time of lines that had to wait; those
/// say how long.
///
/// # Errors
/// If the program has a logger already, or there can be no thread.
pub fn log_in_background(logger: impl Log + 'static, most: LevelFilter) -> io::Result<LogGuard> {
    let log = Background::begin(Box::new(logger))?;
    let shared = Arc::clone(&log.0);
    let guard = LogGuard(Arc::clone(&shared));
    // Once in a program, for as long as that runs.
    if let Err(error) = log::set_logger(Box::leak(Box::new(log))) {
        shared.close();
        return Err(io::Error::other(error.to_string()));
    }
    log::set_max_level(most);
    std::panic::set_hook(Box::new(log_panic));
    Ok(guard)
}

/// Dropping it waits, for one second at most, until what was logged has been written: see
/// [`log_in_background`]. `std::process::exit` drops nothing; `log::logger().flush()` before it does
/// the same.
#[must_use = "dropped at once, it sees to nothing at the end"]
pub struct LogGuard(Arc<Shared>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.flush();
    }
}

impl std::fmt::Debug for LogGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogGuard")
    }
}

/// The hook: what the standard one prints, as a line of the log.
fn log_panic(panic: &PanicHookInfo<'_>) {
    use std::backtrace::{Backtrace, BacktraceStatus};
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let said = describe(&what_it_said(panic.payload()));
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => {
            log::error!("the thread {thread} panicked{place}: {said}\n{backtrace}")
        }
        _ => log::error!("the thread {thread} panicked{place}: {said}"),
    }
    if cfg!(panic = "abort") {
        log::logger().flush();
    }
}

/// A logger in front of another one.
struct Background(Arc<Shared>);

/// What callers share with the thread that writes.
struct Shared {
    logger: Box<dyn Log>,
    queue: Mutex<Queue>,
    /// There is something to write.
    filled: Condvar,
    /// Something was written.
    written: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    /// What the lines cost.
    bytes: usize,
    /// Lines that found no room and were not reported yet.
    dropped: u64,
    /// Lines that were taken in and written, ever.
    taken: u64,
    done: u64,
    /// The thread that writes.
    writer: Option<ThreadId>,
    closed: bool,
}

/// A record that can travel.
struct Line {
    level: Level,
    target: String,
    text: String,
    module: Option<&'static str>,
    file: Option<&'static str>,
    line: Option<u32>,
    at: Instant,
}

impl Line {
    fn of(record: &Record<'_>) -> Self {
        let mut text = String::new();
        // A `Display` that fails has said what it could.
        let _ = write!(text, "{}", record.args());
        if text.len() > LONGEST_LINE {
            let end = (0..=LONGEST_LINE).rev().find(|at| text.is_char_boundary(*at));
            text.truncate(end.unwrap_or(0));
            text.push('…');
        }
        Self {
            level: record.level(),
            target: record.target().to_string(),
            text,
            module: record.module_path_static(),
            file: record.file_static(),
            line: record.line(),
            at: Instant::now(),
        }
    }

    fn cost(&self) -> usize {
        size_of::<Self>() + self.target.len() + self.text.len()
    }

    fn write(&self, logger: &dyn Log) {
        let waited = self.at.elapsed();
        let late = match waited > LATE {
            true => format!(" (it waited {:.1} s to be written)", waited.as_secs_f64()),
            false => String::new(),
        };
        logger.log(
            &Record::builder()
                .level(self.level)
                .target(&self.target)
                .module_path_static(self.module)
                .file_static(self.file)
                .line(self.line)
                .args(format_args!("{}{late}", self.text))
                .build(),
        );
    }
}

impl Background {
    fn begin(logger: Box<dyn Log>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            logger,
            queue: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        });
        let write = Arc::clone(&shared);
        let name = "oneport-log".to_string();
        let thread = std::thread::Builder::new().name(name).spawn(move || write.write_all())?;
        shared.lock().writer = Some(thread.thread().id());
        Ok(Self(shared))
    }
}

impl Log for Background {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.0.logger.enabled(record.metadata()) {
            self.0.take(Line::of(record));
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that can panic runs under the lock, and nothing that waits.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line in, or counts it.
    fn take(&self, line: Line) {
        let cost = line.cost();
        let mut queue = self.lock();
        if queue.writer == Some(std::thread::current().id()) {
            // What writing has to say would have to be written, and so on.
            return;
        }
        if queue.lines.len() >= MOST_LINES || queue.bytes + cost > MOST_BYTES {
            queue.dropped += 1;
            return;
        }
        let first = queue.lines.is_empty();
        queue.bytes += cost;
        queue.taken += 1;
        queue.lines.push_back(line);
        drop(queue);
        if first {
            self.filled.notify_one();
        }
    }

    /// Writes, until it is closed.
    fn write_all(&self) {
        let mut lines = VecDeque::new();
        loop {
            let mut queue = self.lock();
            while queue.lines.is_empty() {
                if queue.closed {
                    return;
                }
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut lines, &mut queue.lines);
            queue.bytes = 0;
            let dropped = std::mem::take(&mut queue.dropped);
            drop(queue);
            let count = lines.len() as u64;
            // The logger is the application's.
            for line in lines.drain(..) {
                let _ = guarded(|| line.write(&*self.logger));
            }
            let _ = guarded(|| {
                if dropped > 0 {
                    self.tell_dropped(dropped);
                }
                self.logger.flush();
            });
            self.lock().done += count;
            self.written.notify_all();
        }
    }

    fn tell_dropped(&self, dropped: u64) {
        self.logger.log(
            &Record::builder()
                .level(Level::Warn)
                .target("oneport")
                .args(format_args!(
                    "{dropped} lines of the log were dropped: more was logged than was read"
                ))
                .build(),
        );
    }

    /// Waits until what was logged by now has been written, but not for long.
    fn flush(&self) {
        let queue = self.lock();
        if queue.writer == Some(std::thread::current().id()) {
            return;
        }
        let taken = queue.taken;
        let wait = self.written.wait_timeout_while(queue, FLUSH, |queue| queue.done < taken);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, Receiver, Sender};

    /// A logger that writes each line when it gets a word.
    struct Slow {
        go: Mutex<Receiver<()>>,
        lines: Mutex<Sender<String>>,
    }

    impl Log for Slow {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.level() <= Level::Info
        }

        fn log(&self, record: &Record<'_>) {
            // Without the other end no word is needed.
            let _ = self.go.lock().unwrap().recv();
            let line = format!("{} {}: {}", record.level(), record.target(), record.args());
            if line.contains("panic") {
                std::panic::resume_unwind(Box::new(line));
            }
            let _ = self.lines.lock().unwrap().send(line);
        }

        fn flush(&self) {}
    }

    fn slow() -> (Background, Sender<()>, Receiver<String>) {
        let (word, go) = mpsc::channel();
        let (give, lines) = mpsc::channel();
        let slow = Slow { go: Mutex::new(go), lines: Mutex::new(give) };
        (Background::begin(Box::new(slow)).unwrap(), word, lines)
    }

    fn say(log: &Background, level: Level, text: &str) {
        log.log(&Record::builder().level(level).target("t").args(format_args!("{text}")).build());
    }

    #[test]
    fn lines_keep_their_order_and_what_is_not_wanted_costs_nothing() {
        let (log, word, lines) = slow();
        drop(word);
        for n in 0..100 {
            say(&log, Level::Info, &n.to_string());
            say(&log, Level::Debug, "nobody wants it");
        }
        log.flush();
        let lines: Vec<_> = lines.try_iter().collect();
        assert_eq!(lines, (0..100).map(|n| format!("INFO t: {n}")).collect::<Vec<_>>());
        log.0.close();
    }

    #[test]
    fn a_caller_does_not_wait_and_what_found_no_room_is_counted() {
        for text in ["short".to_string(), "l".repeat(LONGEST_LINE * 2)] {
            let (log, word, lines) = slow();
            let all = 3 * MOST_LINES as u64;
            for _ in 0..all {
                say(&log, Level::Info, &text);
            }
            {
                let queue = log.0.lock();
                assert!(queue.bytes <= MOST_BYTES && queue.lines.len() <= MOST_LINES);
            }
            // The logger stands still: the end of the program does not wait for long.
            log.flush();
            assert_eq!(log.0.lock().done, 0);
            drop(word);
            say(&log, Level::Info, "the last");
            let mut written = 0;
            let mut dropped = 0;
            while written + dropped < all + 1 {
                let line = lines.recv_timeout(Duration::from_secs(60)).unwrap();
                let count = line.strip_prefix("WARN oneport: ");
                match count.and_then(|line| line.split(' ').next()?.parse::<u64>().ok()) {
                    Some(count) => dropped += count,
                    None => {
                        // The first one was about to be written when it had to wait.
                        let is_late = line.ends_with(" s to be written)");
                        assert!(is_late || written == 0 || line.ends_with("the last"));
                        written += 1;
                    }
                }
            }
            assert!(dropped > 0 && written <= 2 * MOST_LINES as u64 + 1);
            log.0.close();
        }
    }

    #[test]
    fn a_logger_that_panics_loses_its_line_only() {
        let (log, word, lines) = slow();
        drop(word);
        say(&log, Level::Info, "panic");
        say(&log, Level::Error, "later");
        log.flush();
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["ERROR t: later"]);
        log.0.close();
    }
}
