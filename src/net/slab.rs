//! A table of slots with generations.
//!
//! A slot is used again for the next connection, and its generation counts up. Whoever keeps a
//! [`Key`] (an event of the poll, a handle, a timer) finds its own connection or nothing, never
//! a stranger.

/// Which entry: a slot and the generation that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Generations wrap here: a token of the poll must have room for slot and generation.
const GENERATION_MASK: u32 = if usize::BITS == 64 { u32::MAX } else { 0xfff };

struct Slot<T> {
    generation: u32,
    entry: Option<T>,
}

pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The key that the next [`Slab::insert`] will give.
    pub(crate) fn next_key(&self) -> Key {
        match self.free.last() {
            Some(&slot) => Key { slot, generation: self.slots[slot as usize].generation },
            None => Key { slot: self.slots.len() as u32, generation: 0 },
        }
    }

    pub(crate) fn insert(&mut self, entry: T) -> Key {
        let key = self.next_key();
        if self.free.pop().is_none() {
            self.slots.push(Slot { generation: 0, entry: None });
        }
        self.slots[key.slot as usize].entry = Some(entry);
        self.len += 1;
        key
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation { slot.entry.as_mut() } else { None }
    }

    /// The entry that is in this slot now, whatever its generation, with its key.
    pub(crate) fn at(&self, slot: u32) -> Option<Key> {
        let found = self.slots.get(slot as usize)?;
        found.entry.as_ref().map(|_| Key { slot, generation: found.generation })
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let entry = slot.entry.take()?;
        slot.generation = slot.generation.wrapping_add(1) & GENERATION_MASK;
        self.free.push(key.slot);
        self.len -= 1;
        Some(entry)
    }

    /// How many slots there are, with and without an entry.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The keys of all entries.
    pub(crate) fn keys(&self) -> Vec<Key> {
        (0..self.slots()).filter_map(|slot| self.at(slot)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_never_finds_a_stranger() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        assert_eq!(slab.next_key().slot, first.slot);
        let second = slab.insert("second");
        assert_eq!(second.slot, first.slot, "the slot is used again");
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut "second"));
        assert_eq!((slab.len(), slab.keys()), (1, vec![second]));
    }
}
