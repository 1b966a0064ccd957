//! The samples of `e2e/samples`: `EdgeDeployment`s that must be accepted, and ones that must be refused and why.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One sample and what must become of it.
pub(crate) struct Sample {
    /// Its file, for messages.
    pub(crate) file: String,
    /// The object.
    pub(crate) object: Value,
    /// Absent: it must be accepted.
    pub(crate) refused: Option<Refusal>,
}

/// What the API server must say of a sample that it refuses.
pub(crate) struct Refusal {
    /// The field that must be named.
    pub(crate) field: String,
    /// What must be said of it.
    pub(crate) text: String,
}

/// Every sample of `good` and `bad`. There are some of both.
pub(crate) fn all() -> Vec<Sample> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/samples");
    let (good, bad) = (read(&root.join("good")), read(&root.join("bad")));
    assert!(good.len() >= 6 && bad.len() >= 20, "found {} good and {} bad samples", good.len(), bad.len());
    for sample in &good {
        assert!(sample.refused.is_none(), "{} is good and has a refusal", sample.file);
    }
    for sample in &bad {
        assert!(sample.refused.is_some(), "{} does not begin with `# refused: FIELD: TEXT`", sample.file);
    }
    good.into_iter().chain(bad).collect()
}

fn read(directory: &Path) -> Vec<Sample> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| sample(file)).collect()
}

fn sample(path: &Path) -> Sample {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).unwrap();
    let header = text.lines().next().unwrap_or_default();
    let refused = header.strip_prefix("# refused: ").map(|rest| {
        let (field, text) = rest.split_once(": ").unwrap_or_else(|| panic!("{file}: no text after the field in {header}"));
        Refusal { field: field.to_owned(), text: text.to_owned() }
    });
    let object = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    Sample { file, object, refused }
}
