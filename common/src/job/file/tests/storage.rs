//! What a job file may say of how a collection is stored.

use super::*;

/// Read as a job of a fleet, whose files need not be there but for the articles.
fn of_a_fleet(lines: &str) -> Result<JobFile> {
    let folder = folder();
    let path = folder.path().join("job.toml");
    fs::write(&path, SMALL.replace("[output]", &format!("[index]\n{lines}\n[output]"))).unwrap();
    read(&path, Place::Fleet)
}

#[test]
fn a_fleet_may_store_less_of_each_vector_where_the_search_is_approximate() {
    let all =
        "type = \"hnsw\"\nvectors = \"f16\"\nquantization = \"binary\"\non_disk = false\nshards = 6\nreplicas = 2";
    let index = of_a_fleet(all).unwrap().spec.index;
    let expected = IndexSection {
        kind: IndexKind::Hnsw,
        hnsw: Hnsw::default(),
        vectors: VectorType::F16,
        on_disk: false,
        quantization: Quantization::Binary,
        shards: 6,
        replicas: 2,
    };
    assert_eq!(index, expected);
    assert_eq!(index.effective(), expected);
    let text = serde_json::to_string(&index).unwrap();
    assert_eq!(serde_json::from_str::<IndexSection>(&text).unwrap(), expected, "{text}");
}

#[test]
fn an_exact_search_keeps_whole_vectors() {
    for (line, problem) in [
        (
            "vectors = \"f16\"",
            "job.toml:16:11: index.vectors: found \"f16\", expected \"f32\": flat_ip is exact over f32 vectors; leave this \
             out, or give index.type \"hnsw\"",
        ),
        (
            "type = \"flat_ip\"\nquantization = \"scalar\"",
            "job.toml:17:16: index.quantization: found \"scalar\", expected \"none\": flat_ip is exact over f32 vectors; \
             leave this out, or give index.type \"hnsw\"",
        ),
    ] {
        let error = of_a_fleet(line).unwrap_err().to_string();
        assert!(error.ends_with(problem), "{error}");
    }
    assert!(of_a_fleet("vectors = \"f32\"\nquantization = \"none\"").is_ok());
}

#[test]
fn a_run_on_this_machine_keeps_whole_vectors() {
    let with = |lines: &str| SMALL.replace("[output]", &format!("[index]\ntype = \"hnsw\"\n{lines}\n[output]"));
    assert_eq!(
        refused(&with("vectors = \"f16\"")),
        [
            "job.toml:17:11: index.vectors: found \"f16\", expected \"f32\": a run on this machine keeps vectors as they are; \
          leave this out, or submit to a fleet"
        ]
    );
    assert!(read_in(&folder(), &with("shards = 2\nreplicas = 3\non_disk = false")).is_ok());
}

#[test]
fn numbers_of_shards_and_replicas_have_bounds() {
    for (line, problem) in [
        ("shards = 0", "index.shards: found 0, expected a whole number from 1 to 1024"),
        ("replicas = 65", "index.replicas: found 65, expected a whole number from 1 to 64"),
        ("on_disk = 1", "index.on_disk: found 1, expected true or false"),
    ] {
        let error = of_a_fleet(line).unwrap_err().to_string();
        assert!(error.ends_with(problem), "{error}");
    }
}

/// Jobs and collections are known by hashes of these texts.
#[test]
fn settings_that_are_left_out_do_not_stand_in_the_stored_text() {
    const BEFORE: &str = r#"{"type":"flat_ip","hnsw":{"m":32,"ef_construct":128,"ef_search":128}}"#;
    assert_eq!(serde_json::to_string(&IndexSection::default()).unwrap(), BEFORE);
    assert_eq!(serde_json::from_str::<IndexSection>(BEFORE).unwrap(), IndexSection::default());
    let spelled_out = accepted(&SMALL.replace(
        "[output]",
        "[index]\nvectors = \"f32\"\non_disk = true\nquantization = \"none\"\nshards = 1\nreplicas = 1\n[output]",
    ));
    assert_eq!(serde_json::to_string(&spelled_out.spec.index).unwrap(), BEFORE);
}
