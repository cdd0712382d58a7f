//! Chance from a seed: the same seed throws the same dice, on every machine and in every version.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use entente::model::Uuids;
use uuid::Uuid;

/// SplitMix64.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(mixed(seed ^ 0x5eed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// 0 to `end`, without `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + (self.next() % (to - from + 1) as u64) as i64
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// One of these, by weight.
    pub(crate) fn weighted<T: Copy>(&mut self, from: &[(u64, T)]) -> T {
        let mut left = self.next() % from.iter().map(|(weight, _)| weight).sum::<u64>().max(1);
        for (weight, item) in from {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *item,
            }
        }
        from[0].1
    }
}

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// UUIDs that come in no order, as random ones do.
pub(crate) fn uuids(seed: u64) -> Uuids {
    let count = Arc::new(AtomicU64::new(0));
    Uuids::new(move || {
        let at = count.fetch_add(1, Ordering::Relaxed);
        let half = |salt: u64| u128::from(mixed(mixed(mixed(seed) ^ salt).wrapping_add(at)));
        uuid::Builder::from_random_bytes((half(1) << 64 | half(2)).to_be_bytes()).into_uuid()
    })
}

/// A UUID of a seed and a number.
pub(crate) fn uuid(seed: u64, number: u64) -> Uuid {
    uuid::Builder::from_random_bytes((u128::from(mixed(seed ^ 77)) << 64 | u128::from(mixed(number ^ 99))).to_be_bytes()).into_uuid()
}
