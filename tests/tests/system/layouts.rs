//! Tars, zips and folders: how each is cut, split and read, and what happens when it changes in between.

use imagefleet_common::{
    ledger::Reason,
    ports::{index::Payload, jobs::JobState},
    task::State,
};
use imagefleet_tests::{
    corpus::{Photo, jpeg, photos, write_metadata, write_yfcc_shard, write_zip},
    ledger::Ledger,
    moving::Moving,
    points::{Held, newest_job, points},
    project::Project,
    zip_writer::{Twist, Zip},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};
use tar::{Builder, EntryType, Header};

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(EntryType::Regular);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn write_tar(corpus: &Path, name: &str, pictures: u32) {
    let pictures: Vec<_> = (0..pictures).map(|seed| (format!("{seed:04}.jpg"), jpeg(seed))).collect();
    let entries: Vec<(&str, &[u8])> = pictures.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    fs::write(corpus.join(name), tar(&entries)).unwrap();
}

fn write_folder(folder: &Path, pictures: u32) {
    fs::create_dir_all(folder).unwrap();
    for seed in 0..pictures {
        fs::write(folder.join(format!("{seed:04}.jpg")), jpeg(seed)).unwrap();
    }
}

/// A plain zip of this many pictures, each padded with `padding` bytes behind its end.
fn zip(pictures: u32, padding: usize) -> Zip {
    let mut zip = Zip::default();
    for seed in 0..pictures {
        let bytes = [jpeg(seed), vec![0; padding]].concat();
        zip.add(&format!("{seed:04}.jpg"), &bytes, Twist::default());
    }
    zip
}

/// Runs to success, proves it, and returns all points by key.
async fn embedded(project: &Project) -> BTreeMap<String, Held> {
    let ended = project.run().await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded);
    proved(project).await
}

/// The ledger adds up and agrees with the index.
async fn proved(project: &Project) -> BTreeMap<String, Held> {
    assert_eq!(Ledger::read(&project.out()).faults(), Vec::<String>::new());
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
    points(project).await
}

/// The stored bytes that a payload points at.
fn fetch(project: &Project, payload: &Payload) -> Vec<u8> {
    let object = fs::read(project.corpus().join(&payload.object)).unwrap();
    object[payload.offset as usize..][..payload.length as usize].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tars_pictures_are_embedded_and_its_sidecars_are_not_seen() {
    let project = Project::new("tar", 4);
    let (one, two, other) = (jpeg(1), jpeg(2), jpeg(3));
    let shard = tar(&[
        ("0001.json", b"{}"),
        ("0001.jpg", &one),
        ("0001.txt", b"a picture"),
        ("sub/0002.jpg", &two),
        ("0001.jpg", &other),
        ("xx/0003.jpg", &other),
        ("0004.jpg", b""),
    ]);
    fs::create_dir(project.corpus().join("train")).unwrap();
    fs::write(project.corpus().join("train/00.tar"), unsafe_name(shard)).unwrap();
    let held = embedded(&project).await;
    let keys: Vec<&str> = held.keys().map(String::as_str).collect();
    assert_eq!(keys, ["train/00.tar/0001.jpg", "train/00.tar/sub/0002.jpg"]);
    assert_eq!(fetch(&project, &held["train/00.tar/0001.jpg"].payload), one, "the first of equal names wins");
    let ledger = Ledger::read(&project.out());
    assert_eq!(ledger.shard("train/00.tar").seen, 5);
    let reasons: BTreeSet<Reason> = ledger.rejected.iter().map(|row| row.reason).collect();
    assert_eq!(reasons, BTreeSet::from([Reason::Duplicate, Reason::UnsafeName, Reason::Empty]));
}

/// Turns the entry `xx/…` into `../…`, which the tar's writer would not write; the header's sum changes with it.
fn unsafe_name(mut tar: Vec<u8>) -> Vec<u8> {
    let at = tar.windows(3).position(|bytes| bytes == b"xx/").unwrap();
    tar[at..at + 2].copy_from_slice(b"..");
    let header = &mut tar[at..at + 512];
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_zips_at_any_depth_are_shards_and_keys_hold_their_paths() {
    let project = Project::new("zip", 4);
    fs::create_dir_all(project.corpus().join("year 2014/may")).unwrap();
    fs::write(project.corpus().join("year 2014/may/1.zip"), zip(3, 0).finish(true)).unwrap();
    fs::write(project.corpus().join("top.zip"), zip(2, 0).finish(false)).unwrap();
    fs::write(project.corpus().join("top.txt"), "not a shard").unwrap();
    let held = embedded(&project).await;
    let keys: Vec<&str> = held.keys().map(String::as_str).collect();
    let may = "year%202014/may/1.zip";
    let expected = [format!("{may}/0000.jpg"), format!("{may}/0001.jpg"), format!("{may}/0002.jpg")];
    assert_eq!(keys[..2], ["top.zip/0000.jpg", "top.zip/0001.jpg"]);
    assert_eq!(keys[2..], expected);
    assert_eq!(held[&expected[2]].payload.entry, "0002.jpg");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_folder_below_the_root_is_a_shard_with_all_below_it_and_the_root_is_one_for_its_own_files() {
    let project = Project::new("folder", 4);
    write_folder(&project.corpus(), 2);
    write_folder(&project.corpus().join("a b"), 3);
    write_folder(&project.corpus().join("a b/deep/er"), 4);
    fs::write(project.corpus().join("a b/notes.txt"), "not a picture").unwrap();
    fs::write(project.corpus().join("a b/._0000.jpg"), "left by a system").unwrap();
    let held = embedded(&project).await;
    assert_eq!((held.len(), held.contains_key("a%20b/deep/er/0003.jpg")), (9, true));
    let ledger = Ledger::read(&project.out());
    let seen: Vec<(&str, u64)> = ledger.shards.iter().map(|row| (row.shard.as_str(), row.seen)).collect();
    assert_eq!(seen, [("", 2), ("a b", 7)]);
    for (key, held) in &held {
        let expected = fs::read(project.corpus().join(key.replace("%20", " "))).unwrap();
        assert_eq!(fetch(&project, &held.payload), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_with_folders_chooses_files_by_their_path_below_the_source() {
    let project = Project::new("folder", 2);
    for folder in ["2014/may", "2014/june", "2015/may"] {
        write_folder(&project.corpus().join(folder), 2);
    }
    let job = fs::read_to_string(project.job_file()).unwrap();
    fs::write(project.job_file(), job.replace("[model]", "pictures = [\"*/may/*1.jpg\"]\n[model]")).unwrap();
    let keys: Vec<String> = embedded(&project).await.into_keys().collect();
    assert_eq!(keys, ["2014/may/0001.jpg", "2015/may/0001.jpg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_leads_to_the_stored_bytes_and_to_whom_to_credit() {
    let project = Project::new("yfcc", 4);
    let photos = photos("0a1", 6);
    let mut zip = Zip::default();
    for (nth, photo) in photos.iter().enumerate() {
        let twist = Twist { deflated: nth % 2 == 1, local_extra: 40, zip64: nth == 4, ..Twist::default() };
        zip.add(&photo.entry(), &photo.bytes, twist);
    }
    write_zip(&project.corpus(), "0a1", &mut zip);
    write_metadata(&project.corpus(), "0a1", photos.iter().map(Photo::metadata));
    let held = embedded(&project).await;
    for (nth, Photo { id, key, bytes, .. }) in photos.iter().enumerate() {
        let payload = &held[key].payload;
        let stored = fetch(&project, payload);
        match nth % 2 {
            0 => assert_eq!(&stored, bytes),
            _ => assert_eq!(&inflated(&stored), bytes),
        }
        assert_eq!(payload.crc32, crc32fast::hash(bytes));
        assert_eq!((payload.width, payload.height), (40 + id % 17, 36 + id % 13));
        assert_eq!((&payload.object[..], &payload.shard_path[..]), ("images/0a1.zip", "images/0a1.zip"));
        assert_eq!(payload.entry, photos[nth].entry());
        let of = &payload.attribution;
        let credit = [&of.photo_id, &of.owner, &of.title, &of.page_url];
        let page = format!("http://example.org/{id}");
        assert_eq!(credit, [&id.to_string(), "1@N00", &format!("photo+{id}"), &page]);
        let licence = (&of.licence[..], &of.licence_url[..]);
        assert_eq!(licence, ("Attribution License", "http://creativecommons.org/licenses/by/2.0/"));
        let more = (&of.author[..], &of.taken[..], &of.tags[..]);
        assert_eq!(more, ("Zo%C3%AB+Z", "2012-05-06 12:33:00.0", "sea,red+boat"));
    }
}

fn inflated(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::DeflateDecoder::new(packed), &mut bytes).unwrap();
    bytes
}

/// Runs with attempts that are out of time at once, twice; how many chunks and pictures that made.
async fn split(project: &Project) -> (usize, usize) {
    let ended =
        project.run_changed(|run| run.worker = |settings| settings.attempt_limit = Duration::ZERO).await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded);
    let held = proved(project).await;
    let (world, job) = newest_job(project).await;
    let chunks = world.catalog.ledger(job.id).await.unwrap().len();
    let again = project.run().await.unwrap();
    assert_eq!((again.stats.encode.items(), again.written), (0, Some(0)), "the parts are known");
    (chunks, held.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tar_that_takes_too_long_is_embedded_in_parts_each_picture_once() {
    let project = Project::new("tar", 3);
    write_tar(&project.corpus(), "0.tar", 12);
    assert_eq!(split(&project).await, (12, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_takes_too_long_is_embedded_in_parts_each_picture_once() {
    let project = Project::new("folder", 3);
    write_folder(&project.corpus().join("a"), 12);
    assert_eq!(split(&project).await, (12, 12));
}

/// More than a read of 8 MB takes, so that an attempt can be out of time between two.
const PADDING: usize = 3 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_that_takes_too_long_is_embedded_in_parts_each_picture_once() {
    let project = Project::new("zip", 3);
    let mut zip = zip(8, PADDING);
    zip.add("broken.jpg", b"", Twist::default());
    zip.add("0000.jpg", &jpeg(9), Twist::default());
    fs::write(project.corpus().join("0.zip"), zip.finish(false)).unwrap();
    let (chunks, pictures) = split(&project).await;
    assert_eq!(pictures, 8);
    assert!(chunks > 2, "{chunks}");
    let ledger = Ledger::read(&project.out());
    assert_eq!((ledger.shard("0.zip").seen, ledger.rejected.len()), (10, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_whose_directory_is_in_another_order_than_its_entries_ends_too() {
    let project = Project::new("zip", 3);
    fs::write(project.corpus().join("0.zip"), backwards(zip(8, PADDING).finish(false))).unwrap();
    assert_eq!(split(&project).await.1, 8);
}

/// The same zip with its directory's entries, which all are as long as the first, in the opposite order.
fn backwards(mut zip: Vec<u8>) -> Vec<u8> {
    const HEADER: usize = 46;
    let end = zip.len() - 22;
    let start = u32::from_le_bytes(zip[end + 16..end + 20].try_into().unwrap()) as usize;
    let length = HEADER + usize::from(zip[start + 28]);
    let turned: Vec<u8> = zip[start..end].chunks_exact(length).rev().flatten().copied().collect();
    zip[start..end].copy_from_slice(&turned);
    zip
}

/// Runs while the object whose path ends in `which` changes before `times` of its reads.
async fn run_moving(
    project: &Project,
    which: &str,
    times: usize,
    change: impl Fn(usize) + Send + Sync + 'static,
) -> JobState {
    let change = move |left| {
        change(left);
        Ok(())
    };
    let ended = project
        .run_changed(|run| run.world.sources = Moving::new(run.world.sources.clone(), which, times, change))
        .await
        .unwrap();
    ended.state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_that_changes_after_it_was_listed_is_listed_again() {
    let project = Project::new("yfcc", 3);
    let photos = photos("0a1", 8);
    write_yfcc_shard(&project.corpus(), "0a1", &photos);
    let corpus = project.corpus();
    let fewer = photos[3..].to_vec();
    let state = run_moving(&project, "0a1.zip", 1, move |_| write_yfcc_shard(&corpus, "0a1", &fewer)).await;
    assert_eq!(state, JobState::Succeeded);
    let held = proved(&project).await;
    assert_eq!(held.len(), 5);
    let row = Ledger::read(&project.out()).shards.remove(0);
    assert_eq!((row.version, row.seen, row.missing), (2, 5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tar_that_changes_after_it_was_listed_is_listed_again() {
    let project = Project::new("tar", 3);
    write_tar(&project.corpus(), "0.tar", 8);
    let corpus = project.corpus();
    let state = run_moving(&project, "0.tar", 1, move |_| write_tar(&corpus, "0.tar", 5)).await;
    assert_eq!((state, proved(&project).await.len()), (JobState::Succeeded, 5));
    assert_eq!(Ledger::read(&project.out()).shard("0.tar").version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_changes_after_it_was_listed_is_listed_again() {
    let project = Project::new("folder", 3);
    write_folder(&project.corpus().join("a"), 8);
    let folder = project.corpus().join("a");
    let change = move |_| {
        fs::remove_file(folder.join("0007.jpg")).unwrap();
        fs::write(folder.join("0003.jpg"), jpeg(99)).unwrap();
    };
    let state = run_moving(&project, "0003.jpg", 1, change).await;
    let held = proved(&project).await;
    assert_eq!((state, held.len()), (JobState::Succeeded, 7));
    assert_eq!(held["a/0003.jpg"].payload.crc32, crc32fast::hash(&jpeg(99)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_changes_for_the_third_time_blocks_the_job_as_unstable() {
    let project = Project::new("yfcc", 3);
    write_yfcc_shard(&project.corpus(), "0a0", &photos("0a0", 4));
    let photos = photos("0a1", 8);
    write_yfcc_shard(&project.corpus(), "0a1", &photos);
    let corpus = project.corpus();
    let change = move |left: usize| write_yfcc_shard(&corpus, "0a1", &photos[..left + 5]);
    assert_eq!(run_moving(&project, "0a1.zip", 3, change).await, JobState::Blocked);
    let (world, job) = newest_job(&project).await;
    let dead: Vec<_> =
        world.jobs.tasks(job.id).await.unwrap().into_iter().filter(|task| task.state == State::Dead).collect();
    assert_eq!(dead.len(), 1);
    let error = dead[0].error.as_deref().unwrap();
    assert!(error.contains("unstable") && error.contains("images/0a1.zip"), "{error}");

    // Run again it is looked at again, and has come to rest.
    assert_eq!(project.run().await.unwrap().state, JobState::Succeeded);
    assert_eq!(proved(&project).await.len(), 9);
}
