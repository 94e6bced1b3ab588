//! The mailbox of a worker: commands from any thread, and at most one wake-up for many.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::asgi::handle::{Command, Mailbox};

/// What a worker finds in its mailbox.
#[derive(Debug)]
pub(crate) enum Mail {
    /// For its connections.
    Command(Command),
    /// End: answer what is in flight, then return.
    Shutdown,
}

/// Room for so many mails stays.
pub(crate) const KEPT: usize = 1024;

/// Wakes a worker out of its wait.
pub(crate) trait Wake: Send + Sync {
    fn wake(&self);
}

/// One per worker.
pub(crate) struct WorkerMailbox {
    inner: Mutex<Inner>,
    waker: Box<dyn Wake>,
}

struct Inner {
    mails: Vec<Mail>,
    /// The worker has ended.
    closed: bool,
}

impl WorkerMailbox {
    pub(crate) fn new(waker: Box<dyn Wake>) -> Self {
        Self { inner: Mutex::new(Inner { mails: Vec::new(), closed: false }), waker }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that can panic runs under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts, and wakes the worker if the mailbox was empty: otherwise a wake-up is on its way
    /// already. Both are decided under the lock, so none is lost.
    pub(crate) fn put(&self, mail: Mail) {
        let mut inner = self.lock();
        if inner.closed {
            drop(inner);
            // Outside the lock: dropping a command may drop a handle, which posts.
            drop(mail);
            return;
        }
        let first = inner.mails.is_empty();
        inner.mails.push(mail);
        drop(inner);
        if first {
            self.waker.wake();
        }
    }

    /// Takes everything, in order. What is posted meanwhile is found the next time.
    pub(crate) fn take(&self, mails: &mut Vec<Mail>) {
        debug_assert!(mails.is_empty());
        // A burst leaves no memory behind.
        mails.shrink_to(KEPT);
        std::mem::swap(mails, &mut self.lock().mails);
    }

    /// The worker ends: what is posted from now on is dropped, and so is what is left.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let left = std::mem::take(&mut inner.mails);
        drop(inner);
        drop(left);
    }
}

impl Mailbox for WorkerMailbox {
    fn post(&self, command: Command) {
        self.put(Mail::Command(command));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(Arc<AtomicUsize>);

    impl Wake for Count {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_posts_cost_one_wake_up_and_none_is_lost() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let mailbox = Arc::new(WorkerMailbox::new(Box::new(Count(Arc::clone(&wakes)))));
        for _ in 0..100 {
            mailbox.put(Mail::Shutdown);
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        let mut mails = Vec::new();
        mailbox.take(&mut mails);
        assert_eq!(mails.len(), 100);
        mailbox.put(Mail::Shutdown);
        assert_eq!(wakes.load(Ordering::Relaxed), 2, "after the box was emptied");
        mailbox.close();
        mailbox.put(Mail::Shutdown);
        mails.clear();
        mailbox.take(&mut mails);
        assert!(mails.is_empty(), "a closed box keeps nothing");
    }
}
