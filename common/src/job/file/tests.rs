#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use super::*;
use std::fs;
use tempfile::TempDir;

mod filters;
mod rerankers;
mod storage;

/// As little as a job file can hold.
const SMALL: &str = r#"
name = "small"

[corpus]
name = "photos"
source = "photos"
layout = "folder"

[model]
path = "model"

[articles]
file = "articles.csv"

[output]
directory = "out"
"#;

/// A folder with everything that [`SMALL`] names.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    fs::create_dir(folder.path().join("model")).unwrap();
    fs::write(folder.path().join("articles.csv"), "article_id,article_title\n1,One\n").unwrap();
    folder
}

fn read_in(folder: &TempDir, text: &str) -> Result<JobFile> {
    let path = folder.path().join("job.toml");
    fs::write(&path, text).unwrap();
    read(&path, Place::beside(&path))
}

fn accepted(text: &str) -> JobFile {
    read_in(&folder(), text).unwrap()
}

/// The error's lines, each without the folder's name.
fn refused(text: &str) -> Vec<String> {
    let folder = folder();
    let error = read_in(&folder, text).unwrap_err();
    assert!(error.is_permanent());
    let here = format!("{}/", folder.path().display());
    error.to_string().lines().map(|line| line.replace(&here, "")).collect()
}

/// [`SMALL`] with one line replaced is refused with these words and nothing else.
#[track_caller]
fn refuses(line: &str, by: &str, message: &str) {
    assert!(SMALL.contains(line), "{line} is not in the file");
    assert_eq!(refused(&SMALL.replacen(line, by, 1)), [message]);
}

#[test]
fn a_small_file_gets_every_default() {
    let JobFile { spec, .. } = accepted(SMALL);
    assert_eq!(spec.model.batch, 32);
    assert_eq!((spec.model.precision, spec.model.decoding), (Precision::F32, Decoding::Exact));
    assert_eq!(spec.index.kind, IndexKind::FlatIp);
    assert_eq!(spec.index.hnsw, Hnsw { m: 32, ef_construct: 128, ef_search: 128 });
    assert_eq!(spec.limits, Limits { max_bytes: 64 << 20, max_pixels: 100_000_000, max_side: 65_500 });
    assert_eq!(spec.retrieval.candidates, 100);
    assert_eq!(spec.rerankers(), [RerankSection::Identity]);
    assert_eq!((spec.evaluation, spec.report), (None, ReportSection { pictures: 10 }));
    assert!(spec.index_filter.is_empty() && spec.retrieval.filter.is_empty());
    assert_eq!((spec.priority, spec.corpus.shards, spec.corpus.metadata), (0, None, None));
    assert_eq!(spec.corpus.pictures, default_pictures());
}

#[test]
fn every_key_of_a_full_file_reaches_the_spec() {
    let spec = accepted(
        r#"
        name = "full_1.0"
        priority = -3
        corpus = { name = "y", source = "photos", layout = "yfcc", shards = "z/*.zip", metadata = "m/{shard}.gz", pictures = ["*.jpg"] }
        model = { path = "model", precision = "f32", decoding = "fast", batch = 1_024 }
        articles.file = "articles.csv"
        retrieval.candidates = 25
        output.directory = "out"
        [index]
        type = "hnsw"
        hnsw = { m = 16, ef_construct = 200, ef_search = 0x40 }
        on_disk = false
        shards = 4
        replicas = 2
        [limits]
        max_bytes = 1
        max_pixels = 2
        max_side = 3
        [index.filter]
        licence_without = ["nd", "nc"]
        text = ["Boat"]
        [retrieval.filter]
        licence = ["by-sa", "by"]
        taken_from = "2012-01-01"
        taken_before = "2013-01-01"
        [[rerank]]
        type = "identity"
        [[rerank]]
        type = "aesthetics"
        weight = 1
        head = "articles.csv"
        [evaluation]
        split = "validation"
        index = "split"
        seed = 0
        sweep = true
        [report]
        pictures = 0
        "#,
    )
    .spec;
    assert_eq!((spec.name.as_str(), spec.priority), ("full_1.0", -3));
    assert_eq!((spec.corpus.layout, spec.corpus.pictures), (Layout::Yfcc, vec!["*.jpg".to_owned()]));
    assert_eq!(spec.corpus.shards.as_deref(), Some("z/*.zip"));
    assert_eq!(spec.corpus.metadata.as_deref(), Some("m/{shard}.gz"));
    assert_eq!((spec.model.decoding, spec.model.batch, spec.retrieval.candidates), (Decoding::Fast, 1024, 25));
    assert_eq!(
        spec.index,
        IndexSection {
            kind: IndexKind::Hnsw,
            hnsw: Hnsw { m: 16, ef_construct: 200, ef_search: 64 },
            on_disk: false,
            shards: 4,
            replicas: 2,
            ..IndexSection::default()
        }
    );
    assert_eq!(spec.limits, Limits { max_bytes: 1, max_pixels: 2, max_side: 3 });
    let aesthetics = RerankSection::Aesthetics { weight: 1.0, head: "articles.csv".to_owned() };
    assert_eq!(spec.rerank, [RerankSection::Identity, aesthetics]);
    let (split, index) = (Part::Validation, Searched::Split);
    assert_eq!(spec.evaluation, Some(EvaluationSection { split, index, seed: 0, sweep: true }));
    assert_eq!(spec.report, ReportSection { pictures: 0 });
    let filter = |rules: [(&str, &str); 3]| {
        let mut filter = Filter::default();
        rules.into_iter().for_each(|(key, value)| filter.set(key, value).unwrap());
        filter
    };
    assert_eq!(spec.index_filter, filter([("licence_without", "nc"), ("licence_without", "nc,nd"), ("text", "boat")]));
    assert_eq!(
        spec.retrieval.filter,
        filter([("licence", "by,by-sa"), ("taken_from", "2012-01-01"), ("taken_before", "2013-01-01")])
    );
}

/// What `docs/job-file.md` shows: the first TOML block, a whole file.
fn documented() -> &'static str {
    let document = include_str!("../../../../docs/job-file.md");
    document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap()
}

#[test]
fn the_documented_file_is_accepted_and_spells_out_the_defaults() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("data/yfcc100m")).unwrap();
    fs::create_dir_all(folder.path().join("models/clip-vit-base-patch32")).unwrap();
    fs::write(folder.path().join("titles.csv"), "").unwrap();
    let with = read_in(&folder, documented()).unwrap().spec;
    let without = JobSpec {
        priority: 0,
        index: IndexSection::default(),
        limits: Limits::default(),
        retrieval: RetrievalSection::default(),
        rerank: vec![RerankSection::Identity],
        evaluation: Some(EvaluationSection::default()),
        report: ReportSection::default(),
        ..with.clone()
    };
    assert_eq!(with, without);
    assert_eq!(with.corpus.shards.as_deref(), Some(with.corpus.layout.default_shards()));
    assert_eq!(with.corpus.metadata.as_deref(), with.corpus.layout.default_metadata());
    assert_eq!(with.corpus.pictures, default_pictures());
    assert_eq!((with.model.batch, with.model.precision), (default_batch(), Precision::default()));
    assert_eq!(with.model.decoding, Decoding::default());
}

#[test]
fn files_that_differ_in_comments_order_or_spelled_out_defaults_say_the_same() {
    let folder = folder();
    let plain = read_in(&folder, SMALL).unwrap();
    let spelled = SMALL.replace("[model]", "# the same\n[retrieval]\ncandidates = 100\n[model]\nbatch = 32");
    assert_eq!(read_in(&folder, &spelled).unwrap().spec, plain.spec);
}

#[test]
fn an_unknown_key_is_named_with_the_key_that_was_meant() {
    refuses(
        "[output]",
        "[retrieval]\ncandidate = 3\n[output]",
        "job.toml:16:1: retrieval.candidate: no such key, did you mean \"candidates\"?",
    );
    refuses(
        "[model]",
        "colour = 1\n[model]",
        "job.toml:9:1: corpus.colour: no such key, expected one of name, source, layout, shards, metadata, pictures",
    );
    refuses(
        "[output]",
        "[[rerank]]\ntype = \"identity\"\nw = 1\n[output]",
        "job.toml:17:1: rerank[0].w: no such key, expected type",
    );
}

#[test]
fn a_missing_key_is_named_with_the_place_of_its_table() {
    refuses(
        "layout = \"folder\"",
        "",
        "job.toml:4:1: corpus.layout: missing, expected one of \"yfcc\", \"zip\", \"tar\", \"folder\"",
    );
    refuses("name = \"small\"", "", "job.toml:1:1: name: missing, expected a string");
    refuses("[output]\ndirectory = \"out\"", "", "job.toml:1:1: output: missing, expected a table [output]");
}

#[test]
fn a_value_of_another_type_is_refused() {
    refuses("\"small\"", "7", "job.toml:2:8: name: found 7, expected a string");
    refuses(
        "[output]",
        "[limits]\nmax_side = \"9\"\n[output]",
        "job.toml:16:12: limits.max_side: found \"9\", expected a whole number from 1 to 1000000",
    );
    refuses(
        "[output]",
        "[retrieval]\ncandidates = 2.5\n[output]",
        "job.toml:16:14: retrieval.candidates: found 2.5, expected a whole number from 1 to 10000",
    );
    refuses("[model]", "[[model]]", "job.toml:9:1: model: found [[model]], expected a table [model]");
    refuses(
        "[output]",
        "[rerank]\n[output]",
        "job.toml:15:1: rerank: found [rerank], expected an array of tables [[rerank]]",
    );
    refuses(
        "[model]",
        "pictures = [\"*.jpg\", 3]\n[model]",
        "job.toml:9:22: corpus.pictures[1]: found 3, expected a string",
    );
    refuses(
        "[model]",
        "pictures = []\n[model]",
        "job.toml:9:12: corpus.pictures: found [], expected an array of at least one string",
    );
}

#[test]
fn a_name_that_is_not_known_is_refused_with_those_that_are() {
    refuses(
        "\"folder\"",
        "\"tape\"",
        "job.toml:7:10: corpus.layout: found \"tape\", expected one of \"yfcc\", \"zip\", \"tar\", \"folder\"",
    );
    refuses(
        "[output]",
        "[index]\ntype = \"flat\"\n[output]",
        "job.toml:16:8: index.type: found \"flat\", expected one of \"flat_ip\", \"hnsw\"",
    );
    refuses(
        "[articles]",
        "precision = \"f8\"\n[articles]",
        "job.toml:12:13: model.precision: found \"f8\", expected \"f32\"",
    );
    refuses(
        "[articles]",
        "decoding = \"quick\"\n[articles]",
        "job.toml:12:12: model.decoding: found \"quick\", expected one of \"exact\", \"fast\"",
    );
}

#[test]
fn a_number_out_of_its_bounds_is_refused_and_the_bounds_are_accepted() {
    let numbers = [
        ("[model]\npath = \"model\"\nbatch", "model.batch", 1, 1024),
        ("[retrieval]\ncandidates", "retrieval.candidates", 1, 10_000),
        ("[limits]\nmax_bytes", "limits.max_bytes", 1, 1 << 40),
        ("[limits]\nmax_pixels", "limits.max_pixels", 1, 1 << 30),
        ("[limits]\nmax_side", "limits.max_side", 1, 1_000_000),
        ("[index.hnsw]\nm", "index.hnsw.m", 2, 512),
        ("[index.hnsw]\nef_construct", "index.hnsw.ef_construct", 1, 65_536),
        ("[index.hnsw]\nef_search", "index.hnsw.ef_search", 1, 65_536),
    ];
    let rest = |lines: &str| match lines.starts_with("[model]") {
        true => SMALL.replace("[model]\npath = \"model\"", ""),
        false => SMALL.to_owned(),
    };
    for (lines, key, least, most) in numbers {
        for number in [least, most] {
            accepted(&format!("{}{lines} = {number}\n", rest(lines)));
        }
        for number in [least - 1, most + 1, i64::MIN, i64::MAX] {
            let problems = refused(&format!("{}{lines} = {number}\n", rest(lines)));
            let expected = format!("{key}: found {number}, expected a whole number from {least} to {most}");
            assert!(problems.len() == 1 && problems[0].ends_with(&expected), "{problems:?}");
        }
    }
}

#[test]
fn names_hold_letters_digits_and_three_signs_only() {
    for name in ["a", "Ab-1_2.3", &"x".repeat(64)] {
        assert_eq!(accepted(&SMALL.replace("small", name)).spec.name, name);
    }
    for name in ["", " ", "a b", "a/b", "..", "-a", "é", "a\\u0000", &"x".repeat(65)] {
        for (was, key) in [("\"small\"", "2:8: name"), ("\"photos\"", "5:8: corpus.name")] {
            let problems = refused(&SMALL.replacen(was, &format!("\"{name}\""), 1));
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(&format!("job.toml:{key}: found ")), "{problems:?}");
            assert!(problems[0].contains("expected 1 to 64 letters"), "{problems:?}");
        }
    }
}

#[test]
fn patterns_that_could_never_match_are_refused() {
    let zip = SMALL.replace("\"folder\"", "\"zip\"");
    for good in ["*.zip", "images/*.zip", "**/*.zip", "a/**/b?.zip"] {
        accepted(&zip.replace("[model]", &format!("shards = \"{good}\"\n[model]")));
    }
    for bad in ["", "/a/*.zip", "a//b", "a/", "../*.zip", "./a", "a\\\\b", "**", "a/**", "a**/b", "*.[jp]*", "*.{a,b}"]
    {
        for key in ["shards = ", "pictures = "] {
            let value = if key == "shards = " { format!("\"{bad}\"") } else { format!("[\"{bad}\"]") };
            let problems = refused(&zip.replace("[model]", &format!("{key}{value}\n[model]")));
            assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
            assert!(problems[0].contains(&format!("found \"{bad}\", expected ")), "{problems:?}");
        }
    }
}

#[test]
fn a_metadata_pattern_has_the_shard_in_it() {
    let zip = SMALL.replace("\"folder\"", "\"zip\"");
    accepted(&zip.replace("[model]", "metadata = \"m/{shard}.jsonl.gz\"\n[model]"));
    for bad in ["m/shard.gz", "m/{shards}.gz", "m/*/{shard}.gz", "/{shard}.gz"] {
        let problems = refused(&zip.replace("[model]", &format!("metadata = \"{bad}\"\n[model]")));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("job.toml:9:12: corpus.metadata: found "), "{problems:?}");
    }
}

#[test]
fn patterns_that_the_folder_layout_would_ignore_are_refused() {
    refuses(
        "[model]",
        "shards = \"*.zip\"\n[model]",
        "job.toml:9:10: corpus.shards: found \"*.zip\", expected nothing: the folder layout has neither shard files nor metadata",
    );
}

#[test]
fn a_switch_is_true_or_false() {
    refuses(
        "[output]",
        "[evaluation]\nsweep = 1\n[output]",
        "job.toml:16:9: evaluation.sweep: found 1, expected true or false",
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_place() {
    refuses("[corpus]", "[corpus", "job.toml:4:8: not TOML: unclosed table, expected `]`");
    refuses("[corpus]", "name = \"again\"\n[corpus]", "job.toml:4:1: not TOML: duplicate key");
    let folder = folder();
    let path = folder.path().join("job.toml");
    fs::write(&path, b"name = \"x\"\n# caf\xe9\n").unwrap();
    let error = read(&path, Place::Fleet).unwrap_err().to_string();
    assert!(error.ends_with("job.toml:2:6: found the byte 0xe9, expected UTF-8"), "{error}");
}

#[test]
fn a_job_file_that_is_not_there_is_a_permanent_error() {
    let error = read(Path::new("/no/such/job.toml"), Place::Fleet).unwrap_err();
    assert!(error.is_permanent() && error.to_string().starts_with("read job file /no/such/job.toml: "), "{error}");
}

#[test]
fn files_that_are_missing_are_refused_all_at_once() {
    let folder = folder();
    fs::remove_dir(folder.path().join("photos")).unwrap();
    fs::remove_dir(folder.path().join("model")).unwrap();
    fs::write(folder.path().join("model"), "").unwrap();
    fs::remove_file(folder.path().join("articles.csv")).unwrap();
    let error = read_in(&folder, SMALL).unwrap_err().to_string();
    let here = format!("{}/", folder.path().display());
    let lines: Vec<String> = error.lines().map(|line| line.replace(&here, "")).collect();
    assert_eq!(
        lines,
        [
            "job.toml:6:10: corpus.source: found \"photos\", expected a directory (photos is not there)",
            "job.toml:10:8: model.path: found \"model\", expected a directory (model is not a directory)",
            "job.toml:13:8: articles.file: found \"articles.csv\", expected a file that can be read (read articles.csv: No such file or directory (os error 2))",
        ]
    );
}

#[test]
fn an_output_directory_that_is_a_file_is_refused() {
    let folder = folder();
    fs::write(folder.path().join("out"), "").unwrap();
    let error = read_in(&folder, SMALL).unwrap_err().to_string();
    assert!(error.contains("job.toml:16:13: output.directory: found \"out\", expected a directory"), "{error}");
}

#[test]
fn embedded_paths_start_at_the_job_file_and_the_source_at_the_object_root() {
    let (folder, root) = (folder(), tempfile::tempdir().unwrap());
    fs::create_dir_all(root.path().join("deep/photos")).unwrap();
    let path = folder.path().join("job.toml");
    fs::write(
        &path,
        SMALL.replace("\"photos\"\nlayout", "\"deep/photos/\"\nlayout").replace("\"out\"", "\"../results/./x\""),
    )
    .unwrap();
    let job = read(&path, Place::Embedded { object_root: root.path().to_path_buf() }).unwrap();
    assert_eq!(job.source, root.path().join("deep/photos"));
    assert_eq!(job.source_below(root.path()).as_deref(), Some("deep/photos"));
    assert_eq!(job.source_below(&job.source).as_deref(), Some(""));
    assert_eq!(job.source_below(folder.path()), None);
    assert_eq!(job.model, ModelAt::Directory(folder.path().join("model")));
    assert_eq!(job.articles, folder.path().join("articles.csv"));
    assert_eq!(job.output, folder.path().parent().unwrap().join("results/x"));
}

#[test]
fn the_object_root_itself_may_be_the_source() {
    for root in ["", ".", "./"] {
        let folder = folder();
        let job = read_in(&folder, &SMALL.replace("\"photos\"\nlayout", &format!("{root:?}\nlayout"))).unwrap();
        assert_eq!(job.source_below(folder.path()).as_deref(), Some(""));
    }
}

#[test]
fn embedded_paths_may_be_absolute_or_start_at_home() {
    let elsewhere = tempfile::tempdir().unwrap();
    let at = elsewhere.path().to_str().unwrap();
    let job =
        accepted(&SMALL.replace("\"photos\"\nlayout", &format!("\"{at}\"\nlayout")).replace("\"out\"", "\"~/out\""));
    assert_eq!(job.source, elsewhere.path());
    assert_eq!(job.output, Path::new(&std::env::var_os("HOME").unwrap()).join("out"));
    let problems = refused(&SMALL.replace("\"out\"", "\"~other/out\""));
    assert_eq!(
        problems,
        [
            "job.toml:16:13: output.directory: found \"~other/out\", expected \"~/\" for the home directory: another user's is not known"
        ]
    );
}

#[test]
fn a_job_for_a_fleet_names_no_place_of_one_machine() {
    let folder = folder();
    let path = folder.path().join("job.toml");
    let fleet = |text: &str| {
        fs::write(&path, text).unwrap();
        read(&path, Place::Fleet)
    };
    // The workers have source and model, so they are not looked for here.
    let elsewhere = SMALL
        .replace("\"photos\"\nlayout", "\"yfcc/images\"\nlayout")
        .replace("path = \"model\"", "path = \"openai/clip\"");
    let job = fleet(&elsewhere).unwrap();
    assert_eq!(job.source, Path::new("yfcc/images"));
    assert_eq!(job.model, ModelAt::Directory("openai/clip".into()));
    assert_eq!(job.articles, folder.path().join("articles.csv"));

    let keys = [
        ("\"photos\"\nlayout", "corpus.source"),
        ("\"model\"", "model.path"),
        ("\"articles.csv\"", "articles.file"),
        ("\"out\"", "output.directory"),
    ];
    for (was, key) in keys {
        for (place, reason) in [
            ("~/x", "'~' means this machine"),
            ("/x", "an absolute path means this machine"),
            ("File:///x", "a file URL means this machine"),
        ] {
            let error = fleet(&SMALL.replace(was, &was.replacen(was.split('"').nth(1).unwrap(), place, 1)))
                .unwrap_err()
                .to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
            let expected = format!(
                "{key}: found \"{place}\", expected a relative path, because the job goes to a fleet: {reason}"
            );
            assert!(error.ends_with(&expected), "{error}");
        }
    }
    let error = fleet(&SMALL.replace("\"photos\"\nlayout", "\"../photos\"\nlayout")).unwrap_err().to_string();
    assert!(
        error.contains("corpus.source: found \"../photos\"") && error.ends_with("'..' leads out of the object root"),
        "{error}"
    );
}

#[test]
fn every_problem_of_a_file_is_told_from_top_to_bottom() {
    let problems =
        refused(&SMALL.replace("\"small\"", "\"\"").replace("\"folder\"", "\"tape\"").replace("\"out\"", "3"));
    let keys: Vec<&str> = problems.iter().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(keys, ["name", "corpus.layout", "output.directory"]);
}

#[test]
fn a_model_of_the_hub_is_named_instead_of_a_directory() {
    let with = |line: &str| SMALL.replace("path = \"model\"", line);
    let job = accepted(&with("hub = \"openai/clip-vit-base-patch32@3d74acf\""));
    let name = "openai/clip-vit-base-patch32@3d74acf".to_owned();
    assert_eq!(job.model, ModelAt::Hub(name.clone()));
    assert_eq!(job.spec.model.files, ModelFiles::Hub(name));
    for bad in ["clip", "openai/", "../clip", "openai/clip@", "openai/clip@../x", "openai/clip/b", "open ai/clip"] {
        let problems = refused(&with(&format!("hub = \"{bad}\""))).join("\n");
        assert!(problems.contains("model.hub"), "{bad}: {problems}");
    }
    assert!(refused(&with("hub = \"openai/clip\"\npath = \"model\""))[0].contains("either path or hub"));
    assert!(refused(&with("batch = 2"))[0].contains("model.path"));
}
