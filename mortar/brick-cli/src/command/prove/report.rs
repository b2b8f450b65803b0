//! What a proof says: an answer to each question, with the experiments that it rests on and what was seen of them.

use std::path::{Path, PathBuf};

use brick_core::ExitCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
use crate::output::{Output, Table, Tone, count};

/// Reports that are kept of a system; the oldest go.
const KEPT_MAX: usize = 20;

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// Yes, as far as every experiment about it shows.
    Holds,
    /// Nobody knows: something was missing to tell.
    Unanswered,
    /// No: at least one experiment had a consequence.
    Fails,
}

/// What a failed request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Class {
    /// A consequence.
    Failed,
    /// It was under way in the process that was killed, and nobody could send it again.
    InFlight,
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Failed {
    /// When it ended.
    pub(super) at: Timestamp,
    /// Method and path.
    pub(super) what: String,
    /// What failed: a status with its code, or why there was no answer.
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<String>,
    pub(super) took_ms: f64,
    /// Whether it may be sent twice.
    pub(super) repeatable: bool,
    /// Whether there was no answer.
    pub(super) cut: bool,
    pub(super) class: Class,
}

/// Something that was said, with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) at: Timestamp,
    pub(super) text: String,
}

/// What clients were told, held against what the system has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Rounds that ended well.
    pub(super) acknowledged: u64,
    /// Those that were asked for again.
    pub(super) checked: u64,
    /// Those that left something behind, and whose scenario says nothing to ask.
    pub(super) unchecked: u64,
    /// Those that are not there, or not as they were told.
    pub(super) lost: u64,
    /// What is lost, as far as it is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) told: Vec<String>,
}

/// An experiment that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Experiment {
    pub(super) name: String,
    /// Number of the question, from 0.
    pub(super) question: usize,
    pub(super) answer: Answer,
    /// Why it is no yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) why: Vec<String>,
    /// When the disturbance began.
    pub(super) at: Timestamp,
    /// The same by hand.
    pub(super) commands: Vec<String>,
    /// What of the disturbance was seen.
    pub(super) seen: Vec<String>,
    /// Rounds of the load that ended, from the disturbance until all was steady again.
    pub(super) rounds: u64,
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) in_flight: u64,
    /// From the disturbance to the end of the last request that failed.
    pub(super) failing_ms: f64,
    /// From the disturbance until every instance that should be was ready.
    pub(super) whole_ms: f64,
    /// 99th percentile of requests before, and from then on.
    pub(super) p99_before_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) kept: Kept,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) failures: Vec<Failed>,
    /// What the agent told meanwhile.
    pub(super) events: Vec<Said>,
    /// Log lines of requests that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<Said>,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) question: String,
    pub(super) answer: Answer,
    /// Experiments that it rests on.
    pub(super) experiments: usize,
    /// Why there is none, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// A proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) quality: String,
    pub(super) system: String,
    pub(super) at: Timestamp,
    pub(super) took_s: f64,
    /// `scratch`, a system of its own, or `here`, the one that ran.
    pub(super) place: String,
    /// Under what it was proven.
    pub(super) conditions: Vec<String>,
    /// Whether every experiment that there is was made.
    pub(super) complete: bool,
    pub(super) answer: Answer,
    pub(super) questions: Vec<Question>,
    pub(super) experiments: Vec<Experiment>,
}

/// The answers to the questions, and the one to all that were asked: no answer is better than its worst experiment, and
/// a question without an experiment has none.
pub(super) fn judge(
    questions: &[&str],
    experiments: &[Experiment],
    whynot: impl Fn(usize) -> Option<String>,
) -> (Answer, Vec<Question>) {
    let mut all = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        let about = experiments.iter().filter(|one| one.question == number);
        let answers: Vec<Answer> = about.map(|one| one.answer).collect();
        all.push(Question {
            question: (*question).to_owned(),
            answer: answers.iter().copied().max().unwrap_or(Answer::Unanswered),
            experiments: answers.len(),
            why: whynot(number).filter(|_| answers.is_empty()),
        });
    }
    let asked = all.iter().filter(|one| one.experiments > 0 || one.why.is_some());
    let answer = asked.map(|one| one.answer).max().unwrap_or(Answer::Unanswered);
    (answer, all)
}

impl Answer {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Unanswered => "unanswered",
            Self::Fails => "fails",
        }
    }

    pub(super) fn tone(self) -> Tone {
        match self {
            Self::Holds => Tone::Good,
            Self::Unanswered => Tone::Warn,
            Self::Fails => Tone::Bad,
        }
    }
}

impl Report {
    /// What the command ends with.
    pub(super) fn outcome(&self) -> Outcome {
        let (code, what) = match self.answer {
            Answer::Holds => return Ok(()),
            Answer::Fails => (ExitCode::Failed, "does not hold"),
            Answer::Unanswered => (
                ExitCode::Unhealthy,
                "is not proven: not every question has an answer",
            ),
        };
        let message = format!("{} of {} {what}", self.quality, self.system);
        Err(Failure::new(code, message)
            .hint("`brick prove ls --format json` has the evidence of each experiment"))
    }

    /// For people.
    pub(super) fn text(&self, output: Output) -> String {
        let mut table = Table::new(&["question", "answer", ">experiments"]);
        for question in &self.questions {
            let why = question
                .why
                .as_ref()
                .map(|why| format!(" ({why})"))
                .unwrap_or_default();
            table.row(vec![
                (format!("{}{why}", question.question), Tone::Plain),
                (question.answer.word().to_owned(), question.answer.tone()),
                (question.experiments.to_string(), Tone::Dim),
            ]);
        }
        let mut text =
            table.render(output.color_out) + "\n" + &experiments(&self.experiments).render(output.color_out);
        for one in &self.experiments {
            for why in &one.why {
                text.push_str(&format!("\n{}: {}", one.name, crate::output::plain(why)));
            }
        }
        let sum = |of: fn(&Experiment) -> u64| self.experiments.iter().map(of).sum::<u64>();
        text.push_str(&format!(
            "\n{} of {} {}: {}, {} requests, {} failed, {} cut in flight, {} of {} acknowledged rounds lost\n",
            self.quality,
            self.system,
            output.out(self.answer.tone(), self.answer.word()),
            count(self.experiments.len(), "experiment"),
            sum(|one| one.requests),
            sum(|one| one.failed),
            sum(|one| one.in_flight),
            sum(|one| one.kept.lost),
            sum(|one| one.kept.checked),
        ));
        text
    }

    /// Keeps it, and lets the oldest go.
    pub(super) fn store(&self, folder: &Path) -> Outcome<PathBuf> {
        let failed = |error: std::io::Error| {
            Failure::failed(format!("cannot keep the report in {}: {error}", folder.display()))
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let time = self.at.strftime("%Y%m%dT%H%M%SZ");
        let path = folder.join(format!("{time}-{}.json", self.quality));
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::failed(error.to_string()))?;
        std::fs::write(&path, text).map_err(failed)?;
        let names = stored(folder);
        for old in names.iter().take(names.len().saturating_sub(KEPT_MAX)) {
            // One that is gone already is as good.
            let _ = std::fs::remove_file(old);
        }
        Ok(path)
    }
}

/// The reports that are kept, oldest first.
pub(super) fn all(folder: &Path) -> Vec<Report> {
    let read = |path: PathBuf| serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok();
    stored(folder).into_iter().filter_map(read).collect()
}

fn stored(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
}

/// A line for each report.
pub(super) fn table(reports: &[Report]) -> Table {
    let mut table = Table::new(&[
        "at",
        "quality",
        "answer",
        "where",
        ">experiments",
        ">failed",
        ">lost",
    ]);
    for report in reports {
        let sum = |of: fn(&Experiment) -> u64| report.experiments.iter().map(of).sum::<u64>().to_string();
        let all = if report.complete { "" } else { " (some)" };
        table.row(vec![
            (report.at.strftime("%F %T").to_string(), Tone::Dim),
            (report.quality.clone(), Tone::Plain),
            (report.answer.word().to_owned(), report.answer.tone()),
            (report.place.clone(), Tone::Plain),
            (format!("{}{all}", report.experiments.len()), Tone::Plain),
            (sum(|one| one.failed), Tone::Plain),
            (sum(|one| one.kept.lost), Tone::Plain),
        ]);
    }
    table
}

fn experiments(all: &[Experiment]) -> Table {
    let mut table = Table::new(&[
        "experiment",
        "answer",
        ">requests",
        ">failed",
        ">in flight",
        ">lost",
        ">failing",
        ">whole after",
    ]);
    for one in all {
        table.row(vec![
            (one.name.clone(), Tone::Plain),
            (one.answer.word().to_owned(), one.answer.tone()),
            (one.requests.to_string(), Tone::Plain),
            (one.failed.to_string(), Tone::Plain),
            (one.in_flight.to_string(), Tone::Plain),
            (format!("{}/{}", one.kept.lost, one.kept.checked), Tone::Plain),
            (format!("{:.0} ms", one.failing_ms), Tone::Dim),
            (format!("{:.0} ms", one.whole_ms), Tone::Dim),
        ]);
    }
    table
}
