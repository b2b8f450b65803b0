//! The text formats: OpenMetrics 1.0, and the Prometheus format 0.0.4 for scrapers that ask for it.

use std::fmt::Write as _;

use super::{Exemplar, Snapshot};

/// Which text format is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// OpenMetrics 1.0.
    #[default]
    OpenMetrics,
    /// Prometheus text 0.0.4: no exemplars, no end mark.
    Prometheus,
}

/// Kind of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its samples end in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// Writes families.
#[derive(Debug)]
pub struct Encoder {
    out: String,
    format: Format,
}

/// Writes the samples of one family.
#[derive(Debug)]
pub struct FamilyEncoder<'a> {
    encoder: &'a mut Encoder,
    name: String,
    kind: Kind,
}

impl Encoder {
    pub(super) fn new(format: Format) -> Self {
        Self {
            out: String::with_capacity(4096),
            format,
        }
    }

    /// Starts a family; all its samples must follow before the next family starts. A counter may be named with or
    /// without `_total`.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) -> FamilyEncoder<'_> {
        let name = super::registry::clean(name);
        let name = match kind {
            Kind::Counter => name.strip_suffix("_total").unwrap_or(&name).to_owned(),
            _ => name,
        };
        let shown = match (self.format, kind) {
            (Format::Prometheus, Kind::Counter) => format!("{name}_total"),
            _ => name.clone(),
        };
        let kind_text = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.out, "# TYPE {shown} {kind_text}");
        if self.format == Format::OpenMetrics {
            for unit in ["seconds", "bytes"] {
                if name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')) {
                    let _ = writeln!(self.out, "# UNIT {shown} {unit}");
                }
            }
        }
        let _ = write!(self.out, "# HELP {shown} ");
        escape(&mut self.out, help);
        self.out.push('\n');
        FamilyEncoder {
            encoder: self,
            name,
            kind,
        }
    }

    /// A counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

impl FamilyEncoder<'_> {
    /// One value of a counter or a gauge.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
        self.line(suffix, labels, None, value, None);
    }

    /// One histogram.
    pub fn histogram(&mut self, labels: &[(&str, &str)], snapshot: &Snapshot) {
        let mut below: u64 = 0;
        for (at, count) in snapshot.counts.iter().enumerate() {
            below = below.saturating_add(*count);
            let bound = snapshot.bounds.get(at).copied().unwrap_or(f64::INFINITY);
            let exemplar = snapshot.exemplars.get(at).and_then(Option::as_ref);
            self.line("_bucket", labels, Some(bound), to_float(below), exemplar);
        }
        self.line("_count", labels, None, to_float(below), None);
        self.line("_sum", labels, None, snapshot.sum, None);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        le: Option<f64>,
        value: f64,
        exemplar: Option<&Exemplar>,
    ) {
        let format = self.encoder.format;
        let out = &mut self.encoder.out;
        out.push_str(&self.name);
        out.push_str(suffix);
        if !labels.is_empty() || le.is_some() {
            out.push('{');
            let mut first = true;
            for (label, value) in labels {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                out.push_str(label);
                out.push_str("=\"");
                escape(out, value);
                out.push('"');
            }
            if let Some(le) = le {
                if !first {
                    out.push(',');
                }
                out.push_str("le=\"");
                bound(out, le);
                out.push('"');
            }
            out.push('}');
        }
        out.push(' ');
        number(out, value);
        if let Some(e) = exemplar
            && format == Format::OpenMetrics
        {
            let _ = write!(out, " # {{trace_id=\"{}\"}} ", e.trace_id);
            number(out, e.value);
            let _ = write!(out, " {:.3}", e.unix_s);
        }
        out.push('\n');
    }
}

/// A count as the format's number; exact up to 2⁵³.
#[expect(
    clippy::cast_precision_loss,
    reason = "the text formats know floating point alone"
)]
fn to_float(count: u64) -> f64 {
    count as f64
}

fn number(out: &mut String, value: f64) {
    let _ = if value.is_nan() {
        write!(out, "NaN")
    } else if value.is_infinite() {
        write!(out, "{}Inf", if value > 0.0 { '+' } else { '-' })
    } else {
        write!(out, "{value}")
    };
}

/// A bound as canonical number: `1.0`, not `1` (OpenMetrics 1.0, canonical numbers).
fn bound(out: &mut String, value: f64) {
    let _ = if value.is_finite() {
        write!(out, "{value:?}")
    } else {
        write!(out, "+Inf")
    };
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}
