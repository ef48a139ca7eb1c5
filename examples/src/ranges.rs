//! A set of numbers, stored as ranges: its size depends on the number of ranges, not on the number of
//! elements.

use std::collections::BTreeMap;

/// Disjoint ranges, none of which is adjacent to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The last number of each range, by its first number.
    ends: BTreeMap<u128, u128>,
}

impl Ranges {
    /// The range that contains a number.
    fn around(&self, number: u128) -> Option<(u128, u128)> {
        let (first, last) = self.ends.range(..=number).next_back()?;
        (*last >= number).then_some((*first, *last))
    }

    /// Whether a number is in the set.
    #[must_use]
    pub fn contains(&self, number: u128) -> bool {
        self.around(number).is_some()
    }

    /// Adds the numbers from `first` to `last`; none if `last` is smaller.
    pub fn insert(&mut self, mut first: u128, mut last: u128) {
        if first > last {
            return;
        }
        // Merge with every range that overlaps or is adjacent.
        while let Some((other_first, other_last)) =
            self.ends.range(..=last.saturating_add(1)).next_back()
        {
            let (other_first, other_last) = (*other_first, *other_last);
            if other_last < first.saturating_sub(1) {
                break;
            }
            first = first.min(other_first);
            last = last.max(other_last);
            self.ends.remove(&other_first);
        }
        self.ends.insert(first, last);
    }

    /// Removes a number.
    pub fn remove(&mut self, number: u128) {
        let Some((first, last)) = self.around(number) else {
            return;
        };
        self.ends.remove(&first);
        if first < number {
            self.ends.insert(first, number - 1);
        }
        if number < last {
            self.ends.insert(number + 1, last);
        }
    }

    /// The first number from `start` on that is less than `end` and not in the set.
    #[must_use]
    pub fn first_free(&self, start: u128, end: u128) -> Option<u128> {
        // Ranges are not adjacent, so the number after a range is free.
        let free = match self.around(start) {
            Some((_, last)) => last.checked_add(1)?,
            None => start,
        };
        (free < end).then_some(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A small random generator, so that failures can be reproduced.
    fn next(state: &mut u64) -> u128 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        u128::from(*state >> 33)
    }

    #[test]
    fn ranges_are_a_set_of_numbers() {
        let mut state = 7;
        for _ in 0..200 {
            let (mut ranges, mut numbers) = (Ranges::default(), BTreeSet::new());
            for _ in 0..40 {
                let first = next(&mut state) % 64;
                if next(&mut state).is_multiple_of(3) {
                    ranges.remove(first);
                    numbers.remove(&first);
                } else {
                    let last = first + next(&mut state) % 8;
                    ranges.insert(first, last);
                    numbers.extend(first..=last);
                }
                let found: Vec<u128> = (0..80).filter(|number| ranges.contains(*number)).collect();
                assert_eq!(found, numbers.iter().copied().collect::<Vec<_>>());
                for start in 0..72 {
                    let expected = (start..72).find(|number| !numbers.contains(number));
                    assert_eq!(
                        ranges.first_free(start, 72),
                        expected,
                        "{ranges:?} from {start}"
                    );
                }
                let apart = ranges.ends.iter().zip(ranges.ends.keys().skip(1));
                for ((_, last), first) in apart {
                    assert!(last + 1 < *first, "{ranges:?}");
                }
            }
        }
    }

    #[test]
    fn all_numbers_are_one_range() {
        let mut ranges = Ranges::default();
        ranges.insert(3, 5);
        ranges.insert(u128::MAX, u128::MAX);
        ranges.insert(9, 8);
        ranges.insert(0, u128::MAX);
        assert_eq!(ranges.ends.len(), 1);
        assert_eq!(ranges.first_free(0, u128::MAX), None);
        ranges.remove(u128::MAX);
        ranges.remove(0);
        assert_eq!(ranges.first_free(1, u128::MAX), None);
        assert_eq!(ranges.first_free(0, u128::MAX), Some(0));
    }
}
