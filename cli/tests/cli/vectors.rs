//! Vectors without a job: encoded on demand, exported, imported.

use crate::{output, project};
use imagefleet_tests::{
    corpus::{photos, write_yfcc_shard},
    points::{newest_job, points},
    project::tiny_model,
};
use serde_json::{Value, json as object};
use std::fs;

fn model() -> String {
    tiny_model().display().to_string()
}

#[tokio::test]
async fn encode_prints_the_vectors_that_a_job_stores() {
    let project = project();
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let photo = photos("0a1", 12).remove(3);
    fs::write(project.path().join("one.jpg"), &photo.bytes).unwrap();
    let model = model();
    let args = ["encode", "--model", &model, "--text", "a red boat", "--text", "", "--image", "one.jpg"];
    let (code, stdout, stderr) = output(&project, &args);
    assert_eq!(code, 0, "{stderr}");
    let encoded: Value = serde_json::from_str(&stdout).unwrap();
    let vectors = encoded["vectors"].as_array().unwrap();
    assert_eq!(
        (&vectors[0]["text"], &vectors[1]["text"], &vectors[2]["image"]),
        (&object!("a red boat"), &object!(""), &object!("one.jpg"))
    );
    for vector in vectors {
        let values: Vec<f64> =
            vector["vector"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(values.len() as u64, encoded["dims"].as_u64().unwrap());
        assert!((values.iter().map(|value| value * value).sum::<f64>().sqrt() - 1.0).abs() < 1e-6);
    }
    let stored = &points(&project).await[&photo.key];
    for (value, stored) in vectors[2]["vector"].as_array().unwrap().iter().zip(&stored.vector) {
        assert!((value.as_f64().unwrap() - f64::from(*stored)).abs() < 1e-6);
    }
}

#[test]
fn encode_names_what_it_cannot_take() {
    let project = project();
    let model = model();
    let refused = |args: &[&str]| {
        let (code, stdout, stderr) = output(&project, args);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        stderr
    };
    let (code, _, stderr) = output(&project, &["encode", "--model", &model]);
    assert!(code == 2 && stderr.contains("--text <TEXT>|--image <FILE>"), "{stderr}");
    assert!(refused(&["encode", "--model", "gone", "--text", "x"]).contains("gone"));
    assert!(refused(&["encode", "--model", &model, "--image", "job.toml"]).contains("job.toml: unknown"));
    assert!(refused(&["encode", "--model", &model, "--image", "none.jpg"]).contains("none.jpg"));
}

#[tokio::test]
async fn what_is_exported_comes_back_as_it_was_and_goes_out_again_as_the_same_bytes() {
    let project = project();
    write_yfcc_shard(&project.corpus(), "0a2", &photos("0a2", 7));
    assert_eq!(output(&project, &["run", "job.toml"]).0, 0);
    let (_, job) = newest_job(&project).await;
    let (code, stdout, stderr) = output(&project, &["vectors", "export", &job.collection.0, "exported"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("19 vectors of"), "{stdout}");
    assert_eq!(output(&project, &["vectors", "import", "exported", "copy"]).0, 0);
    assert_eq!(output(&project, &["vectors", "export", "copy", "again"]).0, 0);
    let read = |folder: &str, file: &str| fs::read(project.path().join(folder).join(file)).unwrap();
    for file in ["vectors.npy", "vectors.jsonl"] {
        assert_eq!(read("exported", file), read("again", file), "{file}");
    }

    let held = points(&project).await;
    let lines: Vec<Value> = String::from_utf8(read("exported", "vectors.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 19);
    let matrix = read("exported", "vectors.npy");
    let dims = held.values().next().unwrap().vector.len();
    let numbers = &matrix[matrix.len() - 19 * dims * 4..];
    for (line, row) in lines.iter().zip(numbers.chunks_exact(dims * 4)) {
        let point = &held[line["key"].as_str().unwrap()];
        let credit = ["author", "owner", "title", "licence", "licence_url", "page_url", "taken", "tags"];
        let of = serde_json::to_value(&point.payload.attribution).unwrap();
        for field in credit {
            assert!(line[field] == of[field] && of[field] != "", "{field}: {line}");
        }
        let bytes: Vec<u8> = point.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(row, bytes, "{}", line["key"]);
    }
}

#[test]
fn vectors_of_elsewhere_are_taken_in_with_the_model_that_made_them() {
    let project = project();
    let model = model();
    let (_, stdout, _) = output(&project, &["encode", "--model", &model, "--text", "a", "--text", "b"]);
    let encoded: Value = serde_json::from_str(&stdout).unwrap();
    let dims = encoded["dims"].as_u64().unwrap() as usize;
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (2, {dims}), }}\n");
    let mut matrix = b"\x93NUMPY\x01\0".to_vec();
    matrix.extend((header.len() as u16).to_le_bytes());
    matrix.extend(header.as_bytes());
    for vector in encoded["vectors"].as_array().unwrap() {
        matrix.extend(
            vector["vector"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|value| (value.as_f64().unwrap() as f32).to_le_bytes()),
        );
    }
    let folder = project.path().join("elsewhere");
    fs::create_dir(&folder).unwrap();
    let lines = "{\"key\": \"one\"}\n{\"key\": \"two\", \"title\": \"Two\"}\n";
    fs::write(folder.join("vectors.npy"), &matrix).unwrap();
    fs::write(folder.join("vectors.jsonl"), lines).unwrap();

    let refused = |what: &str| {
        let (code, _, stderr) = output(&project, &["vectors", "import", "elsewhere", "theirs", "--model", &model]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(what), "{stderr}");
    };
    fs::write(folder.join("vectors.jsonl"), "{\"key\": \"one\"}\n").unwrap();
    refused("vectors.npy has 2 rows and vectors.jsonl has 1 lines");
    fs::write(folder.join("vectors.jsonl"), "{\"key\": \"one\"}\n{\"key\": \"one\"}\n").unwrap();
    refused("line 2, \"one\": this key stands twice");
    fs::write(folder.join("vectors.jsonl"), "{\"key\": \"one\"}\n{\"title\": \"Two\"}\n").unwrap();
    refused("line 2");
    fs::write(folder.join("vectors.jsonl"), lines).unwrap();
    let end = matrix.len();
    matrix[end - 4 * dims..].fill(0);
    fs::write(folder.join("vectors.npy"), &matrix).unwrap();
    refused("line 2, \"two\": its vector has length 0");
    matrix.truncate(end - 4 * dims);
    let first = matrix[matrix.len() - 4 * dims..].to_vec();
    fs::write(folder.join("vectors.npy"), &matrix).unwrap();
    refused("it ends before row 2");
    matrix.extend(first);
    fs::write(folder.join("vectors.npy"), &matrix).unwrap();
    let (code, _, stderr) = output(&project, &["vectors", "import", "elsewhere", "theirs"]);
    assert!(code == 1 && stderr.contains("--model"), "{stderr}");

    assert!(!project.path().join(".imagefleet").exists(), "nothing was made");
    let (code, stdout, stderr) = output(&project, &["vectors", "import", "elsewhere", "theirs", "--model", &model]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("2 vectors"), "{stdout}");
    assert_eq!(output(&project, &["vectors", "export", "theirs", "back"]).0, 0);
    let back = fs::read_to_string(project.path().join("back/vectors.jsonl")).unwrap();
    assert!(back.lines().nth(1).unwrap().contains("\"title\":\"Two\""), "{back}");
    for name in ["theirs", "", "../x", "photos-0123456789abcdef"] {
        let (code, _, stderr) = output(&project, &["vectors", "import", "elsewhere", name, "--model", &model]);
        assert!(code == 1 && stderr.contains("name") | stderr.contains("called"), "{name:?}: {stderr}");
    }
    assert_eq!(fs::read_to_string(project.path().join("back/vectors.jsonl")).unwrap(), back, "nothing was added");
    let (code, _, stderr) = output(&project, &["vectors", "export", "another", "x"]);
    assert!(code == 1 && stderr.contains("theirs"), "{stderr}");
}
