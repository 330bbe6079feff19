//! Files that requests are made of: each is read once, however many requests have it, and all of them together are bounded.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use command_line::Accepted;
use contract::quantity::canonical_size;

use super::{
    PlanError,
    accepted::{self, refused_because},
    request_options::read_file,
    rows::{MAX_ROWS_FILE, Rows},
};

/// The maximum size of all files of a plan together, in bytes.
pub(crate) const MAX_CONTENTS: u64 = 1 << 30;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Contents {
    files: RefCell<HashMap<PathBuf, Bytes>>,
    rows: RefCell<HashMap<PathBuf, Arc<Rows>>>,
    length: Cell<u64>,
}

impl Contents {
    /// A file of at most `most` bytes.
    pub(super) fn file(&self, path: &Path, most: u64, option: &Accepted) -> Result<Bytes, PlanError> {
        if let Some(known) = self.files.borrow().get(path) {
            return Ok(known.clone());
        }
        let bytes = self.read(path, most, option)?;
        self.files.borrow_mut().insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }

    /// A file of rows.
    pub(super) fn rows(&self, path: &Path) -> Result<Arc<Rows>, PlanError> {
        if let Some(known) = self.rows.borrow().get(path) {
            return Ok(Arc::clone(known));
        }
        let text = self.read(path, MAX_ROWS_FILE, &accepted::ROWS)?;
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let rows = if is_csv { Rows::csv(&text) } else { Rows::json_lines(&text) };
        let rows =
            rows.map_err(|error| refused_because(&accepted::ROWS, path.display(), error.to_string()))?;
        let rows = Arc::new(rows);
        self.rows.borrow_mut().insert(path.to_owned(), Arc::clone(&rows));
        Ok(rows)
    }

    fn read(&self, path: &Path, most: u64, option: &Accepted) -> Result<Bytes, PlanError> {
        let bytes = read_file(path, most, option)?;
        let length = self.length.get() + bytes.len() as u64;
        if length > MAX_CONTENTS {
            let why =
                format!("the files of the plan have more than {} together", canonical_size(MAX_CONTENTS));
            return Err(refused_because(option, path.display(), why));
        }
        self.length.set(length);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_once_and_all_together_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            file
        };
        let (rows, body) = (file("r.csv", "a\n1\n"), file("b", "x"));
        let contents = Contents::default();
        let first = contents.rows(&rows).unwrap();
        fs::remove_file(&rows).unwrap();
        assert!(Arc::ptr_eq(&first, &contents.rows(&rows).unwrap()));
        assert_eq!(contents.file(&body, 1, &accepted::BODY_FILE).unwrap(), "x");
        contents.length.set(MAX_CONTENTS);
        assert_eq!(contents.file(&body, 1, &accepted::BODY_FILE).unwrap(), "x", "it is known");
        let said = contents.file(&file("c", "y"), 1, &accepted::BODY_FILE).unwrap_err().to_string();
        assert!(said.contains("the files of the plan have more than 1G together"), "{said}");
    }
}
