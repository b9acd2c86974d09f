//! A set of sequence numbers that costs nothing where it is all or nothing.

const WORDS: usize = 1024;
const CHUNK: u64 = 64 * WORDS as u64;

/// Numbers at or above this are refused: 2^32 messages are 12 hours at 100,000
/// a second, and keep the chunk table below 1.5 MiB.
pub(crate) const LIMIT: u64 = 1 << 32;

/// A growing set of numbers below [`LIMIT`], in chunks of 65,536. A chunk in
/// which every number or none is set takes no memory besides its 24 bytes; a
/// mixed one takes 8 KiB, that is one bit a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits {
    chunks: Vec<Chunk>,
    ones: u64,
}

#[derive(Clone, Debug)]
enum Chunk {
    Empty,
    Full,
    Mixed { words: Box<[u64; WORDS]>, ones: u32 },
}

impl Bits {
    /// Adds `number`; `true` if it was there before. Numbers from [`LIMIT`] on
    /// are ignored and always reported as there.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let Some((chunk, word, bit)) = place(number) else { return true };
        if self.chunks.len() <= chunk {
            self.chunks.resize(chunk + 1, Chunk::Empty);
        }
        let slot = &mut self.chunks[chunk];
        if matches!(slot, Chunk::Empty) {
            *slot = Chunk::Mixed { words: Box::new([0; WORDS]), ones: 0 };
        }
        let Chunk::Mixed { words, ones } = slot else { return true };
        if words[word] & bit != 0 {
            return true;
        }
        words[word] |= bit;
        *ones += 1;
        if u64::from(*ones) == CHUNK {
            *slot = Chunk::Full;
        }
        self.ones += 1;
        false
    }

    /// Whether `number` is in the set.
    pub(crate) fn contains(&self, number: u64) -> bool {
        let Some((chunk, word, bit)) = place(number) else { return false };
        match self.chunks.get(chunk) {
            None | Some(Chunk::Empty) => false,
            Some(Chunk::Full) => true,
            Some(Chunk::Mixed { words, .. }) => words[word] & bit != 0,
        }
    }

    /// How many numbers are in the set.
    pub(crate) fn count(&self) -> u64 {
        self.ones
    }

    /// One more than the largest number that may be in the set.
    pub(crate) fn end(&self) -> u64 {
        self.chunks.len() as u64 * CHUNK
    }

    #[cfg(test)]
    fn mixed_chunks(&self) -> usize {
        self.chunks.iter().filter(|chunk| matches!(chunk, Chunk::Mixed { .. })).count()
    }
}

fn place(number: u64) -> Option<(usize, usize, u64)> {
    if number >= LIMIT {
        return None;
    }
    let chunk = usize::try_from(number / CHUNK).ok()?;
    let word = usize::try_from(number % CHUNK / 64).ok()?;
    Some((chunk, word, 1 << (number % 64)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_chunk_takes_no_memory_and_still_finds_duplicates() {
        let mut bits = Bits::default();
        assert!((0..CHUNK).all(|number| !bits.insert(number)));
        assert_eq!((bits.mixed_chunks(), bits.count()), (0, CHUNK));
        assert!(bits.insert(17) && bits.contains(CHUNK - 1) && !bits.contains(CHUNK));
    }

    #[test]
    fn numbers_beyond_the_limit_are_ignored() {
        let mut bits = Bits::default();
        assert!(bits.insert(LIMIT) && !bits.contains(LIMIT) && bits.count() == 0);
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(numbers in prop::collection::vec(0_u64..200_000, 0..400)) {
            let (mut bits, mut set) = (Bits::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(bits.insert(number), !set.insert(number));
            }
            prop_assert_eq!(bits.count(), set.len() as u64);
            prop_assert!(set.iter().all(|number| bits.contains(*number) && *number < bits.end()));
            prop_assert!(!bits.contains(200_001));
        }
    }
}
