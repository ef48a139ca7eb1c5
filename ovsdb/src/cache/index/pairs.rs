//! The rows of a schema's index, as pairs of hashes.
//!
//! A look-up waits for memory, so an entry is as small as it can be: a hash of the key, and the
//! hash under which the row is found. Many of them stand in one allocation, which holds no
//! reference that a copy would count. The row says itself whether it has the key.

use ecow::EcoVec;

/// Bits of the hash that one level consumes, the highest first.
const BITS: u32 = 4;
/// How many nodes a branch has.
const WIDTH: u32 = 1 << BITS;
/// At this depth the hash is used up.
const DEEPEST: u32 = u32::BITS / BITS;
/// How many pairs stand together before they are split up.
const LARGEST: usize = 32;

/// The hash of a key, and that of the uuid of a row which has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cache) struct Pair {
    pub(in crate::cache) key: u32,
    pub(in crate::cache) row: u32,
}

/// A collection of pairs that clones share as far as neither is changed. One may be in it several
/// times: once for every row that it stands for.
#[derive(Debug, Clone)]
pub(in crate::cache) enum Pairs {
    /// So few that one after the other is looked at.
    Bucket(EcoVec<Pair>),
    /// One for each value of the next bits.
    Branch(EcoVec<Self>),
}

impl Default for Pairs {
    fn default() -> Self {
        Self::Bucket(EcoVec::new())
    }
}

const fn digit(hash: u32, depth: u32) -> usize {
    (hash << (depth * BITS) >> (u32::BITS - BITS)) as usize
}

impl Pairs {
    /// The collection of these, built at once.
    pub(in crate::cache) fn build(pairs: impl Iterator<Item = Pair>) -> Self {
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        Self::of(&pairs, 0)
    }

    /// What holds these pairs, which are sorted, at this depth.
    fn of(pairs: &[Pair], depth: u32) -> Self {
        if pairs.len() <= LARGEST || depth == DEEPEST {
            return Self::Bucket(pairs.into());
        }
        let mut rest = pairs;
        let nodes = (0..WIDTH as usize).map(|value| {
            let end = rest.partition_point(|pair| digit(pair.key, depth) <= value);
            let own;
            (own, rest) = rest.split_at(end);
            Self::of(own, depth + 1)
        });
        Self::Branch(nodes.collect())
    }

    /// What `find` makes of the first row with this hash of a key that it makes something of.
    pub(in crate::cache) fn find_map<R>(
        &self,
        key: u32,
        mut find: impl FnMut(u32) -> Option<R>,
    ) -> Option<R> {
        let (mut node, mut depth) = (self, 0);
        loop {
            match node {
                Self::Bucket(pairs) => {
                    let mut found = pairs.iter().filter(|pair| pair.key == key);
                    return found.find_map(|pair| find(pair.row));
                }
                Self::Branch(nodes) => node = &nodes[digit(key, depth)],
            }
            depth += 1;
        }
    }

    /// Adds a pair.
    pub(in crate::cache) fn insert(&mut self, pair: Pair) {
        let (mut node, mut depth) = (self, 0);
        while let Self::Branch(nodes) = node {
            node = &mut nodes.make_mut()[digit(pair.key, depth)];
            depth += 1;
        }
        if let Self::Bucket(pairs) = node {
            pairs.push(pair);
            if pairs.len() > LARGEST && depth < DEEPEST {
                pairs.make_mut().sort_unstable();
                let split = Self::of(pairs, depth);
                *node = split;
            }
        }
    }

    /// Takes a pair out, once; false if it is not there.
    pub(in crate::cache) fn remove(&mut self, pair: Pair) -> bool {
        self.remove_below(pair, 0)
    }

    fn remove_below(&mut self, pair: Pair, depth: u32) -> bool {
        match self {
            Self::Bucket(pairs) => match pairs.iter().position(|other| *other == pair) {
                Some(at) => {
                    pairs.remove(at);
                    true
                }
                None => false,
            },
            Self::Branch(nodes) => {
                let removed =
                    nodes.make_mut()[digit(pair.key, depth)].remove_below(pair, depth + 1);
                if removed && nodes.iter().all(Self::is_empty) {
                    *self = Self::default();
                }
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Bucket(pairs) if pairs.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// How many rows each pair stands for.
    type Model = BTreeMap<Pair, usize>;

    fn found(pairs: &Pairs, key: u32) -> Vec<u32> {
        let mut rows = Vec::new();
        let nothing: Option<()> = pairs.find_map(key, |row| {
            rows.push(row);
            None
        });
        assert_eq!(nothing, None);
        rows.sort_unstable();
        rows
    }

    fn expected(model: &Model, key: u32) -> Vec<u32> {
        let range = Pair { key, row: 0 }..=Pair { key, row: u32::MAX };
        let each = model
            .range(range)
            .map(|(pair, count)| vec![pair.row; *count]);
        each.flatten().collect()
    }

    /// Keys that share their first digits, all of them, or none.
    fn pair(random: &mut fastrand::Rng) -> Pair {
        let key = match random.u32(0..3) {
            0 => 0xabcd_ef01,
            1 => 0xabcd_0000 | random.u32(0..64),
            _ => random.u32(0..200).wrapping_mul(0x9e37_79b9),
        };
        Pair {
            key,
            row: random.u32(0..20),
        }
    }

    #[test]
    fn the_pairs_are_the_map_they_stand_for_and_snapshots_do_not_change() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut pairs, mut model) = (Pairs::default(), Model::new());
        let mut snapshots = Vec::new();
        for step in 0..20_000 {
            // Phases of growing and of shrinking, down to nothing.
            let growing = step / 2500 % 2 == 0;
            let pair = match model.keys().nth(random.usize(0..=model.len())) {
                Some(known) if random.u32(0..4) > 0 => *known,
                _ => pair(&mut random),
            };
            if growing {
                pairs.insert(pair);
                *model.entry(pair).or_default() += 1;
            } else {
                let known = model.get_mut(&pair);
                assert_eq!(pairs.remove(pair), known.is_some());
                if let Some(count) = known {
                    *count -= 1;
                }
                model.retain(|_, count| *count > 0);
            }
            if step % 1000 == 0 {
                snapshots.push((pairs.clone(), model.clone()));
            }
        }
        snapshots.push((pairs, model));
        for (pairs, model) in snapshots {
            let each = model.iter().flat_map(|(pair, count)| vec![*pair; *count]);
            let built = Pairs::build(each);
            for Pair { key, .. } in model.keys().copied().chain([Pair { key: 5, row: 5 }]) {
                assert_eq!(found(&pairs, key), expected(&model, key));
                assert_eq!(found(&built, key), expected(&model, key));
            }
        }
    }

    #[test]
    fn what_was_emptied_is_small_again() {
        let mut all = (0..1000).map(|key: u32| Pair {
            key: key << 20,
            row: key,
        });
        let mut pairs = Pairs::build(all.clone());
        assert!(matches!(pairs, Pairs::Branch(_)));
        assert!(all.all(|pair| pairs.remove(pair)));
        assert!(pairs.is_empty());
    }
}
