//! Values on their way into and out of a statement, independent of the engine.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use serde::de::DeserializeOwned;

use crate::{Error, postgres};

/// A value to bind to `$1`, `$2` … . Made by `into()` from what Rust has: `&[id.into(), 3.into()]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// SQL null.
    Null,
    /// An integer; booleans are 0 and 1.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A value of a row, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// SQL null.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// A type that a column can be read as.
pub trait FromCell: Sized {
    /// What was expected, for the message.
    const EXPECTED: &'static str;

    /// The value; none where the cell holds something else.
    fn from_cell(cell: Cell<'_>) -> Option<Self>;
}

/// One row of a result. Columns count from 0.
#[derive(Debug)]
pub struct Row<'a>(pub(crate) Cells<'a>);

/// The row as the engine has it.
#[derive(Debug)]
pub(crate) enum Cells<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

/// A cell as it lies in the row, or a text made of one that has no other form.
pub(crate) enum Found<'a> {
    Cell(Cell<'a>),
    Text(String),
}

impl Row<'_> {
    /// The column as a `T`; `Option<T>` where it may be null.
    pub fn get<T: FromCell>(&self, column: usize) -> Result<T, Error> {
        let found = self.found(column)?;
        let cell = match &found {
            Found::Cell(cell) => *cell,
            Found::Text(text) => Cell::Text(text),
        };
        T::from_cell(cell).ok_or_else(|| Error::Column {
            column: column.to_string(),
            expected: T::EXPECTED,
            found: cell.kind(),
        })
    }

    /// A text column that holds JSON, as a `T`.
    pub fn json<T: DeserializeOwned>(&self, column: usize) -> Result<T, Error> {
        let text: String = self.get(column)?;
        serde_json::from_str(&text).map_err(|_| Error::Column {
            column: column.to_string(),
            expected: "JSON of the wanted shape",
            found: "text",
        })
    }

    fn found(&self, column: usize) -> Result<Found<'_>, Error> {
        let found = match &self.0 {
            Cells::Sqlite(row) => sqlite_cell(row, column).map(Found::Cell),
            Cells::Postgres(row) => postgres::cell(row, column),
        };
        found.map_err(|found| Error::Column {
            column: column.to_string(),
            expected: "a column of the result",
            found,
        })
    }
}

fn sqlite_cell<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<Cell<'a>, &'static str> {
    Ok(match row.get_ref(column).map_err(|_| "no such column")? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(bytes) => Cell::Text(std::str::from_utf8(bytes).map_err(|_| "text that is no UTF-8")?),
        ValueRef::Blob(bytes) => Cell::Blob(bytes),
    })
}

impl Cell<'_> {
    fn kind(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer(_) => "an integer",
            Self::Real(_) => "a floating-point number",
            Self::Text(_) => "text",
            Self::Blob(_) => "bytes",
        }
    }

    fn integer(self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(value),
            _ => None,
        }
    }
}

impl ToSql for Param {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<i64> for Param {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<i32> for Param {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u32> for Param {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<bool> for Param {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Param {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for Param {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Param {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Param {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<Vec<u8>> for Param {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<&[u8]> for Param {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl<T: Into<Param>> From<Option<T>> for Param {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl FromCell for i64 {
    const EXPECTED: &'static str = "an integer";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        cell.integer()
    }
}

impl FromCell for i32 {
    const EXPECTED: &'static str = "an integer of 32 bits";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        cell.integer()?.try_into().ok()
    }
}

impl FromCell for u32 {
    const EXPECTED: &'static str = "an integer from 0 to 4294967295";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        cell.integer()?.try_into().ok()
    }
}

impl FromCell for u64 {
    const EXPECTED: &'static str = "an integer from 0";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        cell.integer()?.try_into().ok()
    }
}

impl FromCell for bool {
    const EXPECTED: &'static str = "0 or 1";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell.integer()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl FromCell for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Real(value) => Some(value),
            Cell::Integer(value) => Some(value as f64),
            _ => None,
        }
    }
}

impl FromCell for String {
    const EXPECTED: &'static str = "text";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl FromCell for Vec<u8> {
    const EXPECTED: &'static str = "bytes";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

impl<T: FromCell> FromCell for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}
