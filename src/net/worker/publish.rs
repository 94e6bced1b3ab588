//! Publications: what was published in a round goes to the members on this worker.

use super::Worker;
use crate::asgi::App;
use crate::asgi::groups::Parcel;
use crate::conn::Delivered;
use crate::net::world::World;

impl<W: World, A: App> Worker<W, A> {
    /// Gives the publications of this round to the members of their groups: for each member all
    /// of them in order, then one write.
    pub(super) fn publish(&mut self) {
        if self.publications.is_empty() {
            return;
        }
        let parcels = std::mem::take(&mut self.publications);
        let first = parcels[0].publication().group();
        let mut counts = vec![(0usize, 0usize); parcels.len()];
        if parcels.iter().all(|parcel| parcel.publication().group() == first) {
            // A copy: a member whose connection turns out to be gone leaves the group.
            for member in self.table.members(first).to_vec() {
                self.deliver(member, 0..parcels.len(), &parcels, &mut counts);
            }
        } else {
            // (member, publication): sorted by member, the order of publications kept.
            let mut due: Vec<(u32, usize)> = Vec::new();
            for (index, parcel) in parcels.iter().enumerate() {
                let members = self.table.members(parcel.publication().group());
                due.extend(members.iter().map(|&member| (member, index)));
            }
            due.sort_by_key(|(member, _)| *member);
            for of_member in due.chunk_by(|a, b| a.0 == b.0) {
                let indexes = of_member.iter().map(|(_, index)| *index);
                self.deliver(of_member[0].0, indexes, &parcels, &mut counts);
            }
        }
        for (parcel, (queued, skipped)) in parcels.iter().zip(counts) {
            parcel.publication().count(queued, skipped);
        }
    }

    fn deliver(
        &mut self,
        member: u32,
        indexes: impl Iterator<Item = usize>,
        parcels: &[Parcel],
        counts: &mut [(usize, usize)],
    ) {
        let Some(key) = self.connections.at(member) else { return };
        self.enter(key, |conn, turn| {
            for index in indexes {
                match conn.deliver(parcels[index].publication(), turn) {
                    Delivered::Queued => counts[index].0 += 1,
                    Delivered::Full => counts[index].1 += 1,
                    Delivered::NotOpen => {}
                }
            }
        });
    }
}
