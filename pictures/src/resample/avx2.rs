//! The passes with AVX2: products of 16-bit numbers, summed by pairs into 32 bits (`vpmaddwd`).
//!
//! Pillow's weights are wider than 16 bits, so each is split into its low 15 bits and what stands above them, and each
//! part is summed for itself. The parts' sums may overflow; put together they are right modulo 2³², and the sum of the
//! whole products is known to fit, so it is right.

use super::{
    lines::{Lines, ROWS, stride},
    scalar,
    weights::{GROUP, LOW_BITS, Pass},
};
use std::{arch::x86_64::*, ops::Range};

/// Proof that this processor has AVX2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx2(());

/// [`GROUP`] pixels are loaded as 16 bytes, which may reach so far beyond the last pixel that is wanted.
const BEYOND: usize = 16 - 3;
/// Bytes that the pass down takes together.
const BLOCK: usize = 32;

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    pub(super) fn across(self, pass: &Pass, from: Lines<'_>, rows: Range<usize>, into: &mut [u8]) {
        // What lies beyond a row may be read, but not beyond the memory: its last row is left to the plain pass.
        let last = rows.clone().rev().find(|&row| from.start(row) + from.len + BEYOND <= from.bytes.len());
        let safe = rows.start..last.map_or(rows.start, |row| row + 1);
        let stride = stride(pass.taps.len());
        for (first, into) in safe.clone().step_by(ROWS).zip(into.chunks_exact_mut(ROWS * stride)) {
            // Where fewer rows are left the last is computed again, into the room behind.
            let start = |number: usize| from.start((first + number).min(safe.end - 1));
            let lines = std::array::from_fn(|number| &from.bytes[start(number)..][..from.len + BEYOND]);
            // SAFETY: the processor has AVX2, as this value's existence proves.
            unsafe {
                if pass.is_narrow() {
                    across::<false>(pass, from, lines, into);
                } else {
                    across::<true>(pass, from, lines, into);
                }
            }
        }
        scalar::across(pass, from, safe.end..rows.end, &mut into[safe.len() * stride..]);
    }

    pub(super) fn down(self, pass: &Pass, index: usize, from: Lines<'_>, columns: Range<usize>, into: &mut [u8]) {
        if 3 * columns.len() < BLOCK {
            return scalar::down(pass, index, from, columns, into);
        }
        // SAFETY: the processor has AVX2, as this value's existence proves.
        unsafe {
            if pass.is_narrow() {
                down::<false>(pass, index, from, columns, into);
            } else {
                down::<true>(pass, index, from, columns, into);
            }
        }
    }
}

/// Rows go by twos: one in each half of a vector.
#[target_feature(enable = "avx2")]
fn across<const IS_WIDE: bool>(pass: &Pass, from: Lines<'_>, lines: [&[u8]; ROWS], into: &mut [u8]) {
    // From the bytes of 4 pixels to 16-bit numbers: r0 r1 g0 g1 b0 b1 and two zeros, and the same of pixels 2 and 3.
    const Z: i8 = -1;
    let first = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, Z, 3, Z, 1, Z, 4, Z, 2, Z, 5, Z, Z, Z, Z, Z));
    let second = _mm256_broadcastsi128_si256(_mm_setr_epi8(6, Z, 9, Z, 7, Z, 10, Z, 8, Z, 11, Z, Z, Z, Z, Z));
    let rounding = Rounding::of(pass);
    assert!(lines.iter().all(|line| line.len() == from.len + BEYOND), "lines may be read beyond their row");
    let stride = into.len() / ROWS;
    for (output, taps) in pass.taps.iter().enumerate() {
        let (low, high) = (pass.low(taps), pass.high(taps));
        let start = from.offset(taps.first);
        // The last group begins with a wanted pixel, so it ends within what may be read beyond the row.
        assert!(3 * GROUP * low.len() + start <= from.len + 3 * (GROUP - 1), "inputs lie in the row");
        let mut sums = [Sums::zero(); 2];
        for (group, low) in low.iter().enumerate() {
            let at = start + 3 * GROUP * group;
            let high = if IS_WIDE { high[group] } else { [0; 2] };
            for (sums, [upper, lower]) in sums.iter_mut().zip(lines.as_chunks().0) {
                // SAFETY: by the assertions lines are `from.len + BEYOND` long, and `at + 3 <= from.len`.
                let pixels =
                    unsafe { _mm256_loadu2_m128i(lower.as_ptr().add(at).cast(), upper.as_ptr().add(at).cast()) };
                sums.add::<IS_WIDE>(_mm256_shuffle_epi8(pixels, first), low[0], high[0]);
                sums.add::<IS_WIDE>(_mm256_shuffle_epi8(pixels, second), low[1], high[1]);
            }
        }
        // Rows 0 and 2 in one half, 1 and 3 in the other, 4 bytes each.
        let words = _mm256_packs_epi32(rounding.cut::<IS_WIDE>(sums[0]), rounding.cut::<IS_WIDE>(sums[1]));
        let bytes = _mm256_packus_epi16(words, words);
        let (even, odd) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
        let rows = [
            _mm_cvtsi128_si32(even),
            _mm_cvtsi128_si32(odd),
            _mm_extract_epi32::<1>(even),
            _mm_extract_epi32::<1>(odd),
        ];
        for (into, pixel) in into.chunks_exact_mut(stride).zip(rows) {
            // The fourth byte is the place of the next pixel, or lies behind the row's last.
            into[3 * output..][..4].copy_from_slice(&pixel.to_ne_bytes());
        }
    }
}

#[target_feature(enable = "avx2")]
fn down<const IS_WIDE: bool>(pass: &Pass, index: usize, from: Lines<'_>, columns: Range<usize>, into: &mut [u8]) {
    let zero = _mm256_setzero_si256();
    let rounding = Rounding::of(pass);
    let taps = &pass.taps[index];
    let (low, high) = (pass.low(taps).as_flattened(), pass.high(taps).as_flattened());
    let len = 3 * columns.len();
    let into = &mut into[..len];
    // All rows that are taken, from their first wanted column on.
    let start = from.start(taps.inputs().start) + from.offset(columns.start);
    let rows = taps.inputs().len();
    let bytes = &from.bytes[start..];
    assert!(len >= BLOCK && (rows == 0 || (rows - 1) * from.stride + len <= bytes.len()), "inputs lie in the picture");
    for at in (0..len).step_by(BLOCK) {
        // The last block begins earlier where it would end too late.
        let at = at.min(len - BLOCK);
        let mut sums = [Sums::zero(); 4];
        for upper in (0..rows).step_by(2) {
            // The last of an odd number of rows is paired with itself, with a weight of 0.
            let lower = (upper + 1).min(rows - 1);
            let load = |row| {
                // SAFETY: `at + BLOCK <= len`, and by the assertion each row has `len` bytes.
                unsafe { _mm256_loadu_si256(bytes.as_ptr().add(row * from.stride + at).cast()) }
            };
            let (upper_row, lower_row) = (load(upper), load(lower));
            let pairs = [_mm256_unpacklo_epi8(upper_row, lower_row), _mm256_unpackhi_epi8(upper_row, lower_row)];
            let low = low[upper / 2];
            let high = if IS_WIDE { high[upper / 2] } else { 0 };
            sums[0].add::<IS_WIDE>(_mm256_unpacklo_epi8(pairs[0], zero), low, high);
            sums[1].add::<IS_WIDE>(_mm256_unpackhi_epi8(pairs[0], zero), low, high);
            sums[2].add::<IS_WIDE>(_mm256_unpacklo_epi8(pairs[1], zero), low, high);
            sums[3].add::<IS_WIDE>(_mm256_unpackhi_epi8(pairs[1], zero), low, high);
        }
        // Packing takes the halves apart as unpacking did, so the bytes are in order again.
        let words = [
            _mm256_packs_epi32(rounding.cut::<IS_WIDE>(sums[0]), rounding.cut::<IS_WIDE>(sums[1])),
            _mm256_packs_epi32(rounding.cut::<IS_WIDE>(sums[2]), rounding.cut::<IS_WIDE>(sums[3])),
        ];
        let block = _mm256_packus_epi16(words[0], words[1]);
        // SAFETY: `at + BLOCK <= len`, the length of `into`.
        unsafe { _mm256_storeu_si256(into.as_mut_ptr().add(at).cast(), block) };
    }
}

/// Eight sums, of products with the weights' low parts and with their high ones.
#[derive(Clone, Copy)]
struct Sums {
    low: __m256i,
    high: __m256i,
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn zero() -> Self {
        Self { low: _mm256_setzero_si256(), high: _mm256_setzero_si256() }
    }

    /// Adds samples, which lie by pairs, times a pair of weights.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add<const IS_WIDE: bool>(&mut self, samples: __m256i, low: i32, high: i32) {
        self.low = _mm256_add_epi32(self.low, _mm256_madd_epi16(samples, _mm256_set1_epi32(low)));
        if IS_WIDE {
            self.high = _mm256_add_epi32(self.high, _mm256_madd_epi16(samples, _mm256_set1_epi32(high)));
        }
    }
}

/// From sums to samples, which packing then limits to bytes.
#[derive(Clone, Copy)]
struct Rounding {
    half: __m256i,
    precision: __m128i,
}

impl Rounding {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(pass: &Pass) -> Self {
        Self { half: _mm256_set1_epi32(pass.half()), precision: _mm_cvtsi32_si128(pass.precision as i32) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn cut<const IS_WIDE: bool>(self, sums: Sums) -> __m256i {
        let mut sum = _mm256_add_epi32(sums.low, self.half);
        if IS_WIDE {
            sum = _mm256_add_epi32(sum, _mm256_slli_epi32::<{ LOW_BITS as i32 }>(sums.high));
        }
        _mm256_sra_epi32(sum, self.precision)
    }
}
