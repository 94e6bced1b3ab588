//! Floor 3: the members of groups on one worker.
//!
//! Names lead to members and members to names, without I/O and without locks: each worker knows
//! its own members only. A publication is offered to every member in turn; what became of it is
//! counted and reported once (see [`crate::asgi::groups`]).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// One member: the slot of its connection, and the slot's generation, so that the next connection
/// in the slot is another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// Index in the worker's table of connections.
    pub slot: u32,
    /// Counts the connections that had this slot.
    pub generation: u32,
}

/// A group as long as it has members. A name that is used again is another group.
pub type GroupId = u64;

/// The groups of one worker.
///
/// ```text
///   names:  "news" ──> 7          groups: 7 ──> members [ A, B ]
///   lists:  A ──> [ 7, 9 ]        places: (A, 7) ──> 0 among the members, 0 in A's list
/// ```
///
/// Joining, leaving and asking for a membership take constant time, however many groups two
/// members share.
#[derive(Debug, Default)]
pub struct Table {
    names: HashMap<Arc<str>, GroupId>,
    groups: HashMap<GroupId, Group>,
    /// The groups of each member that is in any.
    lists: HashMap<Member, Vec<GroupId>>,
    places: HashMap<(Member, GroupId), Place>,
    /// Members whose connections have ended, with the groups that they still have to leave.
    departures: VecDeque<(Member, Vec<GroupId>)>,
    last_id: GroupId,
}

#[derive(Debug)]
struct Group {
    name: Arc<str>,
    members: Vec<Member>,
}

/// Where a membership stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Among the members of the group.
    in_group: u32,
    /// In the list of the member.
    in_list: u32,
}

impl Table {
    /// A member joins a group; joining twice is joining once. Returns the name if the group has
    /// its first member now.
    pub fn join(&mut self, member: Member, name: &str) -> Option<Arc<str>> {
        let (id, first) = match self.names.get(name) {
            Some(&id) => (id, None),
            None => {
                let name: Arc<str> = name.into();
                self.last_id += 1;
                self.names.insert(Arc::clone(&name), self.last_id);
                let group = Group { name: Arc::clone(&name), members: Vec::new() };
                self.groups.insert(self.last_id, group);
                (self.last_id, Some(name))
            }
        };
        let std::collections::hash_map::Entry::Vacant(place) = self.places.entry((member, id))
        else {
            return None;
        };
        let group = self.groups.get_mut(&id).expect("a name leads to its group");
        let list = self.lists.entry(member).or_default();
        place.insert(Place { in_group: group.members.len() as u32, in_list: list.len() as u32 });
        group.members.push(member);
        list.push(id);
        first
    }

    /// A member leaves a group; leaving a group it is not in does nothing. Returns the name if the
    /// group has no member left.
    pub fn leave(&mut self, member: Member, name: &str) -> Option<Arc<str>> {
        let id = *self.names.get(name)?;
        // One that has departed has no list, and leaves all its groups anyway.
        let list = self.lists.get_mut(&member)?;
        let place = self.places.remove(&(member, id))?;
        list.swap_remove(place.in_list as usize);
        if let Some(moved) = list.get(place.in_list as usize) {
            let moved = self.places.get_mut(&(member, *moved)).expect("what is listed has a place");
            moved.in_list = place.in_list;
        } else if list.is_empty() {
            self.lists.remove(&member);
        }
        self.vacate(id, place)
    }

    /// A member's connection ended: it is in no group from now on. [`Table::clear_departures`]
    /// does the work.
    pub fn depart(&mut self, member: Member) {
        if let Some(list) = self.lists.remove(&member) {
            self.departures.push_back((member, list));
        }
    }

    /// Takes up to `most` memberships of members that have departed out of the table; tells
    /// `emptied` the names of groups without members, and returns how many were taken out.
    pub fn clear_departures(&mut self, most: usize, mut emptied: impl FnMut(&str)) -> usize {
        for done in 0..most {
            let Some((member, list)) = self.departures.front_mut() else { return done };
            let (member, next) = (*member, list.pop());
            let Some(id) = next else {
                self.departures.pop_front();
                continue;
            };
            if let Some(place) = self.places.remove(&(member, id))
                && let Some(name) = self.vacate(id, place)
            {
                emptied(&name);
            }
        }
        most
    }

    /// Do departures wait to be cleared?
    pub fn has_departures(&self) -> bool {
        !self.departures.is_empty()
    }

    /// The group with this name.
    pub fn group(&self, name: &str) -> Option<GroupId> {
        self.names.get(name).copied()
    }

    /// The members of a group, in no order, also those that have departed.
    pub fn members(&self, group: GroupId) -> &[Member] {
        self.groups.get(&group).map_or(&[], |group| &group.members)
    }

    /// The groups of a member, in no order.
    pub fn groups_of(&self, member: Member) -> &[GroupId] {
        self.lists.get(&member).map_or(&[], Vec::as_slice)
    }

    /// Is it a member of the group, and has not departed?
    pub fn is_member(&self, member: Member, group: GroupId) -> bool {
        self.places.contains_key(&(member, group)) && self.lists.contains_key(&member)
    }

    /// The number of groups that have members.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Has no group a member?
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Takes a member out of its place in a group; the last member moves there.
    fn vacate(&mut self, id: GroupId, place: Place) -> Option<Arc<str>> {
        let group = self.groups.get_mut(&id)?;
        group.members.swap_remove(place.in_group as usize);
        if let Some(moved) = group.members.get(place.in_group as usize) {
            let moved = self.places.get_mut(&(*moved, id)).expect("a member has a place");
            moved.in_group = place.in_group;
        } else if group.members.is_empty() {
            let name = self.groups.remove(&id)?.name;
            self.names.remove(&name);
            return Some(name);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(slot: u32) -> Member {
        Member { slot, generation: 0 }
    }

    fn members(table: &Table, name: &str) -> Vec<u32> {
        let Some(group) = table.group(name) else { return Vec::new() };
        let members = table.members(group).iter();
        let mut slots: Vec<u32> =
            members.filter(|m| table.is_member(**m, group)).map(|m| m.slot).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn members_join_once_and_leave_one_or_all() {
        let mut table = Table::default();
        assert_eq!(table.join(member(1), "a").as_deref(), Some("a"));
        for slot in [1, 2, 3] {
            table.join(member(slot), "a");
            assert_eq!(table.join(member(slot), "a"), None);
        }
        table.join(member(2), "b");
        assert_eq!(members(&table, "a"), [1, 2, 3]);
        assert_eq!(table.leave(member(1), "a"), None);
        table.leave(member(1), "a");
        table.leave(member(9), "a");
        table.leave(member(1), "nowhere");
        assert_eq!(members(&table, "a"), [2, 3]);
        table.depart(member(2));
        assert_eq!(table.leave(member(2), "a"), None, "it leaves later");
        assert_eq!(members(&table, "a"), [3]);
        assert_eq!(members(&table, "b"), [0u32; 0]);
        let mut emptied = Vec::new();
        while table.has_departures() {
            table.clear_departures(1, |name| emptied.push(name.to_string()));
        }
        assert_eq!(emptied, ["b"]);
        assert_eq!(table.len(), 1, "empty groups go");
        assert_eq!(table.leave(member(3), "a").as_deref(), Some("a"));
        assert!(table.is_empty() && table.lists.is_empty() && table.places.is_empty());
    }

    #[test]
    fn the_next_connection_in_a_slot_is_another_member() {
        let mut table = Table::default();
        let next = Member { slot: 1, generation: 1 };
        table.join(member(1), "a");
        table.depart(member(1));
        table.join(next, "a");
        let group = table.group("a").unwrap();
        assert!(!table.is_member(member(1), group) && table.is_member(next, group));
        table.clear_departures(10, |_| panic!("it has a member"));
        assert_eq!(table.members(group), [next]);
    }

    /// Linear in what two members share, this would take minutes.
    #[test]
    fn members_that_share_many_groups_join_and_leave_in_constant_time() {
        const GROUPS: usize = 40_000;
        let mut table = Table::default();
        let names: Vec<String> = (0..GROUPS).map(|n| n.to_string()).collect();
        for name in &names {
            table.join(member(1), name);
            table.join(member(2), name);
        }
        for name in names.iter().take(GROUPS / 2) {
            assert_eq!(table.leave(member(1), name), None);
        }
        table.depart(member(2));
        let (mut slices, mut emptied) = (0, 0);
        while table.has_departures() {
            let done = table.clear_departures(1000, |_| emptied += 1);
            assert!(done <= 1000);
            slices += 1;
        }
        assert_eq!((slices, emptied), (41, GROUPS / 2));
        assert_eq!(table.len(), GROUPS / 2);
    }

    #[test]
    fn the_table_agrees_with_a_plain_twin() {
        use std::collections::BTreeSet;
        let mut table = Table::default();
        let mut twin: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut generations = [0; 13];
        let mut random = 12345u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (what, group, slot) =
                (random >> 60, (random >> 40) as u32 % 7, (random >> 20) as u32 % 13);
            let name = group.to_string();
            let member = Member { slot, generation: generations[slot as usize] };
            match what {
                0..=7 => {
                    let first = table.join(member, &name).is_some();
                    let is_first = !twin.iter().any(|(g, _)| *g == group);
                    assert!(is_first || !first, "others were there");
                    twin.insert((group, slot));
                }
                8..=12 => {
                    table.leave(member, &name);
                    twin.remove(&(group, slot));
                }
                13 => {
                    table.clear_departures(3, |_| {});
                }
                _ => {
                    table.depart(member);
                    twin.retain(|(_, m)| *m != slot);
                    generations[slot as usize] += 1;
                }
            }
            let expected: Vec<_> =
                twin.iter().filter(|(g, _)| *g == group).map(|(_, m)| *m).collect();
            assert_eq!(members(&table, &name), expected);
        }
    }
}
