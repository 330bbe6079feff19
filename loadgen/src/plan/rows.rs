//! Rows of a CSV file (RFC 4180) or of JSON lines, whose columns requests take values from. Held as text; nothing here
//! opens a file.

use std::collections::HashMap;

use serde_json::Value;

/// The largest file that is accepted, in bytes.
pub(crate) const MAX_ROWS_FILE: u64 = 64 << 20;

/// The maximum number of rows that are accepted.
pub(crate) const MAX_ROWS: usize = 1_000_000;

/// The maximum number of columns that are accepted.
pub(crate) const MAX_COLUMNS: usize = 1000;

/// Whether a header field can have the value: it has no control character.
pub(super) fn is_of_a_field(value: &str) -> bool {
    value.chars().all(|c| c == '\t' || !c.is_ascii_control())
}

/// Rows of as many values as there are columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    columns: Vec<String>,
    /// The number of each column.
    numbers: HashMap<String, usize>,
    /// What is known of each column.
    known: Vec<ColumnValues>,
    /// All values after each other.
    text: String,
    /// Where each value ends.
    ends: Vec<u32>,
}

/// What is known of all values of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ColumnValues {
    /// The length of the longest, in bytes.
    longest: usize,
    /// Whether one of them can't stand in a header field.
    is_of_no_field: bool,
}

/// What is wrong with rows, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(crate) struct RowsError {
    /// Counted from 1.
    pub(crate) line: u64,
    /// What is wrong.
    pub(crate) what: String,
}

fn error(line: u64, what: impl Into<String>) -> RowsError {
    RowsError { line, what: what.into() }
}

impl Rows {
    /// Reads CSV whose first record names the columns.
    pub(crate) fn csv(text: &[u8]) -> Result<Self, RowsError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(text);
        let in_csv =
            |what: &csv::Error| error(what.position().map_or(1, csv::Position::line), what.to_string());
        let columns = reader.headers().map_err(|what| in_csv(&what))?.clone();
        let mut rows = Self::with_columns(columns.iter().map(str::to_owned).collect())?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|what| in_csv(&what))? {
            let line = record.position().map_or(1, csv::Position::line);
            rows.push(record.iter(), line)?;
        }
        rows.checked()
    }

    /// Reads JSON objects, one on each line; the columns are the names of the first one. Texts are as they are, other values
    /// as JSON.
    pub(crate) fn json_lines(text: &[u8]) -> Result<Self, RowsError> {
        let mut rows = Self::default();
        for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            if text.trim_ascii().is_empty() {
                continue;
            }
            let object: serde_json::Map<String, Value> = serde_json::from_slice(text)
                .map_err(|what| error(line, format!("not a JSON object: {what}")))?;
            if rows.columns.is_empty() {
                rows = Self::with_columns(object.keys().cloned().collect())
                    .map_err(|what| error(line, what.what))?;
            }
            if let Some(other) = object.keys().find(|key| rows.column(key).is_none()) {
                return Err(error(line, format!("'{other}' is not in the first row")));
            }
            let value = |column| match object.get(column) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            let values: Vec<_> = rows.columns.iter().map(value).collect();
            rows.push(values, line)?;
        }
        rows.checked()
    }

    /// Rows of one column.
    pub(crate) fn of_one_column(name: &str, values: impl Iterator<Item = String>) -> Result<Self, RowsError> {
        let mut rows = Self::with_columns(vec![name.to_owned()])?;
        for (line, value) in (1..).zip(values) {
            rows.push([value], line)?;
        }
        rows.checked()
    }

    /// The names of the columns.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The number of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len() / self.columns.len().max(1)
    }

    /// A value; behind the last row, the first one follows.
    #[inline]
    pub(crate) fn value(&self, row: u64, column: usize) -> &str {
        let row = (row % self.len().max(1) as u64) as usize;
        self.at(row * self.columns.len() + column)
    }

    /// The length of the longest value of a column, in bytes.
    pub(crate) fn longest(&self, column: usize) -> usize {
        self.known[column].longest
    }

    /// Whether each value of a column can stand in a header field.
    pub(crate) fn is_of_fields(&self, column: usize) -> bool {
        !self.known[column].is_of_no_field
    }

    #[inline]
    fn at(&self, index: usize) -> &str {
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[begin..self.ends[index] as usize]
    }

    fn with_columns(columns: Vec<String>) -> Result<Self, RowsError> {
        if columns.is_empty() || columns.len() > MAX_COLUMNS {
            return Err(error(1, format!("not 1 to {MAX_COLUMNS} columns")));
        }
        let mut numbers = HashMap::new();
        let numbered = columns.iter().enumerate();
        if let Some((_, twice)) =
            numbered.clone().find(|(at, name)| numbers.insert((*name).clone(), *at).is_some())
        {
            return Err(error(1, format!("the column '{twice}' is there twice")));
        }
        let known = vec![ColumnValues::default(); columns.len()];
        Ok(Self { columns, numbers, known, ..Self::default() })
    }

    fn push(
        &mut self,
        values: impl IntoIterator<Item = impl AsRef<str>>,
        line: u64,
    ) -> Result<(), RowsError> {
        if self.len() >= MAX_ROWS {
            return Err(error(line, format!("more than {MAX_ROWS} rows")));
        }
        for (value, known) in values.into_iter().zip(&mut self.known) {
            let value = value.as_ref();
            known.longest = known.longest.max(value.len());
            known.is_of_no_field |= !is_of_a_field(value);
            self.text.push_str(value);
            let end = u32::try_from(self.text.len()).map_err(|_| error(line, "more than 4 GiB of values"))?;
            self.ends.push(end);
        }
        Ok(())
    }

    fn checked(self) -> Result<Self, RowsError> {
        if self.len() == 0 { Err(error(1, "no rows")) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_and_json_lines_give_the_same_rows() {
        let csv = Rows::csv(b"id,name\r\n1,\"a, \"\"b\"\"\"\r\n2,\n").unwrap();
        let json =
            Rows::json_lines(b"{\"id\":1,\"name\":\"a, \\\"b\\\"\"}\n\n{\"name\":null,\"id\":2}\n").unwrap();
        assert_eq!(csv, json);
        assert_eq!((csv.len(), csv.columns()), (2, &["id".to_owned(), "name".to_owned()][..]));
        let all: Vec<_> = (0..4).map(|row| csv.value(row, 1)).collect();
        assert_eq!(all, ["a, \"b\"", "", "a, \"b\"", ""]);
        let objects = Rows::json_lines(b"{\"a\":{\"b\":[1, true]}}").unwrap();
        assert_eq!(objects.value(0, 0), "{\"b\":[1,true]}");
    }

    #[test]
    fn anything_else_is_refused_with_its_line() {
        for (text, what) in [
            ("", "line 1: "),
            ("a,b\n", "no rows"),
            ("a,a\n1,2\n", "line 1: the column 'a' is there twice"),
            ("a,b\n1,2\n3\n", "line 3: "),
            ("a\n\u{1}\n", ""),
        ] {
            match Rows::csv(text.as_bytes()) {
                Ok(_) => assert!(what.is_empty(), "{text}"),
                Err(error) => assert!(error.to_string().contains(what), "{text}: {error}"),
            }
        }
        assert!(Rows::csv(b"a\n\xff\n").unwrap_err().to_string().contains("line 2"));
        for (text, what) in [
            ("", "no rows"),
            ("[1]", "line 1: not a JSON object"),
            ("{\"a\":1}\n{\"b\":1}", "line 2: 'b' is not in the first row"),
            ("{}", "line 1: not 1 to 1000 columns"),
        ] {
            let error = Rows::json_lines(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn as_many_rows_are_taken_as_documented() {
        let rows = |count: usize| Rows::of_one_column("n", (0..count).map(|number| number.to_string()));
        assert_eq!(rows(MAX_ROWS).unwrap().len(), MAX_ROWS);
        assert!(rows(MAX_ROWS + 1).unwrap_err().to_string().contains("more than 1000000 rows"));
        let columns = |count: usize| {
            let names: Vec<_> = (0..count).map(|number| format!("c{number}")).collect();
            let line = names.join(",");
            Rows::csv(format!("{line}\n{line}\n").as_bytes())
        };
        assert!(columns(MAX_COLUMNS).is_ok() && columns(MAX_COLUMNS + 1).is_err());
    }
}
