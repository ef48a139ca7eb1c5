//! Placeholders: uuids by which wanted rows refer to each other before they are looked up or inserted.

use crate::simulated::new_uuid;
use crate::value::Uuid;

/// Spreads the numbers of placeholders over 32 bits, since ovsdb-server hashes rows by the first 32
/// bits of their uuids. It is odd, so that multiplying by it can be inverted.
const SPREAD: u32 = 0x9e37_79b1;

/// The inverse of [`SPREAD`] modulo 2^32. Each step of the computation doubles the number of correct
/// bits.
const GATHER: u32 = {
    let mut inverse: u32 = 1;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(SPREAD.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
};

/// A list of placeholders. Their uuids differ from each other and from any other uuid, and give the
/// position of the placeholder in the list, its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placeholders {
    first: Uuid,
    count: u32,
}

impl Placeholders {
    pub(super) fn new() -> Self {
        Self {
            first: new_uuid(),
            count: 0,
        }
    }

    /// Adds a placeholder, and returns its number.
    pub(super) const fn add(&mut self) -> u32 {
        self.count += 1;
        self.count - 1
    }

    pub(super) const fn len(self) -> usize {
        self.count as usize
    }

    pub(super) const fn uuid(self, number: u32) -> Uuid {
        let spread = (number.wrapping_mul(SPREAD) as u128) << 96;
        Uuid::from_u128(self.first.as_u128() ^ spread)
    }

    /// The number of the placeholder with this uuid; `None` if it is none of these.
    pub(super) fn number(self, uuid: Uuid) -> Option<usize> {
        let bits = uuid.as_u128() ^ self.first.as_u128();
        let spread = u32::try_from(bits >> 96).ok().filter(|_| bits << 32 == 0)?;
        let number = spread.wrapping_mul(GATHER);
        (number < self.count).then_some(number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_distinguished_from_other_uuids() {
        let mut some = Placeholders::new();
        for number in 0..1000 {
            assert_eq!(some.number(some.uuid(number)), None, "not yet");
            assert_eq!(some.add(), number);
            assert_eq!(some.number(some.uuid(number)), Some(number as usize));
        }
        assert_eq!(some.len(), 1000);
        assert_eq!(some.number(Uuid::new_v4()), None);
        assert_eq!(some.number(Uuid::nil()), None);
        assert_eq!(Placeholders::new().number(some.uuid(3)), None);
    }
}
