//! Publications: what was published goes to the members on this worker, in passes.
//!
//! A pass takes all publications that wait. Its memory is bounded by its publications and the
//! members of their groups, never by their product: for each group it has the list of its
//! publications, and each member stands in it once. Each member gets all its publications of the
//! pass in their order, then one write.
//!
//! A pass is cut into slices: when the round's budget is spent it goes on in the next round, and
//! others are served in between. A member that left a group meanwhile gets nothing more of it.

use std::collections::{HashMap, HashSet};

use super::{Fault, Worker};
use crate::asgi::App;
use crate::asgi::groups::Parcel;
use crate::conn::Delivered;
use crate::groups::{GroupId, Member};
use crate::net::slab::Key;
use crate::net::world::World;

/// What looking at a member counts (units), besides what is written for it.
const MEMBER_UNITS: usize = 256;

/// Publications on their way to the members of their groups.
pub(super) struct Pass {
    parcels: Vec<Parcel>,
    /// Members that took each, and members that were skipped.
    counts: Vec<(usize, usize)>,
    /// The publications of each group, in order.
    by_group: HashMap<GroupId, Vec<u32>>,
    /// The members of these groups, each once.
    members: Vec<Member>,
    /// Those that were looked at.
    done: usize,
    /// The publications for one member, in order.
    due: Vec<u32>,
}

impl Pass {
    /// Entries that it holds.
    pub(super) fn entries(&self) -> usize {
        let lists: usize = self.by_group.values().map(Vec::capacity).sum();
        self.parcels.capacity() + lists + self.members.capacity() + self.due.capacity()
    }

    /// What it has to do.
    pub(super) fn size(&self) -> usize {
        self.parcels.len() + self.members.len()
    }
}

impl<W: World, A: App> Worker<W, A> {
    /// Do publications wait for members?
    pub(super) fn has_publications(&self) -> bool {
        self.pass.is_some()
            || !self.publications.is_empty()
            || !self.effects.is_empty()
            || self.table.has_departures()
    }

    /// Goes on with the pass, or begins one; one slice of it.
    pub(super) fn publish(&mut self) {
        let Some(mut pass) = self.pass.take().or_else(|| self.begin_pass()) else { return };
        let mut first = true;
        while let Some(member) = pass.members.get(pass.done).copied() {
            if self.pace.is_spent() && !first && !self.has(Fault::EndlessPass) {
                self.pass = Some(pass);
                return;
            }
            first = false;
            pass.done += 1;
            self.pace.add(MEMBER_UNITS);
            self.deliver(member, &mut pass);
        }
        for (parcel, (queued, skipped)) in pass.parcels.iter().zip(pass.counts) {
            parcel.publication().count(queued, skipped);
        }
    }

    /// A pass for all publications that wait.
    fn begin_pass(&mut self) -> Option<Pass> {
        // Joins and publications of earlier callbacks come first.
        if self.publications.is_empty() || !self.effects.is_empty() {
            return None;
        }
        let parcels: Vec<Parcel> = std::mem::take(&mut self.publications).into();
        let mut by_group: HashMap<GroupId, Vec<u32>> = HashMap::new();
        for (index, parcel) in parcels.iter().enumerate() {
            let name = parcel.publication().group();
            if let Some(group) = self.table.group(name) {
                by_group.entry(group).or_default().push(index as u32);
            } else if let Some(branch) = &self.branch {
                // All its members have left, or one was expected whose callback failed.
                branch.vanished(name);
            }
        }
        let mut groups = by_group.keys();
        let members = match (groups.next(), groups.next()) {
            (Some(only), None) => self.table.members(*only).to_vec(),
            _ => {
                let members = by_group.keys().flat_map(|group| self.table.members(*group));
                members.copied().collect::<HashSet<_>>().into_iter().collect()
            }
        };
        let counts = vec![(0, 0); parcels.len()];
        let mut pass = Pass { parcels, counts, by_group, members, done: 0, due: Vec::new() };
        if self.has(Fault::ProductOfPass) {
            pass.due.reserve(pass.members.len() * pass.parcels.len());
        }
        debug_assert!(pass.entries() <= 4 * pass.size() + 64, "a pass holds no product");
        Some(pass)
    }

    /// Gives a member its publications.
    fn deliver(&mut self, member: Member, pass: &mut Pass) {
        let Pass { parcels, counts, by_group, due, .. } = pass;
        due.clear();
        // Whichever is shorter: the groups of the pass, or those of the member.
        let groups = self.table.groups_of(member);
        if groups.len() <= by_group.len() {
            let lists = groups.iter().filter_map(|group| by_group.get(group));
            lists.for_each(|list| due.extend(list));
        } else {
            let lists = by_group.iter().filter(|(group, _)| self.table.is_member(member, **group));
            lists.for_each(|(_, list)| due.extend(list));
        }
        if by_group.len() > 1 {
            due.sort_unstable();
        }
        if due.is_empty() {
            return;
        }
        let key = Key { slot: member.slot, generation: member.generation };
        self.enter(key, |conn, turn| {
            for index in due.iter().map(|index| *index as usize) {
                match conn.deliver(parcels[index].publication(), turn) {
                    Delivered::Queued => counts[index].0 += 1,
                    Delivered::Full => counts[index].1 += 1,
                    Delivered::NotOpen => {}
                }
            }
        });
    }
}
