//! Tar shards: entries come in order, from any position, in bounded memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot build its archive has failed")]

mod memory;

use imagefleet_pictures::archive::tar::{TarPosition, TarReader};
use memory::Memory;
use tar::{Builder, EntryType, Header};

fn add(builder: &mut Builder<Vec<u8>>, name: &str, data: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(EntryType::Regular);
    builder.append_data(&mut header, name, data).unwrap();
}

fn long_name() -> String {
    format!("{}/{}.jpg", "directory".repeat(15), "name".repeat(40))
}

/// (name, data) of each entry that the tar below has.
fn entries() -> Vec<(String, Vec<u8>)> {
    let mut entries: Vec<(String, Vec<u8>)> =
        (0..20_u8).map(|index| (format!("{index:05}.jpg"), vec![index; usize::from(index) * 100])).collect();
    entries.push((long_name(), b"long".to_vec()));
    entries.push(("pax/ünï.png".into(), b"pax".to_vec()));
    entries.push(("last.json".into(), b"{}".to_vec()));
    entries
}

fn archive() -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, data) in entries() {
        if name.starts_with("pax/") {
            builder.append_pax_extensions([("path", name.as_bytes()), ("mtime", b"1.5")]).unwrap();
            add(&mut builder, "short", &data);
        } else {
            add(&mut builder, &name, &data);
        }
    }
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn entries_come_in_order_with_long_names_and_their_bytes() {
    let object = archive();
    let memory = Memory::new("shards/0.tar", object.clone());
    let mut reader = TarReader::new(memory.pinned(), TarPosition::default());
    for (ordinal, (name, data)) in entries().into_iter().enumerate() {
        let entry = reader.next().await.unwrap().unwrap();
        assert_eq!((entry.ordinal, &entry.name, entry.is_file), (ordinal as u32, &name, true));
        assert_eq!(reader.read(&entry).await.unwrap(), data);
        assert_eq!(object[entry.data_offset as usize..(entry.data_offset + entry.size) as usize], data);
    }
    assert_eq!(reader.next().await.unwrap(), None);
    assert_eq!(reader.next().await.unwrap(), None);
    assert_eq!(memory.reads(), 1);
}

#[tokio::test]
async fn a_reader_begun_at_a_stored_position_goes_on_as_the_first_would_have() {
    let memory = Memory::new("shards/0.tar", archive());
    let mut reader = TarReader::new(memory.pinned(), TarPosition::default());
    let mut positions = vec![reader.position()];
    let mut all = Vec::new();
    while let Some(entry) = reader.next().await.unwrap() {
        positions.push(reader.position());
        all.push(entry);
    }
    for (start, position) in positions.into_iter().enumerate() {
        let mut reader = TarReader::new(memory.pinned(), position);
        for expected in &all[start..] {
            assert_eq!(reader.next().await.unwrap().as_ref(), Some(expected));
        }
        assert_eq!(reader.next().await.unwrap(), None);
    }
}

#[tokio::test]
async fn memory_is_one_window_however_large_the_tar_and_an_entry_may_be_larger() {
    let mut builder = Builder::new(Vec::new());
    let large = vec![7; 9 << 20];
    for index in 0..24 {
        add(&mut builder, &format!("{index}.jpg"), &vec![index; 1 << 20]);
    }
    add(&mut builder, "large.jpg", &large);
    let memory = Memory::new("shards/0.tar", builder.into_inner().unwrap());
    let mut reader = TarReader::new(memory.pinned(), TarPosition::default());
    let mut reads_of_small = 0;
    while let Some(entry) = reader.next().await.unwrap() {
        if entry.name == "large.jpg" {
            reads_of_small = memory.reads();
            assert!(memory.largest() <= 8 << 20);
        }
        let data = reader.read(&entry).await.unwrap();
        assert_eq!(data.len() as u64, entry.size);
    }
    assert!(reads_of_small <= 5, "{reads_of_small}");
}

#[tokio::test]
async fn directories_and_links_are_entries_but_no_files() {
    let mut builder = Builder::new(Vec::new());
    for (kind, name) in
        [(EntryType::Directory, "dir/"), (EntryType::Symlink, "link.jpg"), (EntryType::Link, "hard.jpg")]
    {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_path(name).unwrap();
        header.set_link_name("target").unwrap();
        header.set_cksum();
        builder.append(&header, &[][..]).unwrap();
    }
    add(&mut builder, "file.jpg", b"x");
    let memory = Memory::new("shards/0.tar", builder.into_inner().unwrap());
    let mut reader = TarReader::new(memory.pinned(), TarPosition::default());
    let mut files = Vec::new();
    while let Some(entry) = reader.next().await.unwrap() {
        files.push((entry.ordinal, entry.is_file));
    }
    assert_eq!(files, [(0, false), (1, false), (2, false), (3, true)]);
}

#[tokio::test]
async fn a_truncated_or_garbage_tar_is_a_permanent_error_that_names_the_object() {
    let whole = archive();
    let end = whole.iter().rposition(|&byte| byte != 0).unwrap();
    let mut broken: Vec<Vec<u8>> = (0..end).step_by(509).map(|length| whole[..length].to_vec()).collect();
    broken.push(vec![0x5a; 5000]);
    // One wrong byte in the third header's name.
    let mut flipped = whole.clone();
    let third = whole.windows(9).position(|window| window == b"00002.jpg").unwrap();
    flipped[third] ^= 1;
    broken.push(flipped);
    for bytes in broken {
        let length = bytes.len();
        let memory = Memory::new("shards/0.tar", bytes);
        let mut reader = TarReader::new(memory.pinned(), TarPosition::default());
        let error = loop {
            match reader.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{length} bytes look whole"),
                Err(error) => break error,
            }
        };
        assert!(error.is_permanent(), "{error}");
        assert!(error.to_string().contains("shards/0.tar"), "{error}");
    }
}

#[tokio::test]
async fn no_flipped_byte_does_more_than_an_error() {
    let whole = archive();
    for at in (0..whole.len()).step_by(7) {
        for value in [0x00, 0xff, whole[at] ^ 0x04] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let memory = Memory::new("shards/0.tar", bytes);
            let mut reader = TarReader::new(memory.pinned(), TarPosition::default());
            while let Ok(Some(entry)) = reader.next().await {
                reader.read(&entry).await.unwrap();
            }
        }
    }
}
