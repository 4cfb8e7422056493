//! Filters of the job file: what is indexed at all, and what may be found.

use imagefleet::run::Ended;
use imagefleet_common::{ledger::Reason, ports::jobs::JobState};
use imagefleet_tests::{
    compare::rows,
    corpus::{Photo, photos, write_metadata, write_yfcc_shard},
    ledger::Ledger,
    points::{newest_job, points},
    project::Project,
};
use serde_json::Value;
use std::collections::BTreeSet;

const NO_NC: &str = "[index.filter]\nlicence_without = [\"nc\"]\n";

/// A photo's row under this licence, taken in this year; without a licence there is no row.
fn row(photo: &Photo, licence: Option<&str>, year: usize) -> Option<String> {
    let mut row: Value = serde_json::from_str(&photo.metadata()).unwrap();
    row["licenseurl"] = format!("http://creativecommons.org/licenses/{}/2.0/", licence?).into();
    row["datetaken"] = format!("{year}-05-06 12:33:00.0").into();
    Some(row.to_string())
}

/// A shard of 20 photos: by number, every fourth is not for commercial use, and the one after it has no row. In a
/// second shard none is for commercial use.
fn project() -> (Project, Vec<Photo>) {
    let project = Project::new("yfcc", 6);
    let mut photos = [photos("0a1", 20), photos("0a2", 5)].concat();
    // One that is kept out and one that is not are no pictures.
    photos[4].bytes = b"no picture".to_vec();
    photos[6].bytes = b"no picture".to_vec();
    let licence = |number: usize| match number % 4 {
        _ if number >= 20 => Some("by-nc-sa"),
        0 => Some("by-nc"),
        1 => None,
        2 => Some("by"),
        _ => Some("by-sa"),
    };
    let rows = photos.iter().enumerate().map(|(number, photo)| row(photo, licence(number), 2000 + number));
    let rows: Vec<Option<String>> = rows.collect();
    for (shard, of) in [("0a1", 0..20), ("0a2", 20..25)] {
        write_yfcc_shard(&project.corpus(), shard, &photos[of.clone()]);
        write_metadata(&project.corpus(), shard, rows[of].iter().flatten().cloned());
    }
    (project, photos)
}

async fn run(project: &Project, more: &str) -> Ended {
    project.write_job("yfcc", more);
    let ended = project.run().await.unwrap();
    assert_eq!(ended.state, JobState::Succeeded);
    assert_eq!(Ledger::read(&project.out()).faults(), Vec::<String>::new());
    assert_eq!(project.verify().await.unwrap().wrong, Vec::<String>::new());
    ended
}

fn keys<'a>(photos: impl Iterator<Item = &'a Photo>) -> BTreeSet<String> {
    photos.map(|photo| photo.key.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_index_filter_keeps_out_is_rejected_for_it_and_never_encoded() {
    let (project, photos) = project();
    let ended = run(&project, NO_NC).await;
    let kept = keys(photos[..20].iter().enumerate().filter(|(n, _)| n % 4 >= 2 && *n != 6).map(|(_, photo)| photo));
    assert_eq!(points(&project).await.into_keys().collect::<BTreeSet<_>>(), kept);
    assert_eq!(ended.stats.encode.items(), 9);

    let ledger = Ledger::read(&project.out());
    let (first, second) = (ledger.shard("images/0a1.zip"), ledger.shard("images/0a2.zip"));
    assert_eq!((first.seen, first.embedded, first.rejected[&Reason::Filtered]), (20, 9, 10));
    assert_eq!((second.seen, second.embedded, second.rejected[&Reason::Filtered]), (5, 0, 5));
    assert_eq!(ledger.summary.pictures.unattributed, 0, "what has no row is not embedded");
    for rejected in &ledger.rejected {
        let number = photos.iter().position(|photo| photo.key == rejected.key).unwrap();
        let expected = match number % 4 {
            // Not even looked at, so that it is not known to be no picture.
            _ if number >= 20 => (Reason::Filtered, "licence_without: by-nc-sa has nc"),
            0 => (Reason::Filtered, "licence_without: by-nc has nc"),
            1 => (Reason::Filtered, "licence_without: the picture's licence is not known"),
            _ => (Reason::UnknownFormat, rejected.detail.as_str()),
        };
        assert_eq!((rejected.reason, rejected.detail.as_str()), expected, "photo {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_filter_or_with_another_the_job_has_another_collection_and_each_is_kept() {
    let (project, photos) = project();
    run(&project, NO_NC).await;
    let filtered = newest_job(&project).await.1.collection;
    let ended = run(&project, "").await;
    let whole = newest_job(&project).await.1.collection;
    assert_ne!(filtered, whole);
    // All but the two that are no pictures.
    assert_eq!((ended.stats.encode.items(), photos.len()), (23, 25));
    assert_eq!(Ledger::read(&project.out()).summary.pictures.unattributed, 5);
    run(&project, "[index.filter]\ntaken_before = \"2003-01-01\"\n").await;
    let early = newest_job(&project).await.1.collection;
    assert!(early != filtered && early != whole);
    let expected = keys([0, 2].iter().map(|number| &photos[*number]));
    assert_eq!(points(&project).await.into_keys().collect::<BTreeSet<_>>(), expected);
    let again = run(&project, NO_NC).await;
    assert_eq!(again.stats.encode.items(), 0, "it is all there");
    assert_eq!(Ledger::read(&project.out()).summary.index_size, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retrieval_filter_leaves_the_collection_alone_and_gives_only_what_it_lets_through() {
    let (project, photos) = project();
    run(&project, "").await;
    let collection = newest_job(&project).await.1.collection;
    let filters = [
        ("licence = [\"by\"]\ntaken_from = \"2010-01-01\"", vec![10, 14, 18]),
        ("text = [\"photo\", \"BOAT\"]\nlicence_without = [\"sa\", \"nd\"]\ntaken_before = \"2004-05-06\"", vec![0, 2]),
        ("licence = [\"us-gov\"]", vec![]),
    ];
    for (filter, numbers) in filters {
        let ended = run(&project, &format!("[retrieval.filter]\n{filter}\n")).await;
        assert_eq!(ended.stats.encode.items(), 0, "no picture is encoded again");
        assert_eq!(newest_job(&project).await.1.collection, collection);
        let expected = keys(numbers.into_iter().map(|number: usize| &photos[number]));
        let rows = rows(&project.out());
        assert_eq!(rows.len(), 6);
        for row in rows {
            let found = row["indices"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned());
            assert_eq!(found.collect::<BTreeSet<_>>(), expected, "{filter}");
        }
    }
}
