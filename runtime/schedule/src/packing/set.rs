//! Sets of the tests of one shape, as bits by their positions.

use smallvec::{SmallVec, smallvec};

/// A set of positions below a number that is fixed when it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TestSet {
    /// Shapes of up to 128 tests, which is most, need no memory of their own.
    words: SmallVec<[u64; 2]>,
}

const BITS: usize = 64;

impl TestSet {
    /// An empty set with room for positions below `end`.
    pub(crate) fn new(end: usize) -> Self {
        Self {
            words: smallvec![0; end.div_ceil(BITS)],
        }
    }

    pub(crate) fn of(end: usize, members: impl IntoIterator<Item = usize>) -> Self {
        let mut set = Self::new(end);
        for member in members {
            set.insert(member);
        }
        set
    }

    /// Whether it was not in there.
    pub(crate) fn insert(&mut self, member: usize) -> bool {
        let (word, bit) = (member / BITS, 1 << (member % BITS));
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }

    pub(crate) fn remove(&mut self, member: usize) {
        self.words[member / BITS] &= !(1 << (member % BITS));
    }

    pub(crate) fn contains(&self, member: usize) -> bool {
        self.words[member / BITS] & (1 << (member % BITS)) != 0
    }

    /// Its smallest member, which is taken out.
    pub(crate) fn pop_first(&mut self) -> Option<usize> {
        let (number, word) = (self.words.iter_mut().enumerate()).find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros() as usize;
        *word &= *word - 1;
        Some(number * BITS + bit)
    }

    /// Its smallest member that is not below `from`.
    pub(crate) fn next_from(&self, from: usize) -> Option<usize> {
        let mut number = from / BITS;
        let mut word = self.words.get(number)? & (u64::MAX << (from % BITS));
        while word == 0 {
            number += 1;
            word = *self.words.get(number)?;
        }
        Some(number * BITS + word.trailing_zeros() as usize)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    pub(crate) fn clear(&mut self) {
        self.words.fill(0);
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    pub(crate) fn retain(&mut self, other: &Self) {
        for (word, kept) in self.words.iter_mut().zip(&other.words) {
            *word &= kept;
        }
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.extend(other);
        union
    }

    pub(crate) fn is_disjoint(&self, other: &Self) -> bool {
        let mut words = self.words.iter().zip(&other.words);
        words.all(|(one, other)| one & other == 0)
    }

    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        let mut words = self.words.iter().zip(&other.words);
        words.all(|(one, other)| one & !other == 0)
    }

    /// How many members it shares with `other`.
    pub(crate) fn shared(&self, other: &Self) -> usize {
        let words = self.words.iter().zip(&other.words);
        words
            .map(|(one, other)| (one & other).count_ones() as usize)
            .sum()
    }

    /// Its members, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(number, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros() as usize;
                    rest &= rest - 1;
                    number * BITS + bit
                })
            })
        })
    }
}
