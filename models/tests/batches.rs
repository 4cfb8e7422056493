//! On the CPU a vector has the same bits in every batch and on any number of threads.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use fixture::Fixture;
use imagefleet_models::{Device, PictureBatch, Vectors, load};

const CHECKPOINTS: [&str; 2] = ["clip-tiny", "clip-legacy"];

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// The fixture's pictures again and again, `count` in all.
fn many_pictures(fixture: &Fixture, count: usize) -> PictureBatch {
    let few = fixture.pictures();
    let size = few.pixels.len() / few.count;
    let pixels = few.pixels.iter().copied().cycle().take(count * size).collect();
    PictureBatch { count, side: few.side, pixels }
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn pictures_in_batches_of_every_size_on_one_to_five_threads() {
    for name in CHECKPOINTS {
        let fixture = Fixture::open(name);
        let mut encoder = load(&fixture.dir, Device::Cpu).unwrap();
        let alone: Vec<Vectors> =
            (1..=4).map(|count| encoder.encode_pictures(&many_pictures(&fixture, count)).unwrap()).collect();
        for (threads, count) in [(1, 1), (1, 70), (2, 3), (2, 31), (3, 4), (5, 2), (5, 64)] {
            let batch = many_pictures(&fixture, count);
            let vectors = on_threads(threads, || encoder.encode_pictures(&batch).unwrap());
            for (index, row) in vectors.rows().enumerate() {
                assert_eq!(
                    bits(row),
                    bits(alone[3].row(index % 4)),
                    "{name}, picture {index} of {count}, {threads} threads"
                );
            }
        }
        assert_eq!(bits(&alone[0].values), bits(alone[3].row(0)), "{name}");
    }
}

#[test]
fn titles_beside_short_and_long_ones_on_one_to_five_threads() {
    for name in CHECKPOINTS {
        let fixture = Fixture::open(name);
        let mut encoder = load(&fixture.dir, Device::Cpu).unwrap();
        let mut one = |title: &String| encoder.encode_texts(std::slice::from_ref(title)).unwrap().values;
        let alone: Vec<Vec<f32>> = fixture.titles.iter().map(&mut one).collect();
        let many: Vec<String> = fixture.titles.iter().cycle().take(5 * fixture.titles.len()).cloned().collect();
        for threads in [1, 2, 5] {
            let vectors = on_threads(threads, || encoder.encode_texts(&many).unwrap());
            for (index, row) in vectors.rows().enumerate() {
                assert_eq!(
                    bits(row),
                    bits(&alone[index % alone.len()]),
                    "{name}, {:?}, {threads} threads",
                    many[index]
                );
            }
        }
    }
}
