//! Searches by hand, and why two runs differ.

use crate::{imagefleet, json, output, project};
use imagefleet_tests::{
    corpus::{jpeg, photos},
    project::Project,
};
use serde_json::Value;
use std::fs;

/// Keys of the pictures that were found, best first.
fn keys(found: &Value) -> Vec<&str> {
    found["results"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect()
}

#[test]
fn a_search_finds_what_a_job_finds_and_says_whom_to_credit() {
    let project = project();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let results: Value =
        serde_json::from_slice(&fs::read(project.out().join("inference_results.json")).unwrap()).unwrap();
    let title = results[0]["query"].as_str().unwrap();
    let found = json(&project, &["search", title, "--top", "5", "--collection", "test"]);
    let expected: Vec<&str> =
        results[0]["indices"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(keys(&found), expected);
    for (row, score) in
        found["results"].as_array().unwrap().iter().zip(results[0]["similarity_scores"].as_array().unwrap())
    {
        assert!((row["score"].as_f64().unwrap() - score.as_f64().unwrap()).abs() < 1e-6);
        let photo = photos("0a1", 12).into_iter().find(|photo| row["key"] == photo.key.as_str()).unwrap();
        assert_eq!(row["title"], format!("photo {}", photo.id));
        assert_eq!((&row["author"], &row["licence_code"]), (&Value::from("Zoë Z"), &Value::from("by")));
        assert_eq!(row["link"], format!("http://example.org/{}", photo.id));
    }
    // The only collection need not be named, and a table has a line a picture under its header.
    let (code, table, _) = output(&project, &["search", title, "--top", "3"]);
    assert_eq!((code, table.lines().count()), (0, 4));
    assert!(table.starts_with("RANK") && table.contains("http://example.org/"), "{table}");
}

#[test]
fn a_picture_finds_itself_first_and_a_filter_keeps_others_out() {
    let project = project();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let photo = photos("0a1", 12).remove(4);
    fs::write(project.path().join("one.jpg"), &photo.bytes).unwrap();
    let found = json(&project, &["search", "--image", "one.jpg", "--top", "12"]);
    assert_eq!((keys(&found).len(), keys(&found)[0]), (12, photo.key.as_str()));
    assert!((found["results"][0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    let none = json(&project, &["search", "--image", "one.jpg", "--filter", "licence=cc0"]);
    assert_eq!(keys(&none), Vec::<&str>::new());
    let one = json(&project, &["search", "x", "--filter", "licence=by", "--filter", &format!("text={}", photo.id)]);
    assert_eq!(keys(&one), [photo.key.as_str()]);
}

#[test]
fn a_search_says_what_it_cannot_do() {
    let project = project();
    let refused = |args: &[&str]| {
        let (code, stdout, stderr) = output(&project, args);
        assert_ne!(code, 0, "{stdout}");
        stderr
    };
    assert!(refused(&["search", "x"]).contains("nothing has run there"));
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    assert!(refused(&["search"]).contains("--image"));
    assert!(refused(&["search", "x", "--image", "one.jpg"]).contains("cannot be used with"));
    assert!(refused(&["search", "x", "--collection", "other"]).contains("find collection other: there are test-"));
    assert!(refused(&["search", "x", "--filter", "licence"]).contains("expected KEY=VALUE"));
    assert!(refused(&["search", "x", "--filter", "colour=red"]).contains("filter colour=red: no such key"));
    let twice = ["search", "x", "--filter", "licence_without=nc", "--filter", "licence_without=nd"];
    assert!(refused(&twice).contains("licence_without is given twice"));
    assert!(refused(&["search", "--image", "job.toml"]).contains("job.toml: unknown-format"));
    assert!(refused(&["search", "x", "--top", "0"]).contains("0 is not in 1..=1000"));
}

#[test]
fn open_writes_a_page_with_every_picture_and_says_where() {
    let project = project();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let mut command = imagefleet(&project, &["search", "a <b>red</b> boat", "--top", "4", "--open"]);
    // No browser is there to be found.
    let done = command.env("PATH", "").env("TMPDIR", project.path()).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success() && said.contains("open the page yourself"), "{said}");
    let path = said.lines().find_map(|line| line.split_once("page: ")).unwrap().1;
    let page = fs::read_to_string(path).unwrap();
    assert_eq!(page.matches("/9j/").count().min(4), 4, "four JPEGs");
    assert!(!page.contains("<b>red</b>") && page.contains("creativecommons.org/licenses/by/2.0"));
}

/// A run of the project's job with `more` sections, its results in a folder of their own.
fn run(project: &Project, out: &str, more: &str) {
    project.write_job("yfcc", more);
    let text = fs::read_to_string(project.job_file()).unwrap().replace("\"out\"", &format!("{out:?}"));
    fs::write(project.job_file(), text).unwrap();
    assert_eq!(output(project, &["run", "job.toml"]).0, 0);
}

#[test]
fn two_runs_of_the_same_have_the_same_results_and_a_diff_says_why_others_do_not() {
    let project = project();
    run(&project, "one", "");
    run(&project, "two", "");
    let (code, same, _) = output(&project, &["diff", "one", "two/run.json"]);
    assert!(code == 0 && same.starts_with("the results are the same"), "{same}");
    assert!(same.contains("job.spec.output.directory") && !same.contains("corpus.shards"), "{same}");

    run(&project, "three", "[retrieval.filter]\nlicence = [\"cc0\"]\n");
    fs::write(project.corpus().join("images/note.txt"), "no shard").unwrap();
    let mut more = photos("0a1", 13);
    more[12].bytes = jpeg(9_999);
    imagefleet_tests::corpus::write_yfcc_shard(&project.corpus(), "0a1", &more);
    run(&project, "four", "");
    let (code, filtered, _) = output(&project, &["diff", "one", "three"]);
    assert_eq!(code, 1);
    assert!(
        filtered.contains("inference_results.json") && filtered.contains("job.spec.retrieval.filter.licence"),
        "{filtered}"
    );
    let differ = |left: &str, right: &str| {
        let (code, differences, _) = output(&project, &["diff", left, right, "--output", "json"]);
        assert_eq!(code, 1);
        let differences: Value = serde_json::from_str(&differences).unwrap();
        assert!(differences["results"].as_array().unwrap().contains(&"ledger.jsonl".into()), "{differences:#}");
        let causes = differences["causes"].as_array().unwrap().iter();
        causes.map(|cause| cause["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let changed = differ("one", "four");
    assert_eq!(changed, ["corpus.shards.images/0a1.zip.listing", "corpus.shards.images/0a1.zip.version"]);

    assert_eq!(output(&project, &["takedown", &more[3].key]).0, 0);
    run(&project, "five", "");
    assert_eq!(differ("four", "five"), ["corpus.taken_down"]);
    fs::write(project.corpus().join("images/0a2.zip"), "no zip").unwrap();
    let text = fs::read_to_string(project.job_file()).unwrap().replace("\"five\"", "\"six\"");
    fs::write(project.job_file(), text).unwrap();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 3);
    assert_eq!(output(&project, &["run", "job.toml", "--accept-dead"]).0, 0);
    assert!(differ("five", "six").contains(&"job.accepted_dead".to_owned()));
    let (code, _, said) = output(&project, &["diff", "one", "nowhere"]);
    assert!(code == 1 && said.contains("nowhere"), "{said}");
}
