//! What a job file may say of which pictures are indexed, and which may be found.

use super::*;

/// The lines of `filter`, as `[retrieval.filter]` and as `[index.filter]` of a job over the yfcc layout, are refused
/// with these words, where `KEY` stands for the table.
#[track_caller]
fn refuses_filter(filter: &str, messages: &[&str]) {
    for key in ["retrieval.filter", "index.filter"] {
        let yfcc = SMALL.replace("\"folder\"", "\"yfcc\"");
        let problems = refused(&yfcc.replace("[output]", &format!("[{key}]\n{filter}\n[output]")));
        assert_eq!(problems, messages.iter().map(|message| message.replace("KEY", key)).collect::<Vec<_>>());
    }
}

#[test]
fn a_filters_values_are_refused_with_those_that_are_known() {
    const LICENCES: &str =
        r#""by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd", "cc0", "pdm", "us-gov", "no-known-restrictions""#;
    refuses_filter(
        "licence = [\"bynd\", \"by\", 3]",
        &[
            &format!("job.toml:16:12: KEY.licence[0]: found \"bynd\", expected one of {LICENCES}"),
            "job.toml:16:26: KEY.licence[2]: found 3, expected a string",
        ],
    );
    refuses_filter(
        "licence_without = [\"by\"]",
        &["job.toml:16:20: KEY.licence_without[0]: found \"by\", expected one of \"nc\", \"nd\", \"sa\""],
    );
    refuses_filter(
        "licence = []",
        &["job.toml:16:11: KEY.licence: found [], expected an array of at least one string"],
    );
    refuses_filter(
        "taken_from = \"2011-02-29\"\ntaken_before = 2012-01-01",
        &[
            "job.toml:16:14: KEY.taken_from: found \"2011-02-29\", expected a date of the calendar as in \"2012-05-06\"",
            "job.toml:17:16: KEY.taken_before: found 2012-01-01, expected a string",
        ],
    );
    refuses_filter(
        "taken_before = \"2012-01-01\"\ntaken_from = \"2012-01-01\"",
        &["job.toml:16:16: KEY.taken_before: found \"2012-01-01\", expected a date after taken_from, 2012-01-01"],
    );
    refuses_filter(
        "text = [\"red boat\"]",
        &["job.toml:16:9: KEY.text[0]: found \"red boat\", expected one word of letters and digits"],
    );
    refuses_filter("license = [\"by\"]", &["job.toml:16:1: KEY.license: no such key, did you mean \"licence\"?"]);
}

#[test]
fn a_filter_of_pictures_without_metadata_is_refused_with_the_remedy() {
    for layout in ["zip", "tar", "folder"] {
        let file = SMALL.replace("\"folder\"", &format!("{layout:?}"));
        for key in ["retrieval.filter", "index.filter"] {
            let problems = refused(&file.replace("[output]", &format!("[{key}]\ntext = [\"boat\"]\n[output]")));
            let expected = format!(
                "job.toml:15:1: {key}: found [{key}], expected nothing: only the yfcc layout has metadata to filter by; \
                 give the corpus that layout, or leave the filter out"
            );
            assert_eq!(problems, [expected]);
            accepted(&file.replace("[output]", &format!("[{key}]\n[output]")));
        }
    }
    // What is wrong with the layout is told once.
    let problems = refused(
        &SMALL.replace("\"folder\"", "\"tape\"").replace("[output]", "[index.filter]\ntext = [\"a\"]\n[output]"),
    );
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn the_documented_filters_are_accepted() {
    let document = include_str!("../../../../../docs/job-file.md");
    let filters = document.split("```toml\n").nth(2).and_then(|rest| rest.split("```").next()).unwrap();
    let spec = accepted(&format!("{}{filters}", SMALL.replace("\"folder\"", "\"yfcc\""))).spec;
    assert!(!spec.index_filter.is_empty() && !spec.retrieval.filter.is_empty());
}
