//! Floor 3: the members of groups on one worker.
//!
//! Names lead to members and members to names, without I/O and without locks: each worker knows
//! its own members only. A publication is offered to every member in turn; what became of it is
//! counted and reported once (see [`crate::asgi::groups`]).

use std::collections::HashMap;

/// One member: the slot of its connection.
pub type Member = u32;

/// The groups of one worker.
#[derive(Debug, Default)]
pub struct Table {
    /// Names to groups; a group without members is removed.
    names: HashMap<Box<str>, u32>,
    groups: Vec<Group>,
    /// Indexes of `groups` that are free.
    free: Vec<u32>,
    /// The groups of each member that is in any.
    memberships: HashMap<Member, Vec<Membership>>,
}

#[derive(Debug, Default)]
struct Group {
    name: Box<str>,
    members: Vec<Member>,
}

/// That a member is in a group, and where it stands there.
#[derive(Debug, Clone, Copy)]
struct Membership {
    group: u32,
    place: u32,
}

impl Table {
    /// A member joins a group; joining twice is joining once.
    pub fn join(&mut self, member: Member, name: &str) {
        let group = self.group(name);
        let memberships = self.memberships.entry(member).or_default();
        if memberships.iter().any(|m| m.group == group) {
            return;
        }
        let members = &mut self.groups[group as usize].members;
        memberships.push(Membership { group, place: members.len() as u32 });
        members.push(member);
    }

    /// A member leaves a group; leaving a group it is not in does nothing.
    pub fn leave(&mut self, member: Member, name: &str) {
        let Some(&group) = self.names.get(name) else { return };
        let Some(memberships) = self.memberships.get_mut(&member) else { return };
        let Some(at) = memberships.iter().position(|m| m.group == group) else { return };
        let membership = memberships.swap_remove(at);
        if memberships.is_empty() {
            self.memberships.remove(&member);
        }
        self.remove(membership);
    }

    /// A member's connection ended: it leaves all its groups.
    pub fn leave_all(&mut self, member: Member) {
        for membership in self.memberships.remove(&member).unwrap_or_default() {
            self.remove(membership);
        }
    }

    /// The members of a group, in no order.
    pub fn members(&self, name: &str) -> &[Member] {
        match self.names.get(name) {
            Some(&group) => &self.groups[group as usize].members,
            None => &[],
        }
    }

    /// The number of groups that have members.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Has no group a member?
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The index of the group with this name, made if need be.
    fn group(&mut self, name: &str) -> u32 {
        if let Some(&group) = self.names.get(name) {
            return group;
        }
        let fresh = Group { name: name.into(), members: Vec::new() };
        let group = match self.free.pop() {
            Some(group) => {
                self.groups[group as usize] = fresh;
                group
            }
            None => {
                self.groups.push(fresh);
                self.groups.len() as u32 - 1
            }
        };
        self.names.insert(name.into(), group);
        group
    }

    /// Takes a member out of its place; the last member moves there.
    fn remove(&mut self, Membership { group, place }: Membership) {
        let members = &mut self.groups[group as usize].members;
        members.swap_remove(place as usize);
        if let Some(&moved) = members.get(place as usize) {
            let memberships =
                self.memberships.get_mut(&moved).expect("a member of a group has a membership");
            for membership in memberships.iter_mut().filter(|m| m.group == group) {
                membership.place = place;
            }
        } else if members.is_empty() {
            let emptied = std::mem::take(&mut self.groups[group as usize]);
            self.names.remove(&emptied.name);
            self.free.push(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(table: &Table, name: &str) -> Vec<Member> {
        let mut members = table.members(name).to_vec();
        members.sort_unstable();
        members
    }

    #[test]
    fn members_join_once_and_leave_one_or_all() {
        let mut table = Table::default();
        for member in [1, 2, 3] {
            table.join(member, "a");
            table.join(member, "a");
        }
        table.join(2, "b");
        assert_eq!(members(&table, "a"), [1, 2, 3]);
        table.leave(1, "a");
        table.leave(1, "a");
        table.leave(9, "a");
        table.leave(1, "nowhere");
        assert_eq!(members(&table, "a"), [2, 3]);
        table.leave_all(2);
        assert_eq!(members(&table, "a"), [3]);
        assert_eq!(members(&table, "b"), []);
        assert_eq!(table.len(), 1, "empty groups go");
        table.leave_all(3);
        assert!(table.is_empty() && table.memberships.is_empty());
    }

    #[test]
    fn the_table_agrees_with_a_plain_twin() {
        use std::collections::BTreeSet;
        let mut table = Table::default();
        let mut twin: BTreeSet<(u32, Member)> = BTreeSet::new();
        let mut random = 12345u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (what, group, member) =
                (random >> 60, (random >> 40) as u32 % 7, (random >> 20) as u32 % 13);
            let name = group.to_string();
            match what {
                0..=8 => {
                    table.join(member, &name);
                    twin.insert((group, member));
                }
                9..=14 => {
                    table.leave(member, &name);
                    twin.remove(&(group, member));
                }
                _ => {
                    table.leave_all(member);
                    twin.retain(|(_, m)| *m != member);
                }
            }
            let expected: Vec<_> =
                twin.iter().filter(|(g, _)| *g == group).map(|(_, m)| *m).collect();
            assert_eq!(members(&table, &name), expected);
        }
    }
}
