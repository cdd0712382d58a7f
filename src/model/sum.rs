//! One number for a whole table: two sites whose living records agree have the same.

use std::{
    fmt,
    ops::{AddAssign, SubAssign},
    str::FromStr,
    sync::LazyLock,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, Version};
use crate::error::{Error, Result};

/// What the marks of records are hashed under. Never changed once released.
const CONTEXT: &str = "entente 1 sum of living records";

static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key(CONTEXT, &[]));

/// The sum over the living records of a table, of uid, version and digest of each: 256 bits, wrapping. It does not depend on their order, so it is
/// kept by adding what comes and subtracting what goes. Deleted records, and those whose digest is not known yet, add nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum([u64; 4]);

impl Sum {
    /// What one record adds.
    pub fn of(uid: &str, version: &Version, digest: Digest) -> Sum {
        if digest == Digest::DELETED {
            return Sum::default();
        }
        let mut text: smallvec::SmallVec<[u8; 256]> = smallvec::SmallVec::new();
        text.extend_from_slice(&(uid.len() as u64).to_le_bytes());
        text.extend_from_slice(uid.as_bytes());
        for (actor, counter) in version.iter() {
            text.extend_from_slice(actor.site.0.as_bytes());
            text.extend_from_slice(&actor.incarnation.to_le_bytes());
            text.extend_from_slice(&counter.to_le_bytes());
        }
        text.extend_from_slice(&digest.0);
        Sum::from_bytes(*blake3::keyed_hash(&KEY, &text).as_bytes())
    }

    /// The sum that these bytes stand for, the least significant first.
    pub fn from_bytes(bytes: [u8; 32]) -> Sum {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Sum(words)
    }

    /// As bytes, the least significant first.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *to = word.to_le_bytes();
        }
        bytes
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, more: Sum) {
        let mut carry = false;
        for (word, more) in self.0.iter_mut().zip(more.0) {
            (*word, carry) = word.carrying_add(more, carry);
        }
    }
}

impl SubAssign for Sum {
    fn sub_assign(&mut self, less: Sum) {
        let mut borrow = false;
        for (word, less) in self.0.iter_mut().zip(less.0) {
            (*word, borrow) = word.borrowing_sub(less, borrow);
        }
    }
}

/// 64 hexadecimal digits, as it travels in a hello.
impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Sum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Sum> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        let digit = |at: usize| digits.get(at).and_then(|digit| (*digit as char).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        for (at, byte) in bytes.iter_mut().enumerate() {
            let (Some(high), Some(low)) = (digit(2 * at), digit(2 * at + 1)) else { return Err(no_sum()) };
            *byte = high << 4 | low;
        }
        if digits.len() == 64 { Ok(Sum::from_bytes(bytes)) } else { Err(no_sum()) }
    }
}

fn no_sum() -> Error {
    Error::malformed("a sum has 64 hexadecimal digits")
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Sum, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, SiteId};

    fn version(counter: u64) -> Version {
        Version::of(Actor { site: SiteId(uuid::Uuid::from_u128(7)), incarnation: 1 }, counter)
    }

    #[test]
    fn what_is_added_in_any_order_and_taken_away_again_leaves_nothing() {
        let records: Vec<Sum> = (1..50u8).map(|at| Sum::of(&format!("urn:{at}"), &version(at.into()), Digest([at; 32]))).collect();
        let (mut one, mut two) = (Sum::default(), Sum::default());
        records.iter().for_each(|record| one += *record);
        records.iter().rev().for_each(|record| two += *record);
        assert!(one == two && one != Sum::default());
        assert_eq!((Sum::from_bytes(one.to_bytes()), one.to_string().parse().unwrap()), (one, one));
        for bad in [&one.to_string()[1..], &format!("{one}0"), &"g".repeat(64), &"é".repeat(32), ""] {
            assert!(bad.parse::<Sum>().is_err(), "{bad}");
        }
        records.iter().for_each(|record| one -= *record);
        assert_eq!(one, Sum::default());
    }

    #[test]
    fn a_sum_carries_over_all_of_its_bits() {
        let mut sum = Sum::from_bytes([0xff; 32]);
        let mut one = [0; 32];
        one[0] = 1;
        sum += Sum::from_bytes(one);
        assert_eq!(sum, Sum::default());
        sum -= Sum::from_bytes(one);
        assert_eq!(sum.to_bytes(), [0xff; 32]);
    }

    #[test]
    fn uid_version_and_content_all_count_and_the_deleted_do_not() {
        let one = Sum::of("urn:a", &version(1), Digest([1; 32]));
        for other in [
            Sum::of("urn:b", &version(1), Digest([1; 32])),
            Sum::of("urn:a", &version(2), Digest([1; 32])),
            Sum::of("urn:a", &version(1), Digest([2; 32])),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(Sum::of("urn:a", &version(1), Digest::DELETED), Sum::default());
    }

    #[test]
    fn a_sum_is_the_same_in_every_version_of_entente() {
        let sum = Sum::of("urn:a", &version(1), Digest([1; 32]));
        assert_eq!(sum.to_string(), "7e22bee6e5533b3202a4621f8a2349ab1c45b4958f8e7e317904160fbb5680b8");
    }
}
