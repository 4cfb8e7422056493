//! numpy's legacy generator, `numpy.random.RandomState`, as far as a permutation needs it.
//!
//! numpy keeps its stream frozen (NEP 19), so a seed names one order for good. pandas' `sample(frac=1)` after
//! `numpy.random.seed(seed)` draws the same one.

/// State of the Mersenne Twister, and how far its second half is behind (Matsumoto and Nishimura, 1998).
const WORDS: usize = 624;
const SHIFT: usize = 397;

pub(super) struct RandomState {
    words: [u32; WORDS],
    /// Words that were handed out since the state was last renewed.
    used: usize,
}

impl RandomState {
    /// A whole number as a seed fills the state by the generator's own recurrence (`init_genrand`, factor from Knuth);
    /// `init_by_array`, which Python's `random` uses, is for arrays.
    pub(super) fn new(seed: u32) -> Self {
        let mut words = [seed; WORDS];
        for at in 1..WORDS {
            let before = words[at - 1];
            words[at] = 1_812_433_253_u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(at as u32);
        }
        Self { words, used: WORDS }
    }

    /// `permutation(n)`: the numbers below `n`, shuffled from the last place down.
    pub(super) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.up_to(last));
        }
        order
    }

    /// A number from 0 to `max`: words cut to as many bits as `max` has, until one is not above it. numpy draws two
    /// words a number beyond 2³², which no list of articles reaches.
    fn up_to(&mut self, max: usize) -> usize {
        let mask = u32::MAX >> (max as u32).leading_zeros();
        loop {
            let drawn = (self.next() & mask) as usize;
            if drawn <= max {
                return drawn;
            }
        }
    }

    fn next(&mut self) -> u32 {
        if self.used == WORDS {
            self.renew();
            self.used = 0;
        }
        let mut word = self.words[self.used];
        self.used += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn renew(&mut self) {
        for at in 0..WORDS {
            let joined = (self.words[at] & 0x8000_0000) | (self.words[(at + 1) % WORDS] & 0x7fff_ffff);
            let twist = if joined % 2 == 1 { 0x9908_b0df } else { 0 };
            self.words[at] = self.words[(at + SHIFT) % WORDS] ^ (joined >> 1) ^ twist;
        }
    }
}
