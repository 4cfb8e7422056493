//! Whatever computes the passes computes what the plain passes do.

use super::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

fn resized(arithmetic: Arithmetic, source: &Source<'_>, target: &Target) -> Vec<u8> {
    let mut resampler = Resampler { arithmetic, ..Resampler::default() };
    let mut pixels = Vec::new();
    resampler.resize(source, target, |_, row| pixels.extend_from_slice(row));
    pixels
}

/// Few sides are long, many are of the lengths at which a vector's end falls differently.
fn side(random: &mut StdRng) -> u32 {
    match random.random_range(0..4) {
        0 => random.random_range(1..=12),
        1 | 2 => random.random_range(1..=90),
        _ => random.random_range(90..=700),
    }
}

fn part(random: &mut StdRng, length: u32) -> (u32, u32) {
    let start = random.random_range(0..length);
    (start, random.random_range(1..=length - start))
}

#[test]
fn vectors_give_the_bytes_of_the_plain_passes_for_any_size_window_and_filter() {
    let detected = Arithmetic::detect();
    if detected == Arithmetic::Scalar {
        return eprintln!("this processor has no vectors that are made use of: nothing to compare");
    }
    let mut random = StdRng::seed_from_u64(4);
    let (mut turned, mut reused) = (0, Resampler::default());
    for round in 0..600 {
        let (width, height) = (side(&mut random), side(&mut random));
        // Half of the pictures are black and white noise: their sums leave the bytes' range on both sides.
        let is_harsh = round % 2 == 0;
        let sample = |_| if is_harsh { 255 * random.random_range(0..=1_u8) } else { random.random() };
        let pixels = (0..3 * width * height).map(sample).collect();
        let picture = Rgb { width, height, pixels };
        let kept = |random: &mut StdRng, length| if random.random_ratio(1, 6) { length } else { side(random) };
        let (to_width, to_height) = (kept(&mut random, width), kept(&mut random, height));
        let ((left, width), (top, height)) = (part(&mut random, to_width), part(&mut random, to_height));
        let window = Window { left, top, width, height };
        let mut source = Source::whole(&picture);
        if round % 5 == 0 {
            source.size = (source.size.0 - 0.5, source.size.1 - 0.25);
        }
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            for backend in [Backend::Pillow, Backend::Torchvision] {
                let target = Target { width: to_width, height: to_height, window, filter, backend };
                let plain = resized(Arithmetic::Scalar, &source, &target);
                assert!(plain == resized(detected, &source, &target), "{:?} {target:?}", source.size);
                let mut again = Vec::new();
                reused.resize(&source, &target, |_, row| again.extend_from_slice(row));
                assert!(plain == again, "{:?} {target:?}, in memory that was used before", source.size);
                turned += usize::from(is_down_first(&picture, to_width, to_height, backend));
            }
        }
    }
    assert!(turned > 100, "both orders of the passes are tried: {turned}");
}

#[test]
fn a_last_column_that_reaches_beyond_the_end_counts_as_far_as_it_is_within() {
    // A ramp of 6 levels a pixel, 40.5 pixels long of which 41 are there, made 15 pixels long.
    let pixels = (0..41).flat_map(|column| [5 + 6 * column; 3]).collect();
    let picture = Rgb { width: 41, height: 1, pixels };
    let window = Window { left: 0, top: 0, width: 15, height: 1 };
    for backend in [Backend::Pillow, Backend::Torchvision] {
        let target = Target { width: 15, height: 1, window, filter: Filter::Bilinear, backend };
        let ramp = resized(Arithmetic::detect(), &Source { picture: &picture, size: (40.5, 1.0) }, &target);
        for output in 1..14 {
            let centre = (output as f64 + 0.5) * 2.7 - 0.5;
            let off = f64::from(ramp[3 * output]) - (5.0 + 6.0 * centre);
            assert!(off.abs() <= 1.0, "{output}: {off}");
        }
    }
}

#[test]
fn sums_that_overflow_in_their_parts_are_right_as_a_whole() {
    // Of 3,000 white inputs the low parts alone sum to more than 32 bits hold.
    for (width, height) in [(3000, 11), (11, 3000)] {
        let picture = Rgb { width, height, pixels: vec![255; 3 * 33_000] };
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let window = Window { left: 0, top: 0, width: 11, height: 11 };
            let target = Target { width: 11, height: 11, window, filter, backend: Backend::Pillow };
            assert!(resized(Arithmetic::detect(), &Source::whole(&picture), &target).iter().all(|&byte| byte == 255));
        }
    }
}
