//! What suites came to: results as data, a table, a failure in full, and JUnit's XML for build servers.

use brick_model::Suite;
use serde::Serialize;

use crate::command::steps::{Exchange, shown};
use crate::output::{Table, Tone, plain};

/// Longest body that a failure shows, in characters.
const BODY_CHARS_MAX: usize = 2_000;

/// A suite that ran.
#[derive(Debug, Serialize)]
pub(super) struct Ran {
    pub(super) suite: String,
    pub(super) env: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) brick: Option<String>,
    pub(super) passed: bool,
    pub(super) took_ms: f64,
    pub(super) steps: Vec<RanStep>,
    /// How many steps it has; those after a failure did not run.
    pub(super) steps_total: usize,
    /// Why it failed, where no step says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
}

/// A step that ran.
#[derive(Debug, Serialize)]
pub(super) struct RanStep {
    pub(super) step: String,
    pub(super) passed: bool,
    pub(super) took_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<String>,
    /// What was expected and what was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failures: Vec<String>,
    /// Request and answer of a step that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// What the brick logged about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) logs: Vec<String>,
}

impl Ran {
    pub(super) fn new(name: &str, env: &str, suite: &Suite) -> Self {
        Self {
            suite: name.to_owned(),
            env: env.to_owned(),
            brick: suite.brick.as_ref().map(ToString::to_string),
            passed: false,
            took_ms: 0.0,
            steps: Vec::new(),
            steps_total: suite.steps.len(),
            failure: None,
        }
    }
}

impl RanStep {
    pub(super) fn of(exchange: &Exchange) -> Self {
        Self {
            step: exchange.what.clone(),
            passed: exchange.passed(),
            took_ms: exchange.took.as_secs_f64() * 1_000.0,
            status: exchange.answer.as_ref().map(|answer| answer.status.as_u16()),
            trace_id: exchange.trace_id().map(str::to_owned),
            failures: exchange.misses.iter().map(|miss| miss.told.clone()).collect(),
            detail: (!exchange.passed()).then(|| failed_step(exchange, None, &[])),
            logs: Vec::new(),
        }
    }
}

/// The results as a table.
pub(super) fn table(ran: &[Ran]) -> Table {
    let mut table = Table::new(&["suite", "on", "result", ">steps", ">ms", "failure"]);
    for ran in ran {
        let good = ran.steps.iter().filter(|step| step.passed).count();
        let (result, tone) = if ran.passed {
            ("passed", Tone::Good)
        } else {
            ("failed", Tone::Bad)
        };
        let steps = match ran.steps_total {
            0 => String::new(),
            total => format!("{good}/{total}"),
        };
        table.row(vec![
            (ran.suite.clone(), Tone::Plain),
            (ran.env.clone(), Tone::Dim),
            (result.to_owned(), tone),
            (steps, Tone::Plain),
            (format!("{:.0}", ran.took_ms), Tone::Dim),
            (why(ran), Tone::Plain),
        ]);
    }
    table
}

/// The first thing that failed, on one line.
fn why(ran: &Ran) -> String {
    let step = ran.steps.iter().find(|step| !step.passed);
    let of_step = step.map(|step| format!("{}: {}", step.step, step.failures.join("; ")));
    let text = of_step.or_else(|| ran.failure.clone()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// A failed step in full: what was expected, the request, the answer, where to look.
pub(super) fn failed_step(exchange: &Exchange, trace: Option<&str>, logs: &[String]) -> String {
    let mut text = String::new();
    for miss in &exchange.misses {
        text.push_str(&format!("{}\n", plain(&miss.told)));
    }
    if let Some(sent) = &exchange.request {
        text.push_str(&format!("request  {} {}\n", sent.method, plain(&sent.url)));
        for (name, value) in &sent.headers {
            text.push_str(&format!("         {name}: {}\n", plain(&shown(name, value))));
        }
        body(&mut text, &sent.body);
    }
    if let Some(answer) = &exchange.answer {
        text.push_str(&format!("answer   {}\n", answer.status));
        body(&mut text, &answer.body);
    }
    for line in logs {
        text.push_str(&format!("log      {}\n", plain(line)));
    }
    if let Some(trace) = trace {
        let trace = plain(trace);
        text.push_str(&format!(
            "trace    {trace}: see it with `brick trace show {trace}`\n"
        ));
    }
    text
}

fn body(text: &mut String, body: &str) {
    if body.is_empty() {
        return;
    }
    let shown: String = body.chars().take(BODY_CHARS_MAX).collect();
    for line in shown.lines() {
        text.push_str(&format!("         {}\n", plain(line)));
    }
    if shown.len() < body.len() {
        text.push_str(&format!("         … ({} bytes in all)\n", body.len()));
    }
}

/// JUnit's XML: a test suite for each suite, a test case for each step.
pub(super) fn junit(ran: &[Ran]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: usize = ran.iter().map(|ran| cases(ran).len()).sum();
    let bad = ran.iter().filter(|ran| !ran.passed).count();
    xml.push_str(&format!(
        "<testsuites name=\"brick test\" tests=\"{all}\" failures=\"{bad}\">\n"
    ));
    for ran in ran {
        let name = escape(&ran.suite);
        xml.push_str(&format!(
            "  <testsuite name=\"{name}\" hostname=\"{}\" tests=\"{}\" failures=\"{}\" time=\"{:.3}\">\n",
            escape(&ran.env),
            cases(ran).len(),
            u8::from(!ran.passed),
            ran.took_ms / 1_000.0
        ));
        for (case, seconds, failure) in cases(ran) {
            xml.push_str(&format!(
                "    <testcase classname=\"{name}\" name=\"{}\" time=\"{seconds:.3}\"",
                escape(&case)
            ));
            match failure {
                None => xml.push_str("/>\n"),
                Some(failure) => {
                    let first = failure.lines().next().unwrap_or_default();
                    xml.push_str(&format!(
                        ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                        escape(first),
                        escape(&failure)
                    ));
                }
            }
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Name, seconds and failure of each test case: the steps that ran, and the suite itself where no step says all.
fn cases(ran: &Ran) -> Vec<(String, f64, Option<String>)> {
    let mut cases: Vec<(String, f64, Option<String>)> = ran
        .steps
        .iter()
        .enumerate()
        .map(|(at, step)| {
            let logs = step.logs.join("\n");
            let failure = step.detail.as_ref().map(|detail| format!("{detail}{logs}"));
            (
                format!("{} {}", at + 1, step.step),
                step.took_ms / 1_000.0,
                failure,
            )
        })
        .collect();
    if cases.is_empty() || ran.failure.is_some() {
        cases.push((ran.suite.clone(), ran.took_ms / 1_000.0, ran.failure.clone()));
    }
    cases
}

/// Text for XML 1.0: its five characters escaped, what it cannot hold replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
