//! How events are told: a moving line while something builds, then a line for each thing that happened.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mortar_agent::events::{Event, EventKind};

use crate::output::{Format, Output, Tone, line, plain};

/// Tells events on stderr; in NDJSON they are data, a line each on stdout.
pub(super) struct Teller {
    output: Output,
    building: Option<ProgressBar>,
}

impl Teller {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            building: None,
        }
    }

    pub(super) fn tell(&mut self, event: &Event) {
        if self.output.format == Format::Ndjson {
            line(&serde_json::to_string(event).unwrap_or_default());
            return;
        }
        if self.output.quiet {
            return;
        }
        match event.kind {
            EventKind::BuildStarted => self.build(&event.msg),
            EventKind::BuildProgress => self.progress(&event.msg),
            _ => {
                self.end();
                self.say(event);
            }
        }
    }

    /// Takes the moving line away.
    pub(super) fn end(&mut self) {
        if let Some(bar) = self.building.take() {
            bar.finish_and_clear();
        }
    }

    fn build(&mut self, command: &str) {
        self.output.progress(&format!(
            "{} {}",
            self.output.err(Tone::Dim, "build   "),
            plain(command)
        ));
        if self.output.color_err {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            self.building = Some(bar);
        }
    }

    fn progress(&self, text: &str) {
        match &self.building {
            Some(bar) => bar.set_message(plain(text)),
            None => self.output.progress(&format!("         {}", plain(text))),
        }
    }

    fn say(&self, event: &Event) {
        let (label, tone) = label(event.kind);
        let who = event
            .instance
            .clone()
            .or_else(|| event.brick.as_ref().map(ToString::to_string))
            .unwrap_or_default();
        let who = if who.is_empty() {
            who
        } else {
            format!("{:<18} ", plain(&who))
        };
        self.output.progress(&format!(
            "{} {who}{}",
            self.output.err(tone, &format!("{label:<8}")),
            plain(&event.msg)
        ));
        for text in &event.lines {
            self.output
                .progress(&format!("         {}", self.output.err(Tone::Dim, &plain(text))));
        }
    }
}

fn label(kind: EventKind) -> (&'static str, Tone) {
    match kind {
        EventKind::BuildStarted | EventKind::BuildProgress => ("build", Tone::Dim),
        EventKind::BuildDone => ("built", Tone::Good),
        EventKind::Starting => ("start", Tone::Dim),
        EventKind::Ready | EventKind::AllReady => ("ready", Tone::Good),
        EventKind::Adopted => ("adopted", Tone::Good),
        EventKind::Stopping => ("stop", Tone::Dim),
        EventKind::Stopped | EventKind::Down => ("stopped", Tone::Dim),
        EventKind::Changed => ("changed", Tone::Good),
        EventKind::Unready | EventKind::Exited | EventKind::Skipped | EventKind::Warning => {
            ("warning", Tone::Warn)
        }
        _ => ("failed", Tone::Bad),
    }
}
