//! What commands print: data on stdout as table, JSON or NDJSON; progress and hints on stderr; colour where wanted.

use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// Form of the data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Ndjson,
    /// A diagram in Mermaid's language; `map` alone draws it.
    Mermaid,
    /// A diagram in Graphviz' language; `map` alone draws it.
    Dot,
}

impl Format {
    /// Whether a program reads it.
    pub(crate) fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Decides and writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) color_out: bool,
    pub(crate) color_err: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) ask: Ask,
    /// Whether a program reads stderr too, which then holds nothing but an error.
    pub(crate) data_alone: bool,
}

/// Whether a command that destroys something asks before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// On a terminal; without one there is nobody to ask, and the command line is the answer.
    Terminal,
    /// Never: `--yes`.
    Yes,
    /// Never: `--no-input`; what would be asked is refused.
    Never,
}

/// Good, middling, bad and unimportant, as colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
    Dim,
}

impl Output {
    /// From the options and what the streams are.
    pub(crate) fn new(format: Format, color: Color, no_color: bool, quiet: bool) -> Self {
        let wants = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color,
        };
        Self {
            format,
            color_out: wants(std::io::stdout().is_terminal()),
            color_err: wants(std::io::stderr().is_terminal()),
            quiet,
            verbose: false,
            ask: Ask::Terminal,
            data_alone: format.is_data() && !std::io::stderr().is_terminal(),
        }
    }

    /// Asks on the terminal whether to do something that cannot be undone; whether to do it.
    pub(crate) fn confirm(&self, question: &str) -> Outcome<bool> {
        match self.ask {
            Ask::Yes => return Ok(true),
            Ask::Never => {
                let message = format!("{question} nobody may be asked (--no-input)");
                return Err(Failure::usage(message).hint("add --yes if it is meant"));
            }
            Ask::Terminal if !std::io::stdin().is_terminal() => return Ok(true),
            Ask::Terminal => {}
        }
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question} [y/N] ");
        let _ = err.flush();
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Whether a person reads stdout.
    pub(crate) fn is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// Prints a value: pretty JSON, or one line in NDJSON; `table` draws it for people.
    pub(crate) fn value<T: Serialize>(&self, value: &T, table: impl FnOnce() -> String) {
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(value).unwrap_or_default()),
            Format::Ndjson => line(&serde_json::to_string(value).unwrap_or_default()),
            _ => line(table().trim_end_matches('\n')),
        }
    }

    /// Prints rows: a JSON array, a line each in NDJSON, or a table.
    pub(crate) fn rows<T: Serialize>(&self, rows: &[T], table: impl FnOnce() -> Table) {
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(rows).unwrap_or_default()),
            Format::Ndjson => {
                for row in rows {
                    line(&serde_json::to_string(row).unwrap_or_default());
                }
            }
            _ => line(table().render(self.color_out).trim_end_matches('\n')),
        }
    }

    /// A line of progress on stderr.
    pub(crate) fn progress(&self, text: &str) {
        if !self.is_quiet() {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Something on stderr that people must see, progress or not; in data it has a place of its own.
    pub(crate) fn note(&self, text: &str) {
        if !self.data_alone {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Whether progress is told to nobody.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet || self.data_alone
    }

    /// Text in a tone for stdout.
    pub(crate) fn out(&self, tone: Tone, text: &str) -> String {
        paint(self.color_out, tone, text)
    }

    /// Text in a tone for stderr.
    pub(crate) fn err(&self, tone: Tone, text: &str) -> String {
        paint(self.color_err, tone, text)
    }
}

/// A line on stdout; a reader that went away ends the program quietly, as pipes expect.
pub(crate) fn line(text: &str) {
    if writeln!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Text in a tone.
pub(crate) fn paint(color: bool, tone: Tone, text: &str) -> String {
    let style = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Tone::Warn => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Tone::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())).bold(),
        Tone::Dim => Style::new().dimmed(),
    };
    if color {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// How many of something there are: `1 brick`, `2 bricks`.
pub(crate) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// Control and bidirectional characters made visible, so that foreign text cannot drive a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// A table whose columns are as wide as their widest cell.
#[derive(Debug, Default)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<(String, Tone)>>,
    right: Vec<bool>,
}

impl Table {
    /// With these column heads; a head that starts with `>` makes its column right-aligned.
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.iter().map(|h| h.trim_start_matches('>')).collect(),
            right: head.iter().map(|h| h.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<(String, Tone)>) {
        self.rows.push(
            cells
                .into_iter()
                .map(|(text, tone)| (plain(&text), tone))
                .collect(),
        );
    }

    /// Draws it.
    pub(crate) fn render(&self, color: bool) -> String {
        let width = |column: usize| {
            let cells = self
                .rows
                .iter()
                .filter_map(|r| r.get(column))
                .map(|(text, _)| text.chars().count());
            cells.chain([self.head[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let pad = |column: usize, text: &str| {
            let fill = " ".repeat(widths[column].saturating_sub(text.chars().count()));
            if self.right[column] {
                (fill, String::new())
            } else {
                (String::new(), fill)
            }
        };
        let mut out = String::new();
        let mut draw = |cells: &mut dyn Iterator<Item = (&str, Tone)>| {
            let mut text = String::new();
            for (column, (cell, tone)) in cells.enumerate() {
                let (before, after) = pad(column, cell);
                if column > 0 {
                    text.push_str("  ");
                }
                text.push_str(&before);
                text.push_str(&paint(color, tone, cell));
                text.push_str(&after);
            }
            out.push_str(text.trim_end());
            out.push('\n');
        };
        draw(&mut self.head.iter().map(|h| (*h, Tone::Dim)));
        for row in &self.rows {
            draw(&mut row.iter().map(|(text, tone)| (text.as_str(), *tone)));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_colour_does_not_disturb_it() {
        let mut table = Table::new(&["brick", ">pid"]);
        table.row(vec![("order".into(), Tone::Good), ("7".into(), Tone::Plain)]);
        table.row(vec![("pay".into(), Tone::Plain), ("1234".into(), Tone::Plain)]);
        assert_eq!(table.render(false), "brick   pid\norder     7\npay    1234\n");
        assert!(table.render(true).contains("\u{1b}["));
    }

    #[test]
    fn one_is_told_as_one() {
        for (number, expect) in [(0, "0 bricks"), (1, "1 brick"), (2, "2 bricks")] {
            assert_eq!(count(number, "brick"), expect);
        }
    }

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c"), "a\u{fffd}[31mb\u{fffd}c");
    }
}
