//! For tests: what was logged, from level info on.

use std::sync::{Mutex, Once, PoisonError};
use std::thread::ThreadId;

static LINES: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        let thread = std::thread::current().id();
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push((thread, line));
    }

    fn flush(&self) {}
}

/// Call it before what should be captured.
pub(crate) fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Lines).expect("no other logger is set");
        log::set_max_level(log::LevelFilter::Info);
    });
}

/// By any thread of this process.
pub(crate) fn everywhere() -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().map(|(_, line)| line.clone()).collect()
}

/// By this thread: by this test and the workers that it drives itself.
pub(crate) fn here() -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let here = std::thread::current().id();
    lines.iter().filter(|(thread, _)| *thread == here).map(|(_, line)| line.clone()).collect()
}
