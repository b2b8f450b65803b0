//! Logs as JSON lines: one write for a line, nothing buffered, so that a killed process loses no line.
//!
//! A line that cannot be written (full disk, broken pipe) is counted and forgotten: logging never fails the work. A
//! line that was written in part is closed by a line feed before the next one, so that one bad moment spoils one line.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing::Level;
use tracing::field::{Field, Visit};

use crate::LogTarget;
use crate::context::SpanContext;

/// Longest text of one field, in bytes before JSON escapes; the rest is cut off.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Longest line but for its message, in bytes; fields beyond are left out and counted in `fields_cut`.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Lines kept by [`LogTarget::Memory`].
const KEPT_MAX: usize = 4096;

/// Stands for a value whose name looks secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// Writes lines; cloneable.
#[derive(Debug, Clone)]
pub(crate) struct Logger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    out: Out,
    lost: AtomicU64,
}

#[derive(Debug)]
enum Out {
    File(Mutex<Tail>),
    Memory(Mutex<VecDeque<String>>),
    Nowhere,
}

#[derive(Debug)]
struct Tail {
    file: File,
    /// The last line was written in part.
    torn: bool,
}

/// One line being put together.
pub(crate) struct Line {
    level: &'static str,
    target: String,
    message: String,
    fields: String,
    trace_id: Option<String>,
    span_id: Option<String>,
    cut: u32,
}

impl Logger {
    pub(crate) fn new(target: LogTarget) -> Self {
        match target {
            LogTarget::Memory => Self::with(Out::Memory(Mutex::default())),
            // The descriptor is used directly: the standard library's handle buffers, and would write a line that
            // failed once more with the next.
            LogTarget::Stdout => match std::io::stdout().as_fd().try_clone_to_owned() {
                Ok(fd) => Self::to_file(File::from(fd)),
                Err(_) => Self::with(Out::Nowhere),
            },
        }
    }

    pub(crate) fn to_file(file: File) -> Self {
        Self::with(Out::File(Mutex::new(Tail { file, torn: false })))
    }

    fn with(out: Out) -> Self {
        let shared = Shared {
            out,
            lost: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Writes the line; `context` is the span it was said in, unless the line names a trace itself.
    pub(crate) fn write(&self, line: Line, context: Option<SpanContext>) {
        let text = line.finish(context);
        let written = match &self.shared.out {
            Out::File(tail) => tail.lock().write(text),
            Out::Memory(kept) => {
                let mut kept = kept.lock();
                if kept.len() >= KEPT_MAX {
                    kept.pop_front();
                }
                kept.push_back(text.trim_end().to_owned());
                true
            }
            Out::Nowhere => false,
        };
        if !written {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn kept(&self) -> Vec<String> {
        match &self.shared.out {
            Out::Memory(kept) => kept.lock().iter().cloned().collect(),
            _ => Vec::new(),
        }
    }
}

impl Tail {
    fn write(&mut self, mut text: String) -> bool {
        if self.torn {
            text.insert(0, '\n');
        }
        let bytes = text.as_bytes();
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(n) if n > 0 => written += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        // Nothing written leaves things as they were; the leading line feed alone heals the torn line.
        self.torn = match written {
            0 => self.torn,
            1 if self.torn => false,
            n => n < bytes.len(),
        };
        written == bytes.len()
    }
}

impl Line {
    pub(crate) fn new(level: &Level, target: &str) -> Self {
        let level = match *level {
            Level::TRACE => "trace",
            Level::DEBUG => "debug",
            Level::INFO => "info",
            Level::WARN => "warn",
            Level::ERROR => "error",
        };
        Self {
            level,
            target: target.to_owned(),
            message: String::new(),
            fields: String::new(),
            trace_id: None,
            span_id: None,
            cut: 0,
        }
    }

    fn finish(self, context: Option<SpanContext>) -> String {
        let mut out = String::with_capacity(160 + self.message.len() + self.fields.len());
        let _ = write!(
            out,
            "{{\"ts\":\"{:.6}\",\"level\":\"{}\",\"target\":",
            jiff::Timestamp::now(),
            self.level
        );
        quote(&mut out, &self.target);
        out.push_str(",\"msg\":");
        quote(&mut out, &self.message);
        let named = self.trace_id.is_some();
        let trace_id = self.trace_id.or_else(|| context.map(|c| c.trace_id.to_string()));
        let own_span = context.filter(|_| !named).map(|c| c.span_id.to_string());
        for (key, id) in [("trace_id", trace_id), ("span_id", self.span_id.or(own_span))] {
            if let Some(id) = id {
                let _ = write!(out, ",\"{key}\":");
                quote(&mut out, &id);
            }
        }
        out.push_str(&self.fields);
        if self.cut > 0 {
            let _ = write!(out, ",\"fields_cut\":{}", self.cut);
        }
        out.push_str("}\n");
        out
    }

    /// Makes room for a field and writes its key; false where the line is full.
    fn key(&mut self, name: &str) -> bool {
        if self.fields.len() > LINE_BYTES_MAX {
            self.cut += 1;
            return false;
        }
        self.fields.push(',');
        if matches!(name, "ts" | "level" | "target" | "msg" | "fields_cut") {
            quote(&mut self.fields, &format!("field.{name}"));
        } else {
            quote(&mut self.fields, name);
        }
        self.fields.push(':');
        true
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        match name {
            "message" => self.message = clip(text).to_owned(),
            "trace_id" => self.trace_id = Some(clip(text).to_owned()),
            "span_id" => self.span_id = Some(clip(text).to_owned()),
            _ if is_secret(name) => {
                if self.key(name) {
                    quote(&mut self.fields, REDACTED);
                }
            }
            _ => {
                if self.key(name) {
                    quote(&mut self.fields, clip(text));
                }
            }
        }
    }

    fn plain(&mut self, name: &str, value: &dyn fmt::Display) {
        if is_secret(name) {
            self.text(name, "");
        } else if self.key(name) {
            let _ = write!(self.fields, "{value}");
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.plain(field.name(), &value);
        } else {
            self.text(field.name(), &value.to_string());
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field.name(), &brick_core::chain(value));
    }
}

/// Whether the name of a field says that its value is nobody's business.
pub(crate) fn is_secret(name: &str) -> bool {
    const ANYWHERE: [&str; 8] = [
        "password",
        "passwd",
        "secret",
        "authorization",
        "cookie",
        "api_key",
        "api-key",
        "apikey",
    ];
    let lower = name.to_ascii_lowercase();
    lower.ends_with("token") || ANYWHERE.iter().any(|word| lower.contains(word))
}

fn clip(text: &str) -> &str {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// Appends the text as a JSON string.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
