//! The file, record by record. A member that is not there, or is something else, is an error that names record and member: a record
//! that was not understood must not count as one that agrees.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Largest file that is read, in bytes. The whole collection has less than one megabyte.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// The area of records that others name.
const FIXTURE: &str = "fixture";

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} has {size} bytes, at most {MAX_FILE_BYTES} are read", path.display())]
    TooLarge { path: PathBuf, size: u64 },
    #[error("{} is not a JSON array of objects: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("record {id}: {member} {problem}")]
    Member { id: String, member: String, problem: &'static str },
}

/// All records of a file.
pub(crate) struct Records(Vec<Record>);

/// One record.
pub(crate) struct Record {
    pub(crate) area: String,
    pub(crate) id: String,
    members: Map<String, Value>,
}

impl Records {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > MAX_FILE_BYTES {
            return Err(Error::TooLarge { path: path.to_owned(), size });
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let objects: Vec<Map<String, Value>> =
            serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        objects.into_iter().enumerate().map(|(index, members)| Record::new(index, members)).collect::<Result<_, _>>().map(Self)
    }

    /// Those of one area.
    pub(crate) fn of<'r>(&'r self, area: &'r str) -> impl Iterator<Item = &'r Record> {
        self.0.iter().filter(move |record| record.area == area)
    }

    /// The areas other than fixtures, each with its number of records, in the order of the file.
    pub(crate) fn areas(&self) -> Vec<(&str, usize)> {
        let mut areas: Vec<(&str, usize)> = Vec::new();
        for record in self.0.iter().filter(|record| record.area != FIXTURE) {
            match areas.iter_mut().find(|(area, _)| *area == record.area) {
                Some((_, count)) => *count += 1,
                None => areas.push((&record.area, 1)),
            }
        }
        areas
    }

    /// The message that `record` names.
    pub(crate) fn fixture(&self, record: &Record) -> Result<&Map<String, Value>, Error> {
        let name = record.text("message")?;
        let fixture = self.of(FIXTURE).find(|fixture| fixture.members.get("name").and_then(Value::as_str) == Some(name));
        fixture.ok_or_else(|| record.wrong("message", "names no fixture"))?.object("message")
    }
}

impl Record {
    fn new(index: usize, members: Map<String, Value>) -> Result<Self, Error> {
        let text = |member: &str| {
            let value = members.get(member).and_then(Value::as_str);
            value.map(str::to_owned).ok_or_else(|| Error::Member {
                id: format!("number {}", index + 1),
                member: member.to_owned(),
                problem: "is missing or no text",
            })
        };
        Ok(Self { area: text("area")?, id: text("id")?, members })
    }

    pub(crate) fn wrong(&self, member: &str, problem: &'static str) -> Error {
        Error::Member { id: self.id.clone(), member: member.to_owned(), problem }
    }

    pub(crate) fn get(&self, member: &str) -> Result<&Value, Error> {
        self.members.get(member).ok_or_else(|| self.wrong(member, "is missing"))
    }

    pub(crate) fn maybe(&self, member: &str) -> Option<&Value> {
        self.members.get(member)
    }

    pub(crate) fn text(&self, member: &str) -> Result<&str, Error> {
        self.get(member)?.as_str().ok_or_else(|| self.wrong(member, "is no text"))
    }

    pub(crate) fn object(&self, member: &str) -> Result<&Map<String, Value>, Error> {
        self.get(member)?.as_object().ok_or_else(|| self.wrong(member, "is no object"))
    }

    pub(crate) fn list(&self, member: &str) -> Result<&Vec<Value>, Error> {
        self.get(member)?.as_array().ok_or_else(|| self.wrong(member, "is no list"))
    }

    pub(crate) fn expected(&self) -> Result<&Value, Error> {
        self.get("expected")
    }
}
