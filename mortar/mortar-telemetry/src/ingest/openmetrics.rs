//! Reads expositions: OpenMetrics 1.0 text, and the Prometheus text format 0.0.4 that older exporters speak.
//!
//! One bad line refuses the whole exposition, and says where: half a scrape would look like counters that were reset.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

use crate::record::{Family, MetricKind};

/// Samples of one exposition.
const SAMPLES_MAX: usize = 50_000;
/// Labels of one sample.
const LABELS_MAX: usize = 64;

/// Which of the two formats, as `Content-Type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `application/openmetrics-text`: timestamps in seconds, ends with `# EOF`.
    OpenMetrics,
    /// `text/plain`: timestamps in milliseconds, may end anywhere.
    Prometheus,
}

/// What an exposition says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposition {
    /// The families that were described.
    pub families: Vec<Family>,
    /// The samples, without NaN.
    pub samples: Vec<Point>,
}

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Name of the series.
    pub name: String,
    /// Labels as they stand.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
    /// Its own time in milliseconds since 1970, where the exposition has one.
    pub time_ms: Option<u64>,
    /// Whether the family says that it only grows.
    pub cumulative: bool,
}

/// The text is no exposition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found \"{found}\"")]
pub struct Error {
    /// From 1.
    pub line: usize,
    /// What should have stood there.
    pub expected: &'static str,
    /// The line, cut.
    pub found: String,
}

type Cursor<'a> = Peekable<Chars<'a>>;

#[derive(Default)]
struct Parser {
    exposition: Exposition,
    at: HashMap<String, usize>,
    ended: bool,
}

/// Reads a whole exposition.
pub fn parse(text: &str, dialect: Dialect) -> Result<Exposition, Error> {
    let mut parser = Parser::default();
    let mut lines = 0;
    for (number, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        lines = number + 1;
        parser
            .line(line, dialect)
            .map_err(|expected| error(lines, expected, line))?;
    }
    if dialect == Dialect::OpenMetrics && !parser.ended {
        return Err(error(
            lines,
            "\"# EOF\" as the last line (the answer was cut off)",
            "",
        ));
    }
    Ok(parser.finish())
}

fn error(line: usize, expected: &'static str, found: &str) -> Error {
    Error {
        line,
        expected,
        found: found.chars().take(120).collect(),
    }
}

impl Parser {
    fn line(&mut self, line: &str, dialect: Dialect) -> Result<(), &'static str> {
        if self.ended {
            return if line.is_empty() {
                Ok(())
            } else {
                Err("nothing after \"# EOF\"")
            };
        }
        if let Some(comment) = line.strip_prefix('#') {
            return self.comment(comment.trim_start());
        }
        if line.trim().is_empty() {
            return Ok(());
        }
        self.sample(line, dialect)
    }

    fn comment(&mut self, comment: &str) -> Result<(), &'static str> {
        let (word, rest) = comment.split_once(' ').unwrap_or((comment, ""));
        let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "EOF" if rest.is_empty() => self.ended = true,
            "TYPE" => {
                let kind = match text.trim() {
                    "counter" => MetricKind::Counter,
                    "gauge" | "stateset" => MetricKind::Gauge,
                    "histogram" | "gaugehistogram" => MetricKind::Histogram,
                    "summary" => MetricKind::Summary,
                    "info" => MetricKind::Info,
                    "unknown" | "untyped" => MetricKind::Unknown,
                    _ => return Err("a type: counter, gauge, histogram, summary, info, stateset or unknown"),
                };
                self.family(name)?.kind = kind;
            }
            "HELP" => self.family(name)?.help = unescape(text).chars().take(300).collect(),
            "UNIT" => self.family(name)?.unit = text.trim().chars().take(60).collect(),
            _ => {}
        }
        Ok(())
    }

    fn family(&mut self, name: &str) -> Result<&mut Family, &'static str> {
        if !name.starts_with(is_name_start) || !name.chars().all(is_name) {
            return Err("a metric name");
        }
        let families = &mut self.exposition.families;
        let at = *self.at.entry(name.to_owned()).or_insert_with(|| {
            families.push(Family {
                name: name.to_owned(),
                kind: MetricKind::Unknown,
                unit: String::new(),
                help: String::new(),
            });
            families.len() - 1
        });
        self.exposition.families.get_mut(at).ok_or("a metric name")
    }

    fn sample(&mut self, line: &str, dialect: Dialect) -> Result<(), &'static str> {
        if self.exposition.samples.len() >= SAMPLES_MAX {
            return Err("at most 50000 samples");
        }
        let mut chars = line.chars().peekable();
        let name = take_while(&mut chars, is_name);
        if !name.starts_with(is_name_start) {
            return Err("a metric name");
        }
        let labels = if chars.next_if_eq(&'{').is_some() {
            labels(&mut chars)?
        } else {
            Vec::new()
        };
        let rest: String = chars.collect();
        let Some(rest) = rest.strip_prefix([' ', '\t']) else {
            return Err("a space before the value");
        };
        // What follows a hash is an exemplar: checked for its shape, not kept.
        let (rest, exemplar) = match rest.split_once(" # ") {
            Some((rest, exemplar)) => (rest, Some(exemplar)),
            None => (rest, None),
        };
        if let Some(exemplar) = exemplar {
            check_exemplar(exemplar)?;
        }
        let mut words = rest.split_ascii_whitespace();
        let value = words.next().and_then(number).ok_or("a number as the value")?;
        let time_ms = match words.next() {
            Some(word) => Some(timestamp(word, dialect).ok_or("a timestamp behind the value")?),
            None => None,
        };
        if words.next().is_some() {
            return Err("nothing behind the timestamp");
        }
        if !value.is_nan() {
            let cumulative = self.is_cumulative(&name);
            self.exposition.samples.push(Point {
                name,
                labels,
                value,
                time_ms,
                cumulative,
            });
        }
        Ok(())
    }

    fn is_cumulative(&self, name: &str) -> bool {
        let kind = |name: &str| {
            self.at
                .get(name)
                .and_then(|at| self.exposition.families.get(*at))
                .map(|family| family.kind)
        };
        match name.rsplit_once('_') {
            Some((stem, "total")) => kind(stem).or_else(|| kind(name)) == Some(MetricKind::Counter),
            Some((stem, "bucket" | "count" | "sum")) => {
                matches!(kind(stem), Some(MetricKind::Histogram | MetricKind::Summary))
                    || kind(name) == Some(MetricKind::Counter)
            }
            _ => kind(name) == Some(MetricKind::Counter),
        }
    }

    /// Counters get the name of their series, `…_total`; an info the name of its, `…_info`.
    fn finish(mut self) -> Exposition {
        for family in &mut self.exposition.families {
            let suffix = match family.kind {
                MetricKind::Counter => "_total",
                MetricKind::Info => "_info",
                _ => continue,
            };
            let series = format!("{}{suffix}", family.name);
            if !family.name.ends_with(suffix) && self.exposition.samples.iter().any(|s| s.name == series) {
                family.name = series;
            }
        }
        self.exposition
    }
}

fn labels(chars: &mut Cursor<'_>) -> Result<Vec<(String, String)>, &'static str> {
    let mut labels: Vec<(String, String)> = Vec::new();
    loop {
        take_while(chars, |c| c == ' ');
        if chars.next_if_eq(&'}').is_some() {
            return Ok(labels);
        }
        if labels.len() >= LABELS_MAX {
            return Err("at most 64 labels");
        }
        let name = take_while(chars, |c| is_name(c) && c != ':');
        if !name.starts_with(is_name_start) {
            return Err("a label name");
        }
        if labels.iter().any(|(known, _)| *known == name) {
            return Err("each label once");
        }
        take_while(chars, |c| c == ' ');
        chars.next_if_eq(&'=').ok_or("\"=\" behind a label name")?;
        take_while(chars, |c| c == ' ');
        chars.next_if_eq(&'"').ok_or("a quoted label value")?;
        labels.push((name, quoted(chars)?));
        take_while(chars, |c| c == ' ');
        if chars.next_if_eq(&',').is_none() && chars.peek() != Some(&'}') {
            return Err("\",\" or \"}\" behind a label");
        }
    }
}

/// What stands up to the closing quote.
fn quoted(chars: &mut Cursor<'_>) -> Result<String, &'static str> {
    let mut text = String::new();
    loop {
        match chars.next().ok_or("a closing quote")? {
            '"' => return Ok(text),
            '\\' => push_escaped(&mut text, chars.next().ok_or("a closing quote")?),
            other => text.push(other),
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next)) => {
                chars.next();
                push_escaped(&mut out, next);
            }
            (other, _) => out.push(other),
        }
    }
    out
}

/// `\n`, `\"` and `\\`; any other pair stays as it stands.
fn push_escaped(text: &mut String, c: char) {
    match c {
        'n' => text.push('\n'),
        '"' | '\\' => text.push(c),
        other => {
            text.push('\\');
            text.push(other);
        }
    }
}

fn check_exemplar(text: &str) -> Result<(), &'static str> {
    let mut chars = text.chars().peekable();
    chars
        .next_if_eq(&'{')
        .ok_or("labels of an exemplar behind \"#\"")?;
    labels(&mut chars)?;
    let rest: String = chars.collect();
    let mut words = rest.split_ascii_whitespace();
    words
        .next()
        .and_then(number)
        .ok_or("a number as the exemplar's value")?;
    match words.next().map(number) {
        Some(None) => Err("a timestamp behind the exemplar"),
        _ if words.next().is_some() => Err("nothing behind the exemplar's timestamp"),
        _ => Ok(()),
    }
}

fn number(word: &str) -> Option<f64> {
    let digits = word.trim_start_matches(['+', '-']);
    match digits.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => Some(if word.starts_with('-') {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        }),
        "nan" => Some(f64::NAN),
        _ if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => word.parse().ok(),
        _ => None,
    }
}

/// In milliseconds; none for what lies before 1970 or beyond all calendars.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
fn timestamp(word: &str, dialect: Dialect) -> Option<u64> {
    let value = number(word)?;
    let ms = match dialect {
        Dialect::OpenMetrics => value * 1_000.0,
        Dialect::Prometheus => value,
    };
    (0.0..1e15).contains(&ms).then_some(ms as u64)
}

fn take_while(chars: &mut Cursor<'_>, good: impl Fn(char) -> bool) -> String {
    std::iter::from_fn(|| chars.next_if(|c| good(*c))).collect()
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':'
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

#[cfg(test)]
mod tests;
