//! Which of the commands that wait go into an entry that cannot take them all.
//!
//! Every space that waits gets the same part of the entry first; what is left over goes to whoever
//! came first. So a space's command waits behind an entry's worth of another's, not behind all that
//! the other has queued. A command that is larger than the part goes when it is the oldest.
//! Commands of one space are not overtaken by one another, nor are those of one session.
use std::collections::{HashMap, HashSet};

use synod_abi::{SessionId, SpaceId};

use crate::propose::packing::{Demand, Load, Room};

/// For each command whether it goes into the entry, and what the entry takes. `demands` are in the
/// order of the queue.
pub(super) fn share(demands: &[Demand], room: Room) -> (Vec<bool>, Load) {
    let spaces: HashSet<SpaceId> = demands.iter().map(|demand| demand.space).collect();
    let mut taken = vec![false; demands.len()];
    let mut load = Load::default();
    let part = room.part(spaces.len());
    if let Some(first) = demands.first()
        && !load.leaves_room(first, part)
        && load.fits(first, room)
    {
        taken[0] = true;
        load.add(first);
    }
    if spaces.len() > 1 {
        take(demands, room, Some(part), &mut taken, &mut load);
    }
    take(demands, room, None, &mut taken, &mut load);
    (taken, load)
}

/// Takes commands in their order, until one of its space or of its session was left. With a `part`,
/// a space gets no more than that.
fn take(demands: &[Demand], room: Room, part: Option<Room>, taken: &mut [bool], load: &mut Load) {
    let mut loads: HashMap<SpaceId, Load> = HashMap::new();
    let mut left_spaces: HashSet<SpaceId> = HashSet::new();
    let mut left_sessions: HashSet<SessionId> = HashSet::new();
    for (demand, taken) in demands.iter().zip(taken).filter(|(_, taken)| !**taken) {
        let of_space = loads.entry(demand.space).or_default();
        let goes = !left_spaces.contains(&demand.space)
            && !demand.session.is_some_and(|session| left_sessions.contains(&session))
            && part.is_none_or(|part| of_space.leaves_room(demand, part))
            && load.fits(demand, room);
        if goes {
            of_space.add(demand);
            load.add(demand);
            *taken = true;
        } else {
            left_spaces.insert(demand.space);
            left_sessions.extend(demand.session);
        }
    }
}

#[cfg(test)]
mod tests;
