//! How events are told: a moving line while something builds, then a line for each thing that happened.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mortar_agent::events::{Event, EventKind};

use crate::failure::Failure;
use crate::output::{Format, Output, Tone, line, plain};

/// While it is not known how much there is to build.
const WAITING: &str = "{spinner} {elapsed_precise} {wide_msg}";
/// Once it is.
const COUNTING: &str = "{spinner} {elapsed_precise} {bar:24} {pos}/{len} {wide_msg}";

/// Cargo's own counting, `Building [==>  ] 12/340: serde, tokio`: done, all, and what is being compiled.
fn count(text: &str) -> Option<(u64, u64, &str)> {
    let (_, rest) = text.trim_start().strip_prefix("Building [")?.split_once("] ")?;
    let (count, names) = rest.split_once(':')?;
    let (done, all) = count.split_once('/')?;
    Some((done.parse().ok()?, all.parse().ok()?, names.trim()))
}

/// Tells events on stderr; in NDJSON they are data, a line each on stdout.
pub(in crate::command) struct Teller {
    output: Output,
    building: Option<ProgressBar>,
    /// Lines of the running build that were told.
    told: usize,
    /// The lines of a build that failed were told.
    failed: bool,
}

impl Teller {
    pub(in crate::command) fn new(output: Output) -> Self {
        Self {
            output,
            building: None,
            told: 0,
            failed: false,
        }
    }

    pub(in crate::command) fn tell(&mut self, event: &Event) {
        if self.output.format == Format::Ndjson {
            line(&serde_json::to_string(event).unwrap_or_default());
            return;
        }
        if self.output.is_quiet() {
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

    /// A failure without the lines of its build, where they were told already.
    pub(in crate::command) fn shorten(&self, failure: Failure) -> Failure {
        let head = failure.message.split_once('\n');
        match head.filter(|_| self.failed) {
            Some((head, _)) => Failure {
                message: head.to_owned(),
                ..failure
            },
            None => failure,
        }
    }

    /// Takes the moving line away.
    pub(in crate::command) fn end(&mut self) {
        if let Some(bar) = self.building.take() {
            bar.finish_and_clear();
        }
    }

    fn build(&mut self, command: &str) {
        (self.told, self.failed) = (0, false);
        self.output.progress(&format!(
            "{} {}",
            self.output.err(Tone::Dim, "build   "),
            plain(command)
        ));
        if self.output.color_err {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template(WAITING) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            self.building = Some(bar);
        }
    }

    fn progress(&mut self, text: &str) {
        let counted = count(text);
        let Some(bar) = &self.building else {
            // Without a terminal each thing that is built is told once, and the counting left out.
            if counted.is_none() {
                self.told += 1;
                self.output.progress(&format!("         {}", plain(text)));
            }
            return;
        };
        let Some((done, all, names)) = counted else {
            if bar.length().is_none() {
                bar.set_message(plain(text));
            }
            return;
        };
        if bar.length().is_none()
            && let Ok(style) = ProgressStyle::with_template(COUNTING)
        {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_length(all);
        bar.set_position(done);
        bar.set_message(plain(names));
    }

    fn say(&mut self, event: &Event) {
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
        let build = event.kind == EventKind::BuildFailed;
        self.failed |= build;
        if build && self.told >= event.lines.len() {
            return;
        }
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
        EventKind::RollStarted => ("roll", Tone::Dim),
        EventKind::Replaced | EventKind::RollDone => ("rolled", Tone::Good),
        EventKind::Unready | EventKind::Exited | EventKind::Skipped | EventKind::Warning => {
            ("warning", Tone::Warn)
        }
        _ => ("failed", Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_counting_is_understood_and_other_lines_are_not_taken_for_it() {
        for (text, expect) in [
            (
                "    Building [==>   ] 12/340: serde, tokio",
                Some((12, 340, "serde, tokio")),
            ),
            ("    Building [     ] 0/2: dep  ", Some((0, 2, "dep"))),
            ("   Compiling serde v1.0.0", None),
            ("Building [x", None),
            ("    Building [=> ] a/b: c", None),
        ] {
            assert_eq!(count(text), expect, "{text}");
        }
    }
}
