//! What a job file may say of rerankers and their heads.

use super::*;

#[test]
fn a_reranker_that_comes_twice_is_refused() {
    refuses(
        "[output]",
        "[[rerank]]\ntype = \"identity\"\n[[rerank]]\ntype = \"identity\"\n[output]",
        "job.toml:18:8: rerank[1].type: found \"identity\", expected one that is not there yet: each writes to a folder of its own, identity",
    );
}

#[test]
fn a_head_is_looked_for_and_its_weight_is_a_share() {
    let folder = folder();
    fs::write(folder.path().join("head.pth"), "").unwrap();
    let with =
        |lines: &str| SMALL.replace("[output]", &format!("[[rerank]]\ntype = \"aesthetics\"\n{lines}\n[output]"));
    let job = read_in(&folder, &with("head = \"head.pth\"")).unwrap();
    assert_eq!(job.spec.rerank, [RerankSection::Aesthetics { weight: 0.2, head: "head.pth".to_owned() }]);
    assert_eq!(job.heads, [Some(folder.path().join("head.pth"))]);
    for (lines, problem) in [
        ("weight = 0.1", "job.toml:15:1: rerank[0].head: missing, expected a string"),
        (
            "head = \"articles.csv\"\nweight = 1.1",
            "job.toml:18:10: rerank[0].weight: found 1.1, expected a number from 0 to 1",
        ),
        (
            "head = \"articles.csv\"\nweight = nan",
            "job.toml:18:10: rerank[0].weight: found nan, expected a number from 0 to 1",
        ),
        (
            "head = \"articles.csv\"\nweight = \"1\"",
            "job.toml:18:10: rerank[0].weight: found \"1\", expected a number from 0 to 1",
        ),
    ] {
        assert_eq!(refused(&with(lines)), [problem]);
    }
    let gone = refused(&with("head = \"gone.pth\""));
    assert!(
        gone[0].starts_with("job.toml:17:8: rerank[0].head: found \"gone.pth\", expected a file that can be read"),
        "{gone:?}"
    );
}
