//! What is wrong is refused by name: job files and environments that say what they must not.

use crate::{imagefleet, output, project};
use std::fs;

/// Every value of a job file, one after the other, replaced by each of these.
const WRONG: [&str; 8] = ["-1", "1e99", "\"\"", "[]", "{}", "nan", "\"\\u0000\"", "9223372036854775808"];

#[test]
fn a_job_file_with_any_value_wrong_is_read_or_refused_and_nothing_panics() {
    let project = project();
    let more = "[index]\ntype = \"flat_ip\"\nshards = 1\n[limits]\nmax_side = 100\n";
    let text = fs::read_to_string(project.job_file()).unwrap() + more;
    fs::write(project.job_file(), &text).unwrap();
    let (code, _, stderr) = output(&project, &["plan", "job.toml"]);
    assert_eq!(code, 0, "as it is the file is right: {stderr}");
    let lines: Vec<&str> = text.lines().collect();
    let (mut refused, mut read) = (0, 0);
    for (at, line) in lines.iter().enumerate() {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        for wrong in WRONG {
            let changed = format!("{key} = {wrong}");
            let mut lines = lines.clone();
            lines[at] = &changed;
            fs::write(project.job_file(), lines.join("\n")).unwrap();
            let (code, _, stderr) = output(&project, &["plan", "job.toml"]);
            assert!(!stderr.contains("panicked"), "{changed}: {stderr}");
            match code {
                0 => read += 1,
                1 | 2 => {
                    refused += 1;
                    // Says which file, and which key or what it names.
                    assert!(stderr.contains("job.toml") || stderr.contains(key), "{changed}: {stderr}");
                }
                code => panic!("{changed}: exit code {code}, {stderr}"),
            }
        }
    }
    assert!(refused >= 60, "{refused} refused, {read} read");
}

#[test]
fn an_environment_with_any_value_wrong_is_refused_with_the_variables_name() {
    let project = project();
    let right = [
        ("DATABASE_URL", "postgres://a:secret-one@127.0.0.1:1/a"),
        ("BROKER_URL", "amqp://a:secret-two@127.0.0.1:1/a"),
        ("INDEX_URL", "http://127.0.0.1:1"),
        ("INDEX_API_KEY", "secret-three"),
        ("SOURCES", "/tmp"),
        ("ARTIFACTS", "/tmp"),
    ];
    let wrong = [
        (
            "DATABASE_URL",
            vec![
                "mysql://a:secret-one@b/c",
                "not a URL",
                "postgres://[::1",
                "postgres://a:secret-one@b:99999/c",
                "postgres://a:secret-one@b/c?pasword=secret-one",
            ],
        ),
        ("BROKER_URL", vec!["http://a:secret-two@b", "amqp://", "x", "amqp://[::1", "amqp://a:secret-two@b:99999"]),
        ("INDEX_URL", vec!["ftp://a", "a:b:c", "http://", "6334", "http://a?api_key=secret-three"]),
        (
            "SOURCES",
            vec![
                "relative/path",
                "s3://",
                "s3://b?endpoint=x",
                "s3://b?path_style=perhaps",
                "s3://b?secret_key=secret-four",
            ],
        ),
        ("ARTIFACTS", vec!["../up", "http://a", "s3://b?colour=red", "s3://b/../up", "s3://a:secret-one@b"]),
        ("NAMESPACE", vec!["Ä", "a-b", "A", "1a;DROP TABLE job", "abcdefghijklmnopqrstuvwxyz12345"]),
        ("LEASE", vec!["0", "-1", "x", "99999999999999999999"]),
        ("INDEX_TIMEOUT", vec!["0", "never", "-5"]),
        ("CA_FILE", vec!["/nowhere/ca.pem"]),
        ("LISTEN", vec!["here", "127.0.0.1", "127.0.0.1:99999"]),
        ("QUEUES", vec!["paint", "list,,embed"]),
        ("DEVICE", vec!["gpu", "cuda", "cuda:-1", "cuda:x"]),
        ("SLOTS", vec!["0", "65", "many"]),
        ("GRACE", vec!["-1", "soon"]),
    ];
    let mut tried = 0;
    for (name, values) in wrong {
        for value in values {
            let mut command = imagefleet(&project, &["config", "check"]);
            command.envs(right.map(|(name, value)| (format!("IMAGEFLEET_{name}"), value)));
            let answer = command.env(format!("IMAGEFLEET_{name}"), value).output().unwrap();
            let said = String::from_utf8_lossy(&answer.stdout) + String::from_utf8_lossy(&answer.stderr);
            assert!(!said.contains("panicked") && !said.contains("secret-"), "{name}={value}: {said}");
            assert_ne!(answer.status.code(), Some(0), "{name}={value} is taken: {said}");
            assert!(said.contains(&format!("IMAGEFLEET_{name}")), "{name}={value}: {said}");
            assert!(!value.contains("pasword") || said.contains("sslmode"), "the parameters that there are: {said}");
            tried += 1;
        }
    }
    assert!(tried >= 45, "{tried}");
}
