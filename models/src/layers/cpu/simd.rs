//! Sixteen f32 at a time, on whatever the processor has.
//!
//! Every algorithm is written once over [`Lanes`] and compiled for each instruction set; which one runs is
//! decided at run time, so one program serves every x86-64. A vector always has 16 lanes, whether that takes one
//! register or two, and products are added with a single rounding: AVX2 and AVX-512 give the same bits.

use std::ops::{Add, Div, Mul, Sub};

pub(super) const LANES: usize = 16;

/// Sixteen neighbours in memory, one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Chunk(pub(super) [f32; LANES]);

impl Chunk {
    pub(super) const ZERO: Self = Self([0.0; LANES]);
}

/// A vector of 16 numbers. Its types are used only within [`InstructionSet::run`], which checked that they work.
pub(super) trait Lanes:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// Rows and chunks of columns of a product whose sums fit the registers.
    const ROWS: usize;
    const WIDE: usize;

    fn load(from: &[f32; LANES]) -> Self;
    fn store(self, to: &mut [f32; LANES]);
    fn splat(x: f32) -> Self;
    /// self · factor + addend, rounded once where the processor can.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The other where either is NaN.
    fn max(self, other: Self) -> Self;
    /// The other where either is NaN.
    fn min(self, other: Self) -> Self;
    /// To the nearest integer, ties to the even one.
    fn round(self) -> Self;
    /// self · 2ⁿ for whole |n| ≤ 252, rounded once where self is about 1.
    fn scale_by_power(self, n: Self) -> Self;
    /// `positive` in the lanes where self ≥ 0, `other` in the rest.
    fn choose(self, positive: Self, other: Self) -> Self;

    /// Asks for a chunk that will be read soon, which need not exist.
    #[inline(always)]
    fn prefetch(_from: *const Chunk) {}

    /// Reads up to 16 numbers, and zeros for the rest.
    #[inline(always)]
    fn load_part(from: &[f32]) -> Self {
        let mut all = [0.0; LANES];
        all[..from.len()].copy_from_slice(from);
        Self::load(&all)
    }

    #[inline(always)]
    fn store_part(self, to: &mut [f32]) {
        let mut all = [0.0; LANES];
        self.store(&mut all);
        to.copy_from_slice(&all[..to.len()]);
    }
}

/// Something to compute, written over any lanes. `run` must be `#[inline(always)]`, as must be what it calls:
/// only so is it compiled for the instruction set.
pub(super) trait Task {
    type Output;
    fn run<L: Lanes>(self) -> Self::Output;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InstructionSet {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// With FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

#[cfg(target_arch = "x86_64")]
fn has_avx2_and_fma() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

impl InstructionSet {
    /// What this processor has, the best first.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        let all = [
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, has_avx2_and_fma() && is_x86_feature_detected!("avx512f")),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, has_avx2_and_fma()),
            (Self::Portable, true),
        ];
        all.into_iter().filter_map(|(set, there)| there.then_some(set))
    }

    pub(super) fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }

    /// Panics where the processor lacks it.
    pub(super) fn run<T: Task>(self, task: T) -> T::Output {
        assert!(Self::available().any(|set| set == self), "this processor has no {self:?}");
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: it is available.
            Self::Avx512 => unsafe { x86::run_avx512(task) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: it is available.
            Self::Avx2 => unsafe { x86::run_avx2(task) },
            Self::Portable => task.run::<Portable>(),
        }
    }
}

/// Plain numbers, for the compiler to put in what registers the target has.
#[derive(Clone, Copy)]
struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

macro_rules! operators {
    ($vector:ty: $($operator:ident $function:ident |$a:ident, $b:ident| $result:expr;)*) => {
        $(impl $operator for $vector {
            type Output = Self;
            #[inline(always)]
            fn $function(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $result
            }
        })*
    };
}

operators!(Portable:
    Add add |a, b| a.zip(b, |a, b| a + b);
    Sub sub |a, b| a.zip(b, |a, b| a - b);
    Mul mul |a, b| a.zip(b, |a, b| a * b);
    Div div |a, b| a.zip(b, |a, b| a / b);
);

impl Lanes for Portable {
    const ROWS: usize = 2;
    const WIDE: usize = 1;

    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        *to = self.0;
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; LANES])
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // Without the instruction, `f32::mul_add` is a function of many.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            Self(std::array::from_fn(|lane| self.0[lane].mul_add(factor.0[lane], addend.0[lane])))
        } else {
            self * factor + addend
        }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn round(self) -> Self {
        Self(self.0.map(f32::round_ties_even))
    }

    #[inline(always)]
    fn scale_by_power(self, n: Self) -> Self {
        self.zip(n, |x, n| {
            // A power of two beyond the range of f32 is the product of two within it.
            let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
            let half = n as i32 >> 1;
            x * power(half) * power(n as i32 - half)
        })
    }

    #[inline(always)]
    fn choose(self, positive: Self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| if self.0[lane] >= 0.0 { positive.0[lane] } else { other.0[lane] }))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Chunk, LANES, Lanes, Task};
    use std::{
        arch::x86_64::*,
        ops::{Add, Div, Mul, Sub},
    };

    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) fn run_avx512<T: Task>(task: T) -> T::Output {
        task.run::<Avx512>()
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn run_avx2<T: Task>(task: T) -> T::Output {
        task.run::<Avx2>()
    }

    #[derive(Clone, Copy)]
    struct Avx512(__m512);

    /// The lower and the upper half.
    #[derive(Clone, Copy)]
    struct Avx2(__m256, __m256);

    impl Avx2 {
        #[inline(always)]
        fn zip(self, other: Self, f: impl Fn(__m256, __m256) -> __m256) -> Self {
            Self(f(self.0, other.0), f(self.1, other.1))
        }
    }

    // SAFETY of every block below: values of these types exist only within `run_avx512` and `run_avx2`, whose
    // caller checked that the processor has their instructions. Loads and stores go through references.

    operators!(Avx512:
        Add add |a, b| Self(unsafe { _mm512_add_ps(a.0, b.0) });
        Sub sub |a, b| Self(unsafe { _mm512_sub_ps(a.0, b.0) });
        Mul mul |a, b| Self(unsafe { _mm512_mul_ps(a.0, b.0) });
        Div div |a, b| Self(unsafe { _mm512_div_ps(a.0, b.0) });
    );

    operators!(Avx2:
        Add add |a, b| a.zip(b, |a, b| unsafe { _mm256_add_ps(a, b) });
        Sub sub |a, b| a.zip(b, |a, b| unsafe { _mm256_sub_ps(a, b) });
        Mul mul |a, b| a.zip(b, |a, b| unsafe { _mm256_mul_ps(a, b) });
        Div div |a, b| a.zip(b, |a, b| unsafe { _mm256_div_ps(a, b) });
    );

    impl Lanes for Avx512 {
        // 28 of 32 registers.
        const ROWS: usize = 14;
        const WIDE: usize = 2;

        #[inline(always)]
        fn load(from: &[f32; LANES]) -> Self {
            Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; LANES]) {
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn prefetch(from: *const Chunk) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }

        #[inline(always)]
        fn splat(x: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(x) })
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(unsafe { _mm512_max_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(unsafe { _mm512_min_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn round(self) -> Self {
            Self(unsafe { _mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(self.0) })
        }

        #[inline(always)]
        fn scale_by_power(self, n: Self) -> Self {
            Self(unsafe { _mm512_scalef_ps(self.0, n.0) })
        }

        #[inline(always)]
        fn choose(self, positive: Self, other: Self) -> Self {
            unsafe {
                let at_least_zero = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(self.0, _mm512_setzero_ps());
                Self(_mm512_mask_blend_ps(at_least_zero, other.0, positive.0))
            }
        }
    }

    impl Lanes for Avx2 {
        // 12 of 16 registers.
        const ROWS: usize = 6;
        const WIDE: usize = 1;

        #[inline(always)]
        fn load(from: &[f32; LANES]) -> Self {
            let (lower, upper) = from.split_at(LANES / 2);
            unsafe { Self(_mm256_loadu_ps(lower.as_ptr()), _mm256_loadu_ps(upper.as_ptr())) }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; LANES]) {
            let (lower, upper) = to.split_at_mut(LANES / 2);
            unsafe {
                _mm256_storeu_ps(lower.as_mut_ptr(), self.0);
                _mm256_storeu_ps(upper.as_mut_ptr(), self.1);
            }
        }

        #[inline(always)]
        fn prefetch(from: *const Chunk) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }

        #[inline(always)]
        fn splat(x: f32) -> Self {
            let all = unsafe { _mm256_set1_ps(x) };
            Self(all, all)
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1)) }
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            self.zip(other, |a, b| unsafe { _mm256_max_ps(a, b) })
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            self.zip(other, |a, b| unsafe { _mm256_min_ps(a, b) })
        }

        #[inline(always)]
        fn round(self) -> Self {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            unsafe { Self(_mm256_round_ps::<NEAREST>(self.0), _mm256_round_ps::<NEAREST>(self.1)) }
        }

        #[inline(always)]
        fn scale_by_power(self, n: Self) -> Self {
            self.zip(n, |x, n| unsafe {
                // A power of two beyond the range of f32 is the product of two within it.
                let n = _mm256_cvtps_epi32(n);
                let half = _mm256_srai_epi32::<1>(n);
                let bias = _mm256_set1_epi32(127);
                let power = |n| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(n, bias)));
                _mm256_mul_ps(_mm256_mul_ps(x, power(half)), power(_mm256_sub_epi32(n, half)))
            })
        }

        #[inline(always)]
        fn choose(self, positive: Self, other: Self) -> Self {
            let choose = |x, positive, other| unsafe {
                _mm256_blendv_ps(other, positive, _mm256_cmp_ps::<_CMP_GE_OQ>(x, _mm256_setzero_ps()))
            };
            Self(choose(self.0, positive.0, other.0), choose(self.1, positive.1, other.1))
        }
    }
}
