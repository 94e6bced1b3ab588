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
        // (member, publication): sorted by member, the order of publications kept.
        let mut due: Vec<(u32, u32)> = Vec::new();
        for (index, parcel) in parcels.iter().enumerate() {
            let members = self.table.members(parcel.publication().group());
            due.extend(members.iter().map(|&member| (member, index as u32)));
        }
        let one_group =
            parcels.iter().all(|p| p.publication().group() == parcels[0].publication().group());
        if parcels.len() > 1 {
            if one_group {
                // The members are the same for each: no need to sort.
                due.truncate(due.len() / parcels.len());
            } else {
                due.sort_by_key(|(member, _)| *member);
            }
        }
        let mut counts = vec![(0usize, 0usize); parcels.len()];
        let all: Vec<u32> = (0..parcels.len() as u32).collect();
        let mut at = 0;
        while at < due.len() {
            let member = due[at].0;
            let end = at + due[at..].iter().take_while(|(m, _)| *m == member).count();
            if one_group {
                self.deliver(member, all.iter().copied(), &parcels, &mut counts);
            } else {
                let indexes: Vec<u32> = due[at..end].iter().map(|(_, index)| *index).collect();
                self.deliver(member, indexes.into_iter(), &parcels, &mut counts);
            }
            at = end;
        }
        for (parcel, (queued, skipped)) in parcels.iter().zip(counts) {
            parcel.publication().count(queued, skipped);
        }
    }

    pub(super) fn deliver(
        &mut self,
        member: u32,
        indexes: impl Iterator<Item = u32>,
        parcels: &[Parcel],
        counts: &mut [(usize, usize)],
    ) {
        let Some(key) = self.connections.at(member) else { return };
        let high_water = self.tools.config.high_water;
        self.enter(key, |conn, _| {
            for index in indexes {
                let index = index as usize;
                match conn.deliver(parcels[index].publication(), high_water) {
                    Delivered::Queued => counts[index].0 += 1,
                    Delivered::Full => counts[index].1 += 1,
                    Delivered::NotOpen => {}
                }
            }
        });
    }
}
