//! Walks the TOML tree into a model. Every problem is noted and the walk goes on, so that all are told at once.
//!
//! What a single value may be is decided here; what values mean together is decided by [`crate::check`].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Problem;
use crate::model::{FORMAT, Model};
use crate::nearest;

mod bff;
mod brick;
mod canary;
mod config;
mod demo;
mod limit;
mod listener;
mod load;
mod repository;
mod route;
mod suite;
mod system;

pub use listener::is_host;

/// What was read, as far as it could be.
pub(crate) struct Manifest {
    pub(crate) model: Model,
    pub(crate) places: Places,
    pub(crate) problems: Vec<Problem>,
    /// The manifest's format is newer than this version reads; nothing else was looked at.
    pub(crate) newer: bool,
}

/// Where keys and values stand, by path: `brick.order.needs.1`.
#[derive(Debug, Default)]
pub(crate) struct Places {
    keys: BTreeMap<String, Range<usize>>,
    values: BTreeMap<String, Range<usize>>,
    texts: BTreeMap<String, String>,
}

impl Places {
    /// The entry of a list at the path, where it is a string.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// The value at the path, else the nearest place above it.
    pub(crate) fn value(&self, path: &str) -> Range<usize> {
        above(&self.values, path)
    }

    /// The key at the path, else the nearest place above it.
    pub(crate) fn key(&self, path: &str) -> Range<usize> {
        above(&self.keys, path)
    }

    /// Whether the manifest has a value there.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.values.contains_key(path)
    }

    /// The names under a table, those of entries that could not be read included.
    pub(crate) fn names<'p>(&'p self, table: &'p str) -> impl Iterator<Item = &'p str> + Clone {
        self.keys
            .range(format!("{table}.")..)
            .map_while(move |(path, _)| path.strip_prefix(table)?.strip_prefix('.'))
            .filter(|name| !name.contains('.'))
    }
}

fn above(places: &BTreeMap<String, Range<usize>>, path: &str) -> Range<usize> {
    let mut path = path;
    loop {
        if let Some(place) = places.get(path) {
            return place.clone();
        }
        match path.rsplit_once('.') {
            Some((parent, _)) => path = parent,
            None => return 0..0,
        }
    }
}

/// The walk's state: places and problems so far.
#[derive(Default)]
struct Reader {
    places: Places,
    problems: Vec<Problem>,
}

/// A table on the way, with its path.
#[derive(Clone)]
struct Table<'t> {
    path: String,
    place: Range<usize>,
    entries: &'t DeTable<'t>,
}

/// A value on the way, with its path.
struct Item<'t> {
    path: String,
    name: &'t str,
    key: Range<usize>,
    value: &'t Spanned<DeValue<'t>>,
}

/// Reads a whole document.
pub(crate) fn manifest(document: &DeTable<'_>) -> Manifest {
    let mut reader = Reader::default();
    let root = Table {
        path: String::new(),
        place: 0..0,
        entries: document,
    };
    let newer = !format(&mut reader, &root);
    let model = if newer {
        system::empty()
    } else {
        system::model(&mut reader, &root)
    };
    Manifest {
        model,
        places: reader.places,
        problems: reader.problems,
        newer,
    }
}

/// Checks the manifest's format; false when it is newer than this version reads.
fn format(reader: &mut Reader, root: &Table<'_>) -> bool {
    let Some(item) = root.get("brickwork") else {
        let problem = Problem::new("missing-key", &root.place, "missing key \"brickwork\"");
        reader
            .problems
            .push(problem.hint("begin the file with brickwork = 1, the format of the manifest"));
        return true;
    };
    match reader.integer(&item, 1..=i64::MAX) {
        Some(format) if format > i64::from(FORMAT) => {
            let message = format!(
                "this manifest is made for a newer Brickwork: its format is {format}, this one reads {FORMAT}"
            );
            let problem = Problem::new("newer-format", &item.value.span(), message);
            reader
                .problems
                .push(problem.hint("use a newer brick, or the manifest that belongs to this one"));
            false
        }
        _ => true,
    }
}

impl<'t> Table<'t> {
    fn get(&self, name: &str) -> Option<Item<'t>> {
        let (key, value) = self.entries.get_key_value(name)?;
        Some(self.item(key, value))
    }

    fn items(&self) -> impl Iterator<Item = Item<'t>> {
        self.entries.iter().map(|(key, value)| self.item(key, value))
    }

    fn item(&self, key: &'t Spanned<std::borrow::Cow<'t, str>>, value: &'t Spanned<DeValue<'t>>) -> Item<'t> {
        let name = key.get_ref().as_ref();
        Item {
            path: if self.path.is_empty() {
                name.to_owned()
            } else {
                format!("{}.{name}", self.path)
            },
            name,
            key: key.span(),
            value,
        }
    }

    /// As a header names it.
    fn label(&self) -> String {
        if self.path.is_empty() {
            "the manifest".to_owned()
        } else {
            format!("[{}]", self.path)
        }
    }
}

impl Reader {
    fn problem(&mut self, code: &'static str, place: &Range<usize>, message: String) {
        self.problems.push(Problem::new(code, place, message));
    }

    /// Notes where an item stands. Every item that is read passes here.
    fn note(&mut self, item: &Item<'_>) {
        self.places.keys.insert(item.path.clone(), item.key.clone());
        let span = item.value.span();
        let span = if span.is_empty() { item.key.clone() } else { span };
        self.places.values.insert(item.path.clone(), span);
    }

    /// The entry as a table that may hold `keys` alone; an unknown key is told with the nearest one.
    fn table<'t>(&mut self, item: &Item<'t>, keys: &[&'static str]) -> Option<Table<'t>> {
        let table = self.free_table(item)?;
        self.only(&table, keys);
        Some(table)
    }

    /// The entry as a table with any keys.
    fn free_table<'t>(&mut self, item: &Item<'t>) -> Option<Table<'t>> {
        self.note(item);
        match item.value.get_ref() {
            DeValue::Table(entries) => Some(Table {
                path: item.path.clone(),
                place: self.places.value(&item.path),
                entries,
            }),
            _ => self.wrong_type(item, "a table"),
        }
    }

    fn only(&mut self, table: &Table<'_>, keys: &[&'static str]) {
        for item in table.items().filter(|item| !keys.contains(&item.name)) {
            let message = format!("unknown key \"{}\" in {}", short(item.name), table.label());
            let hint = nearest::hint(item.name, "known keys", keys.iter().copied());
            self.problems
                .push(Problem::new("unknown-key", &item.key, message).hint(hint));
        }
    }

    fn wrong_type<T>(&mut self, item: &Item<'_>, expected: &str) -> Option<T> {
        let message = format!(
            "{}: expected {expected}, found {}",
            item.path,
            found(item.value.get_ref())
        );
        self.problem("wrong-type", &item.value.span(), message);
        None
    }

    fn missing(&mut self, table: &Table<'_>, key: &str, hint: &str) {
        let message = format!("missing key \"{key}\" in {}", table.label());
        self.problems
            .push(Problem::new("missing-key", &table.place, message).hint(hint));
    }

    fn bad_value(&mut self, item: &Item<'_>, why: impl Display) {
        let message = format!("{}: {why}", item.path);
        self.problem("bad-value", &item.value.span(), message);
    }

    fn text<'t>(&mut self, item: &Item<'t>) -> Option<&'t str> {
        self.note(item);
        match item.value.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            _ => self.wrong_type(item, "a string"),
        }
    }

    fn boolean(&mut self, item: &Item<'_>) -> Option<bool> {
        self.note(item);
        match item.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type(item, "true or false"),
        }
    }

    fn integer(&mut self, item: &Item<'_>, range: RangeInclusive<i64>) -> Option<i64> {
        self.note(item);
        let expected = if *range.end() == i64::MAX {
            format!("an integer from {} on", range.start())
        } else {
            format!("an integer from {} to {}", range.start(), range.end())
        };
        let DeValue::Integer(integer) = item.value.get_ref() else {
            return self.wrong_type(item, &expected);
        };
        let value = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        match value.filter(|value| range.contains(value)) {
            Some(value) => Some(value),
            None => {
                self.bad_value(
                    item,
                    format!("expected {expected}, found {}", short(&integer.to_string())),
                );
                None
            }
        }
    }

    /// A number with a fraction, or a whole one.
    fn decimal(&mut self, item: &Item<'_>, expected: &str) -> Option<f64> {
        self.note(item);
        match item.value.get_ref() {
            DeValue::Float(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            _ => self.wrong_type(item, expected),
        }
    }

    /// A string that reads as `T`; its error says what was expected.
    fn parsed<T>(&mut self, item: &Item<'_>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.text(item)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.bad_value(item, error);
                None
            }
        }
    }

    /// A value that reads as `T` and lies in the range.
    fn within<T>(&mut self, item: &Item<'_>, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
        T::Err: Display,
    {
        let value = self.parsed(item)?;
        if range.contains(&value) {
            return Some(value);
        }
        self.bad_value(
            item,
            format!("expected {} to {}, found {value}", range.start(), range.end()),
        );
        None
    }

    /// A list, each entry with its own path.
    fn list<'t>(&mut self, item: &Item<'t>, expected: &str) -> Vec<Item<'t>> {
        self.note(item);
        let DeValue::Array(values) = item.value.get_ref() else {
            self.wrong_type::<()>(item, expected);
            return Vec::new();
        };
        let item = |(at, value): (usize, &'t Spanned<DeValue<'t>>)| Item {
            path: format!("{}.{at}", item.path),
            name: item.name,
            key: value.span(),
            value,
        };
        let items: Vec<Item<'t>> = values.iter().enumerate().map(item).collect();
        for item in &items {
            self.note(item);
            if let DeValue::String(text) = item.value.get_ref() {
                self.places.texts.insert(item.path.clone(), text.to_string());
            }
        }
        items
    }
}

/// What was found, for messages.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string \"{}\"", short(text)),
        DeValue::Integer(integer) => format!("the integer {}", short(&integer.to_string())),
        DeValue::Float(float) => format!("the number {}", short(float.as_str())),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// At most 60 characters of a foreign text, on one line.
pub(crate) fn short(text: &str) -> String {
    let mut short: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(60)
        .collect();
    if text.chars().count() > 60 {
        short.push('…');
    }
    short
}
