//! Zip shards: what is in them is found and unpacked by ranges, and what is broken in them is named.

#![expect(clippy::unwrap_used, reason = "a test that cannot build its archive has failed")]

#[expect(dead_code, reason = "shared with the other archive tests")]
mod memory;
#[expect(unreachable_pub, reason = "public where the whole system's tests use it")]
mod zip_writer;

use bytes::Bytes;
use imagefleet_common::ledger::{Reason, Rejection};
use imagefleet_pictures::{
    archive::zip::{Method, Unpacked, ZipEntry, plan_reads, read_directory, unpack},
    decode::Limits,
};
use memory::Memory;
use zip_writer::{Twist, Zip};

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_side: 4096 };
const BLOCK: u64 = 8 << 20;

/// Bytes that look like nothing in particular.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    })
    .take(length)
    .collect()
}

/// Reads all entries of a zip as a worker does.
async fn unpack_all(zip: &Memory, max_block: u64) -> Vec<(ZipEntry, Result<Unpacked, Rejection>)> {
    let entries = read_directory(zip.pinned()).await.unwrap();
    let mut found = Vec::new();
    for block in plan_reads(entries, max_block) {
        let bytes = zip.pinned().read(block.range.clone()).await.unwrap();
        for entry in block.entries {
            let unpacked = unpack(&bytes, block.range.start, &entry, &LIMITS);
            found.push((entry, unpacked));
        }
    }
    found.sort_by_key(|(entry, _)| entry.ordinal);
    found
}

async fn only_rejection(zip: Vec<u8>) -> Reason {
    let zip = Memory::new("images/abc.zip", zip);
    let mut found = unpack_all(&zip, BLOCK).await;
    assert_eq!(found.len(), 1);
    found.remove(0).1.unwrap_err().reason
}

#[tokio::test]
async fn stored_and_deflated_entries_come_out_as_they_went_in() {
    for zip64 in [false, true] {
        let data: Vec<Vec<u8>> = (0..40).map(|index| noise(index * 97, index as u32)).collect();
        let mut zip = Zip::default();
        for (index, data) in data.iter().enumerate() {
            let twist = Twist { deflated: index % 3 == 0, zip64, local_extra: index as u16 % 5, ..Twist::default() };
            zip.add(&format!("abc/{index}.jpg"), data, twist);
        }
        let object = zip.finish(zip64);
        let memory = Memory::new("images/abc.zip", object.clone());
        let found = unpack_all(&memory, BLOCK).await;
        assert_eq!(found.len(), data.len());
        for (index, ((entry, unpacked), data)) in found.iter().zip(&data).enumerate() {
            let unpacked = unpacked.as_ref().unwrap();
            assert_eq!((entry.ordinal, entry.name.as_str()), (index as u32, format!("abc/{index}.jpg").as_str()));
            assert_eq!(&unpacked.bytes, data);
            assert_eq!(unpacked.crc32, crc32fast::hash(data));
            if entry.method == Method::Stored {
                let again = &object[unpacked.offset as usize..(unpacked.offset + unpacked.length) as usize];
                assert_eq!(again, data, "the payload's offset and length name the picture in the object");
            }
        }
    }
}

#[tokio::test]
async fn blocks_hold_whole_entries_and_are_as_large_as_allowed() {
    let mut zip = Zip::default();
    for index in 0..100 {
        zip.add(&format!("{index}.jpg"), &noise(1000, index), Twist::default());
    }
    zip.add("large.jpg", &noise(20_000, 7), Twist::default());
    let memory = Memory::new("images/abc.zip", zip.finish(false));
    let entries = read_directory(memory.pinned()).await.unwrap();
    assert_eq!(memory.reads(), 1, "the directory of a small zip is one read");
    let blocks = plan_reads(entries, 10_000);
    assert_eq!(blocks.iter().map(|block| block.entries.len()).sum::<usize>(), 101);
    assert!(blocks.len() <= 13, "{}", blocks.len());
    for block in &blocks {
        let length = block.range.end - block.range.start;
        assert!(length <= 10_000 || block.entries.len() == 1, "{length}");
    }
    for (entry, unpacked) in unpack_all(&memory, 10_000).await {
        unpacked.unwrap_or_else(|rejection| panic!("{}: {rejection:?}", entry.name));
    }
}

#[tokio::test]
async fn wanted_entries_far_apart_are_read_apart() {
    let mut zip = Zip::default();
    for index in 0..30 {
        zip.add(&format!("{index}.jpg"), &noise(100_000, index), Twist::default());
    }
    let memory = Memory::new("images/abc.zip", zip.finish(false));
    let entries = read_directory(memory.pinned()).await.unwrap();
    let blocks = plan_reads(entries.into_iter().filter(|entry| entry.ordinal % 15 == 0), BLOCK);
    assert_eq!(blocks.len(), 2);
    assert!(blocks.iter().all(|block| block.range.end - block.range.start < 101_000));
}

#[tokio::test]
async fn equal_names_are_kept_apart_by_their_ordinals() {
    let mut zip = Zip::default();
    zip.add("a.jpg", b"first", Twist::default()).add("a.jpg", b"second", Twist::default());
    zip.add("dir/", b"", Twist::default());
    let memory = Memory::new("images/abc.zip", zip.finish(false));
    let found = unpack_all(&memory, BLOCK).await;
    let bytes: Vec<_> =
        found.iter().map(|(entry, found)| (entry.ordinal, found.as_ref().unwrap().bytes.clone())).collect();
    assert_eq!(bytes[..2], [(0, Bytes::from("first")), (1, Bytes::from("second"))]);
    assert!(found[2].0.is_directory && !found[0].0.is_directory);
}

#[tokio::test]
async fn an_entry_whose_bytes_are_not_what_the_directory_says_is_rejected() {
    let one = |twist| Zip::default().add("a.jpg", &noise(3000, 5), twist).finish(false);
    let plain = Twist::default();
    let wrong_crc = Twist { wrong_crc: true, ..plain };
    assert_eq!(only_rejection(one(wrong_crc)).await, Reason::WrongChecksum);
    assert_eq!(only_rejection(one(Twist { deflated: true, ..wrong_crc })).await, Reason::WrongChecksum);
    assert_eq!(only_rejection(one(Twist { no_local_signature: true, ..plain })).await, Reason::BadEntry);
    assert_eq!(only_rejection(one(Twist { size: Some(2999), ..plain })).await, Reason::BadEntry);
    for size in [2999, 3001] {
        assert_eq!(only_rejection(one(Twist { deflated: true, size: Some(size), ..plain })).await, Reason::BadEntry);
    }
    assert_eq!(only_rejection(one(Twist { size: Some(1 << 21), ..plain })).await, Reason::TooManyBytes);
    assert_eq!(only_rejection(one(Twist { flags: 1, ..plain })).await, Reason::BadEntry);
    let mut broken = one(Twist { deflated: true, ..plain });
    broken[100..140].fill(0xff);
    assert!(matches!(only_rejection(broken).await, Reason::BadEntry | Reason::WrongChecksum));
}

#[tokio::test]
async fn a_deflated_bomb_is_stopped_at_the_size_that_the_directory_admits() {
    let zeros = vec![0; 30 << 20];
    let small = Twist { deflated: true, size: Some(1000), ..Twist::default() };
    assert_eq!(only_rejection(Zip::default().add("a.png", &zeros, small).finish(false)).await, Reason::BadEntry);
}

#[tokio::test]
async fn an_entry_of_an_unknown_method_is_rejected_by_its_number() {
    let mut zip = Zip::default();
    let bytes = zip.add("a.jpg", b"data", Twist::default()).finish(false);
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let mut bytes = bytes;
    bytes[directory + 10] = 12;
    let memory = Memory::new("images/abc.zip", bytes);
    let entries = read_directory(memory.pinned()).await.unwrap();
    assert_eq!(entries[0].method, Method::Other(12));
    let rejection = entries[0].check(&LIMITS).unwrap_err();
    assert_eq!((rejection.reason, rejection.detail.as_str()), (Reason::BadEntry, "compression method 12 is not read"));
}

#[tokio::test]
async fn a_truncated_or_garbage_zip_is_a_permanent_error_that_names_the_object() {
    let mut zip = Zip::default();
    for index in 0..50 {
        zip.add(&format!("{index}.jpg"), &noise(500, index), Twist::default());
    }
    let whole = zip.finish(false);
    let mut broken: Vec<Vec<u8>> = (0..whole.len()).step_by(211).map(|length| whole[..length].to_vec()).collect();
    broken.push(whole[..whole.len() - 1].to_vec());
    broken.push(noise(100_000, 3));
    broken.push(b"PK\x05\x06".to_vec());
    // A directory that claims more entries than it has.
    let mut more = whole.clone();
    let end = whole.len() - 22;
    more[end + 8..end + 12].copy_from_slice(&[99, 0, 99, 0]);
    broken.push(more);
    for bytes in broken {
        let length = bytes.len();
        let memory = Memory::new("images/abc.zip", bytes);
        let error = read_directory(memory.pinned()).await.map(|entries| entries.len()).unwrap_err();
        assert!(error.is_permanent(), "{length}: {error}");
        assert!(error.to_string().contains("images/abc.zip"), "{error}");
    }
}

#[tokio::test]
async fn no_flipped_byte_does_more_than_an_error_or_a_rejection() {
    let mut zip = Zip::default();
    for index in 0..6 {
        let twist = Twist { deflated: index % 2 == 0, ..Twist::default() };
        zip.add(&format!("{index}.jpg"), &noise(60, index), twist);
    }
    let whole = zip.finish(true);
    for at in 0..whole.len() {
        for value in [0x00, 0xff, whole[at] ^ 0x10] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let memory = Memory::new("images/abc.zip", bytes);
            let Ok(entries) = read_directory(memory.pinned()).await else { continue };
            for block in plan_reads(entries, BLOCK) {
                let bytes = memory.pinned().read(block.range.clone()).await.unwrap();
                for entry in block.entries {
                    let _ = unpack(&bytes, block.range.start, &entry, &LIMITS);
                }
            }
        }
    }
}
