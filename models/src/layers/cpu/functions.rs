//! exp and the activations, on 16 numbers at a time.

use super::simd::Lanes;

/// eˣ to within 2 units of the last place over the whole of f32: 0, subnormals, infinity and NaN included.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, and eˣ = 2ⁿ·eʳ. For eʳ = 1 + r + r²·p(r), p is the polynomial through
/// Chebyshev's nodes; it is off by 1.1e-8.
#[inline(always)]
pub(super) fn exp<L: Lanes>(x: L) -> L {
    // ln 2 in two parts: n times the first, of 12 bits, is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const P: [f32; 5] = [0.001_392_621_3, 0.008_363_203, 0.041_666_556, 0.166_665_76, 0.5];
    // Beyond these it is 0 and infinity. NaN stands second, and stays.
    let x = L::splat(-104.0).max(L::splat(89.0).min(x));
    let n = (x * L::splat(std::f32::consts::LOG2_E)).round();
    let r = n.mul_add(L::splat(-LN_2[0]), x);
    let r = n.mul_add(L::splat(-LN_2[1]), r);
    (r * r).mul_add(polynomial(P, r), r + L::splat(1.0)).scale_by_power(n)
}

/// x · σ(1.702 x)
#[inline(always)]
pub(super) fn quick_gelu<L: Lanes>(x: L) -> L {
    x / (L::splat(1.0) + exp(x * L::splat(-1.702)))
}

/// ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), as x · σ of twice what stands in the tanh.
#[inline(always)]
pub(super) fn gelu_tanh<L: Lanes>(x: L) -> L {
    const MINUS_2_SQRT_2_OVER_PI: f32 = -2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    let cubic = (x * x).mul_add(L::splat(0.044_715), L::splat(1.0)) * x;
    x / (L::splat(1.0) + exp(cubic * L::splat(MINUS_2_SQRT_2_OVER_PI)))
}

/// x · Φ(x), where Φ is the normal distribution's.
///
/// Φ(−|x|) = ½ erfc(z) with z = |x|/√2, and erfc(z) = e^(−z²)·t·p(t) with t = 1/(1 + 0.35 z), where p is the
/// polynomial through Chebyshev's nodes; it is off by 1.1e-8.
#[inline(always)]
pub(super) fn gelu<L: Lanes>(x: L) -> L {
    const SLOPE: f32 = 0.35;
    const P: [f32; 10] = [
        0.043_538_503,
        -0.187_010_65,
        0.247_861_19,
        -0.116_633_89,
        0.161_183_7,
        0.106_195_38,
        0.164_947_02,
        0.184_962_48,
        0.197_490_5,
        0.197_465_76,
    ];
    let one = L::splat(1.0);
    let z = x.choose(x, L::splat(0.0) - x) * L::splat(std::f32::consts::FRAC_1_SQRT_2);
    let t = one / z.mul_add(L::splat(SLOPE), one);
    let tail = L::splat(0.5) * exp(L::splat(0.0) - z * z) * t * polynomial(P, t);
    x * x.choose(one - tail, tail)
}

/// Σ cᵢ·x^(N−1−i)
#[inline(always)]
fn polynomial<L: Lanes, const N: usize>(coefficients: [f32; N], x: L) -> L {
    let mut sum = L::splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = sum.mul_add(x, L::splat(c));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::simd::{InstructionSet, LANES, Task};
    use super::*;
    use candle_core::cpu::erf::erf_f64;

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        QuickGelu,
        Gelu,
        GeluTanh,
    }

    struct Apply<'a>(Function, &'a mut [f32]);

    impl Task for Apply<'_> {
        type Output = ();

        #[inline(always)]
        fn run<L: Lanes>(self) {
            let (chunks, rest) = self.1.as_chunks_mut::<LANES>();
            assert!(rest.is_empty());
            for chunk in chunks {
                let x = L::load(chunk);
                let y = match self.0 {
                    Function::Exp => exp(x),
                    Function::QuickGelu => quick_gelu(x),
                    Function::Gelu => gelu(x),
                    Function::GeluTanh => gelu_tanh(x),
                };
                y.store(chunk);
            }
        }
    }

    fn apply(set: InstructionSet, function: Function, x: &[f32]) -> Vec<f32> {
        let mut all = x.to_vec();
        all.resize(x.len().next_multiple_of(LANES), 0.0);
        set.run(Apply(function, &mut all));
        all.truncate(x.len());
        all
    }

    /// Numbers of −110 to 100, evenly and then closely around 0.
    fn samples() -> Vec<f32> {
        let evenly = (0..200_000).map(|i| -110.0 + i as f32 * (210.0 / 200_000.0));
        let closely = (0..20_000).map(|i| (i as f32 - 10_000.0) * 1.3e-5);
        evenly.chain(closely).collect()
    }

    /// Representable numbers from `a` to `b`, both at least 0.
    fn units_apart(a: f32, b: f32) -> u32 {
        a.to_bits().abs_diff(b.to_bits())
    }

    #[test]
    fn exp_is_within_two_units_of_double_precision_from_subnormals_to_infinity() {
        for set in InstructionSet::available() {
            for (x, got) in samples().iter().zip(apply(set, Function::Exp, &samples())) {
                let exact = f64::from(*x).exp() as f32;
                assert!(units_apart(got, exact) <= 2, "{set:?}: exp({x}) = {got:e}, not {exact:e}");
            }
            let ends = apply(set, Function::Exp, &[0.0, -0.0, f32::INFINITY, f32::MAX, f32::NEG_INFINITY, f32::MIN]);
            assert_eq!(ends, [1.0, 1.0, f32::INFINITY, f32::INFINITY, 0.0, 0.0], "{set:?}");
            assert!(apply(set, Function::Exp, &[f32::NAN])[0].is_nan(), "{set:?}");
        }
    }

    #[test]
    fn activations_take_the_values_of_their_definitions_out_to_the_ends() {
        let quick = |x: f64| x / (1.0 + (-1.702 * x).exp());
        let exact = |x: f64| 0.5 * x * (1.0 + erf_f64(x / 2f64.sqrt()));
        let tanh =
            |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
        let definitions: [(Function, &dyn Fn(f64) -> f64); 3] =
            [(Function::QuickGelu, &quick), (Function::Gelu, &exact), (Function::GeluTanh, &tanh)];
        for set in InstructionSet::available() {
            for (function, definition) in definitions {
                for (x, got) in samples().iter().zip(apply(set, function, &samples())) {
                    let expected = definition(f64::from(*x));
                    let error = (f64::from(got) - expected).abs();
                    assert!(error <= 2e-7 * expected.abs().max(0.5), "{set:?}: f({x}) = {got:e}, not {expected:e}");
                }
                let ends = apply(set, function, &[0.0, -200.0, 200.0, f32::NAN]);
                assert_eq!(ends[..3], [0.0, 0.0, 200.0], "{set:?}");
                assert!(ends[3].is_nan(), "{set:?}");
            }
        }
    }

    #[test]
    fn instruction_sets_with_a_fused_multiply_add_agree_to_the_last_bit() {
        let fused: Vec<_> = InstructionSet::available().filter(|&set| set != InstructionSet::Portable).collect();
        for function in [Function::Exp, Function::QuickGelu, Function::Gelu, Function::GeluTanh] {
            for sets in fused.windows(2) {
                assert_eq!(apply(sets[0], function, &samples()), apply(sets[1], function, &samples()));
            }
        }
    }
}
