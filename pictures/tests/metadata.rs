//! YFCC metadata: every row is found under its key, and what is ambiguous or broken is named.

#![expect(clippy::unwrap_used, reason = "a test that cannot build its object has failed")]

#[expect(dead_code, reason = "shared with the archive tests")]
mod memory;

use flate2::{Compression, write::GzEncoder};
use imagefleet_common::{ledger::Reason, ports::index::Attribution};
use imagefleet_pictures::{archive::names::photo_key, metadata::read_metadata};
use memory::Memory;
use serde_json::{Value, json};
use std::io::Write;

const PATH: &str = "metadata/abc.jsonl.gz";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn row(number: u32, changes: Value) -> String {
    let mut row = json!({
        "photoid": number, "uid": "1@N00", "unickname": "Zo%C3%AB+Z", "title": "A+%22quiet%22+day", "description": "", "usertags": "a,b",
        "pageurl": format!("http://www.flickr.com/photos/1@N00/{number}/"),
        "downloadurl": format!("http://farm1.staticflickr.com/1/{number}_x.jpg"),
        "licensename": "Attribution License", "licenseurl": "http://creativecommons.org/licenses/by/2.0/",
        "ext": "jpg", "marker": 0, "datetaken": "2009-01-01 00:00:00.0", "longitude": 1.5, "latitude": null,
    });
    for (key, value) in changes.as_object().unwrap() {
        row[key] = value.clone();
    }
    row.to_string() + "\n"
}

fn url(number: u32) -> String {
    format!("http://farm1.staticflickr.com/1/{number}_x.jpg")
}

#[tokio::test]
async fn photos_are_found_by_key_with_texts_as_they_are_stored() {
    let text = row(1, json!({}))
        + "\n"
        + &row(2, json!({"photoid": "2", "title": null, "datetaken": null, "unickname": 7}))
        + &row(3, json!({"marker": 1}));
    let memory = Memory::new(PATH, gzip(&text));
    let metadata = read_metadata(memory.pinned()).await.unwrap();
    let expected = Attribution {
        photo_id: "1".into(),
        owner: "1@N00".into(),
        author: "Zo%C3%AB+Z".into(),
        title: "A+%22quiet%22+day".into(),
        page_url: "http://www.flickr.com/photos/1@N00/1/".into(),
        licence: "Attribution License".into(),
        licence_url: "http://creativecommons.org/licenses/by/2.0/".into(),
        taken: "2009-01-01 00:00:00.0".into(),
        tags: "a,b".into(),
    };
    assert_eq!(metadata.of(&photo_key(&url(1))), Ok(Some(&expected)));
    assert_eq!(metadata.of(&photo_key(&url(2))).unwrap().unwrap().photo_id, "2");
    let second = metadata.of(&photo_key(&url(2))).unwrap().unwrap();
    assert_eq!((&second.title[..], &second.taken[..], &second.author[..]), ("", "", "7"));
    assert_eq!(metadata.of(&photo_key(&url(3))), Ok(None), "a video is no photo");
    assert_eq!(metadata.photos.len(), 2);
}

#[tokio::test]
async fn a_row_that_is_there_twice_is_no_collision() {
    let memory = Memory::new(PATH, gzip(&(row(1, json!({})) + &row(1, json!({})))));
    let metadata = read_metadata(memory.pinned()).await.unwrap();
    assert_eq!((metadata.photos.len(), metadata.collisions.len()), (1, 0));
}

#[tokio::test]
async fn two_urls_with_one_key_are_rejected_and_both_are_named() {
    let [first, second] = colliding_urls();
    assert_eq!(photo_key(&first), photo_key(&second));
    let text = row(1, json!({"downloadurl": first})) + &row(2, json!({"downloadurl": second})) + &row(3, json!({}));
    let memory = Memory::new(PATH, gzip(&text));
    let metadata = read_metadata(memory.pinned()).await.unwrap();
    let rejection = metadata.of(&photo_key(&first)).unwrap_err();
    assert_eq!(rejection.reason, Reason::KeyCollision);
    assert!(rejection.detail.contains(&first) && rejection.detail.contains(&second), "{}", rejection.detail);
    assert_eq!(metadata.photos.len(), 1);
}

/// Marc Stevens' MD5 collision of printable texts (2024).
fn colliding_urls() -> [String; 2] {
    ["A", "E"].map(|one| format!("TEXTCOLLBYfGiJUETHQ4h{one}cKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak"))
}

#[tokio::test]
async fn a_broken_stream_or_line_is_a_permanent_error_that_names_object_and_line() {
    let lines = row(1, json!({})) + &row(2, json!({})) + "{\"photoid\": 3,\n";
    let no_url = row(1, json!({})) + &row(2, json!({"downloadurl": null}));
    let whole = gzip(&(0..200).map(|number| row(number, json!({}))).collect::<String>());
    let cut = whole[..whole.len() / 2].to_vec();
    for (bytes, line) in
        [(gzip(&lines), "line 3"), (gzip(&no_url), "line 2"), (cut, "line "), (b"{}".to_vec(), "line 1")]
    {
        let memory = Memory::new(PATH, bytes);
        let error = read_metadata(memory.pinned()).await.unwrap_err();
        assert!(error.is_permanent(), "{error}");
        let text = error.to_string();
        assert!(text.contains(PATH) && text.contains(line), "{text}");
    }
}
