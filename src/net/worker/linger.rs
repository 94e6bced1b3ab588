//! Lingering connections: the answer has left, the body of the request still arrives. A
//! worker listens to a bounded number of them; the oldest makes room for the next.

use std::collections::VecDeque;

use super::Worker;
use crate::asgi::App;
use crate::net::slab::Key;
use crate::net::world::World;

/// So many of a worker's connections may linger for a body.
pub(super) const LINGERERS: usize = 256;

/// Those that do, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Lingerers(VecDeque<Key>);

impl Lingerers {
    /// One more; gives the one that is to end for it.
    fn add(&mut self, key: Key) -> Option<Key> {
        self.0.push_back(key);
        if self.0.len() > LINGERERS { self.0.pop_front() } else { None }
    }

    /// This one has ended.
    pub(super) fn gone(&mut self, key: Key) {
        if let Some(at) = self.0.iter().position(|other| *other == key) {
            self.0.remove(at);
        }
    }
}

impl<W: World, A: App> Worker<W, A> {
    /// A connection begins to linger for a body.
    pub(super) fn lingers(&mut self, key: Key) {
        if let Some(oldest) = self.lingerers.add(key) {
            self.enter(oldest, |conn, _| conn.stop_lingering());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_who_ended_takes_none() {
        let key = |slot| Key { slot, generation: 0 };
        let mut lingerers = Lingerers::default();
        for slot in 0..LINGERERS as u32 {
            assert_eq!(lingerers.add(key(slot)), None);
        }
        assert_eq!(lingerers.add(key(1000)), Some(key(0)));
        lingerers.gone(key(1));
        assert_eq!(lingerers.add(key(1001)), None);
        assert_eq!(lingerers.add(key(1002)), Some(key(2)));
    }
}
