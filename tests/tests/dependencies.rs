//! Dependencies are those that `deny.toml` lets in: by licence, by name, by where they come from.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

struct Policy {
    licences: BTreeSet<String>,
    banned: BTreeSet<String>,
}

impl Policy {
    fn read(root: &Path) -> Self {
        let text = fs::read_to_string(root.join("deny.toml")).unwrap();
        let policy: toml::Table = text.parse().unwrap();
        let list = |section: &str, key: &str| -> BTreeSet<String> {
            let items = policy[section][key].as_array().unwrap();
            items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
        };
        Self { licences: list("licenses", "allow"), banned: list("bans", "deny") }
    }

    /// Does an SPDX expression leave a choice of which all is allowed? OR binds weaker than AND; `/` is an old OR.
    fn allows(&self, expression: &str) -> bool {
        let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let (allowed, rest) = self.any(&words);
        allowed && rest.is_empty()
    }

    fn any<'a>(&self, words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
        let (mut allowed, mut rest) = self.all(words);
        while let Some(("OR", more)) = rest.split_first().map(|(word, more)| (*word, more)) {
            let next = self.all(more);
            (allowed, rest) = (allowed | next.0, next.1);
        }
        (allowed, rest)
    }

    fn all<'a>(&self, words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
        let (mut allowed, mut rest) = self.one(words);
        while let Some(("AND", more)) = rest.split_first().map(|(word, more)| (*word, more)) {
            let next = self.one(more);
            (allowed, rest) = (allowed & next.0, next.1);
        }
        (allowed, rest)
    }

    fn one<'a>(&self, words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
        match words {
            ["(", inner @ ..] => {
                let (allowed, rest) = self.any(inner);
                (allowed && rest.first() == Some(&")"), rest.get(1..).unwrap_or_default())
            }
            [name, "WITH", exception, rest @ ..] => (self.licences.contains(&format!("{name} WITH {exception}")), rest),
            [name, rest @ ..] => (self.licences.contains(*name), rest),
            [] => (false, words),
        }
    }
}

#[test]
fn every_dependency_is_let_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let policy = Policy::read(root);
    let metadata = ["metadata", "--format-version", "1", "--locked"];
    let output = Command::new(env!("CARGO")).args(metadata).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut refused = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or_default());
        let Some(source) = package["source"].as_str() else { continue };
        if !policy.allows(licence) {
            refused.push(format!("{name}: the licence {licence:?}"));
        }
        if policy.banned.contains(name) {
            refused.push(format!("{name}: it is banned"));
        }
        if !(source.starts_with("registry+") && source.ends_with("/crates.io-index")) {
            refused.push(format!("{name}: it comes from {source}"));
        }
    }
    assert_eq!(refused, Vec::<String>::new());
}

#[test]
fn a_licence_is_allowed_where_it_leaves_a_choice() {
    let licences = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    let policy = Policy { licences, banned: BTreeSet::new() };
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND Zlib", true),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("GPL-3.0 OR MIT AND GPL-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("", false),
        ("MIT Zlib", false),
    ] {
        assert_eq!(policy.allows(expression), allowed, "{expression:?}");
    }
}
