//! What is wrong with a manifest, told so that it can be put right: what, where, what was expected, what to do.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// One finding in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code of the kind of finding, such as `unknown-key`.
    pub code: &'static str,
    /// What is wrong and what was expected.
    pub message: String,
    /// Line, counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Column in characters, counted from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip)]
    span: Range<usize>,
}

/// A manifest that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    origin: String,
    text: String,
    errors: Vec<Diagnostic>,
}

/// A finding before its place is known as line and column.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: &'static str, span: &Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span: span.clone(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Invalid {
    /// A manifest with these problems, in order of the text.
    pub(crate) fn new(origin: &str, text: &str, problems: Vec<Problem>) -> Self {
        Self {
            origin: origin.to_owned(),
            text: text.to_owned(),
            errors: locate(text, problems),
        }
    }

    /// A manifest that could not even be read.
    pub(crate) fn unreadable(origin: &str, message: String, hint: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            text: String::new(),
            errors: vec![Diagnostic {
                code: "unreadable",
                message,
                line: 0,
                column: 0,
                hint: Some(hint.to_owned()),
                span: 0..0,
            }],
        }
    }

    /// Everything that is wrong, in order of the text.
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// The file, as it was named.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// All errors with a picture of each line, for people.
    pub fn render(&self, color: bool) -> String {
        let mut text = render(&self.origin, &self.text, &self.errors, Level::ERROR, color);
        let count = self.errors.len();
        if count > 1 {
            text.push_str(&format!("\n{}: {count} errors\n", self.origin));
        }
        text
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.as_slice() {
            [only] if only.line == 0 => write!(f, "{}: {}", self.origin, only.message),
            errors => {
                write!(f, "{}: ", self.origin)?;
                for (at, error) in errors.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "; " };
                    write!(f, "{comma}line {}: {}", error.line, error.message)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Invalid {}

/// Gives problems their line and column and sorts them as they stand in the text.
pub(crate) fn locate(text: &str, mut problems: Vec<Problem>) -> Vec<Diagnostic> {
    problems.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
    problems.dedup_by(|a, b| a.span.start == b.span.start && a.message == b.message);
    let mut diagnostics = Vec::with_capacity(problems.len());
    // One pass over the text for all problems: they are in order.
    let (mut at, mut line, mut line_start) = (0, 1, 0);
    for problem in problems {
        let span = clamp(text, problem.span);
        for (newline, _) in text[at..span.start].match_indices('\n') {
            line += 1;
            line_start = at + newline + 1;
        }
        at = span.start;
        diagnostics.push(Diagnostic {
            code: problem.code,
            message: problem.message,
            line,
            column: text[line_start..span.start].chars().count() + 1,
            hint: problem.hint,
            span,
        });
    }
    diagnostics
}

/// The span within the text and on borders of characters.
fn clamp(text: &str, span: Range<usize>) -> Range<usize> {
    let border = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = border(span.start);
    start..border(span.end).max(start)
}

/// Diagnostics with a picture of each line.
pub(crate) fn render(
    origin: &str,
    text: &str,
    diagnostics: &[Diagnostic],
    level: Level<'static>,
    color: bool,
) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut rendered = String::new();
    for (at, diagnostic) in diagnostics.iter().enumerate() {
        if at > 0 {
            rendered.push('\n');
        }
        rendered.push_str(&renderer.render(&[picture(origin, text, diagnostic, &level)]));
        rendered.push('\n');
    }
    rendered
}

fn picture<'d>(
    origin: &'d str,
    text: &'d str,
    diagnostic: &'d Diagnostic,
    level: &Level<'static>,
) -> Group<'d> {
    let title = level
        .clone()
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code);
    let mut group = Group::with_title(title);
    if diagnostic.line > 0 {
        let first_line = diagnostic.span.start
            + text[diagnostic.span.start..diagnostic.span.end]
                .find('\n')
                .unwrap_or(diagnostic.span.len());
        let span = diagnostic.span.start..first_line;
        group = group.element(
            Snippet::source(text)
                .path(origin)
                .annotation(AnnotationKind::Primary.span(span)),
        );
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    group
}
