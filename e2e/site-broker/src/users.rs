//! The file of users: one `name:password` per line. Passwords never appear in an error.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Why the file was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read the users in {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("line {line} of {path} is not of the form name:password")]
    Line { path: PathBuf, line: usize },
    #[error("{path} names no user")]
    Empty { path: PathBuf },
}

/// Reads the file at `path`.
pub(crate) fn read(path: &Path) -> Result<HashMap<String, String>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<HashMap<String, String>, Error> {
    let mut users = HashMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match line.split_once(':') {
            Some((name, password)) if !name.is_empty() => users.insert(name.to_owned(), password.to_owned()),
            _ => return Err(Error::Line { path: path.to_owned(), line: index + 1 }),
        };
    }
    // An empty file is a mistake, and rumqttd would let nobody in without saying why.
    if users.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(users) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_colons() {
        assert_eq!(parse("\nedge:a:b\n", Path::new("users")).unwrap()["edge"], "a:b");
    }

    #[test]
    fn a_bad_line_is_named_by_number_and_not_quoted() {
        let error = parse("edge:a\nsecret\n", Path::new("users")).unwrap_err().to_string();
        assert_eq!(error, "line 2 of users is not of the form name:password");
    }

    #[test]
    fn a_file_without_users_is_refused() {
        assert!(matches!(parse("\n\n", Path::new("users")), Err(Error::Empty { .. })));
    }
}
