//! What a seed says of a run's faults.
use std::time::Duration;

use synod_world::Dice;

use super::Fault;
use crate::cluster::DiskSpeed;
use crate::net::Quality;

/// What a seed says of a run's faults.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which kinds.
    pub kinds: Vec<Fault>,
    /// Pauses between two of them.
    pub every: (Duration, Duration),
    /// How long one lasts.
    pub lasts: (Duration, Duration),
    /// The network without faults.
    pub quality: Quality,
    /// Disks without faults.
    pub disk: DiskSpeed,
}

impl Plan {
    /// Draws a plan for a run that lasts `duration`. Every kind is in about half of the runs.
    pub fn draw(dice: &mut Dice, all: &[Fault], duration: Duration) -> Self {
        let mut kinds: Vec<Fault> = all.iter().copied().filter(|_| dice.happens(500)).collect();
        if kinds.is_empty() {
            kinds.extend(all.first());
        }
        // The first pace is what remains if none has time for each kind.
        let paces = [(100, 800), (300, 2_000), (1_000, 4_000)];
        let taken_ms = |(least, most): &(u64, u64)| (least + most) / 2 * kinds.len() as u64;
        let fit = paces.iter().filter(|pace| taken_ms(pace) <= duration.as_millis() as u64 * 3 / 4).count();
        let pace = dice.pick(&paces[..fit.max(1)]).to_owned();
        let lasts = dice.pick(&[(20, 300), (200, 2_000), (500, 6_000)]).to_owned();
        let delay = dice.pick(&[(50, 300), (100, 2_000), (200, 5_000)]).to_owned();
        let disk = dice.pick(&[(50, 500), (200, 3_000), (500, 10_000)]).to_owned();
        let ms = |(least, most)| (Duration::from_millis(least), Duration::from_millis(most));
        let us = |(least, most)| (Duration::from_micros(least), Duration::from_micros(most));
        let quality = Quality { delay: us(delay), lost_per_mille: 0, repeated_per_mille: 0 };
        Self { kinds, every: ms(pace), lasts: ms(lasts), quality, disk: us(disk) }
    }
}
