//! Runs suites, each step told as it goes; a failure shows the request, the answer and what was expected.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;

use brick_model::{Step, Suite};
use brick_wire::lines::Lines;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::report::{Ran, RanStep, failed_step};
use super::target::Target;
use crate::command::steps::{Exchange, Values, issue_tokens};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone, plain};
use crate::patience::Patience;

/// Lines of a command's output that its failure shows.
const TAIL_LINES: usize = 40;
/// Longest line of a command's output that is told whole.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Log lines that a failed step of a brick alone shows.
const LOG_LINES: usize = 20;

/// Runs them in turn. An error is a run that could not be made; a suite that failed is a result.
pub(super) async fn all(
    target: &Target,
    suites: &[(&str, &Suite)],
    dir: &Path,
    output: Output,
) -> Outcome<Vec<Ran>> {
    if target.token.is_none() {
        let unmarked = format!(
            "the traffic is not marked synthetic: {} has no token here",
            target.name
        );
        output.progress(&format!("{} {unmarked}", output.err(Tone::Warn, "warning:")));
    }
    let mut ran = Vec::with_capacity(suites.len());
    for (name, suite) in suites {
        ran.push(one(target, name, suite, dir, output).await?);
    }
    Ok(ran)
}

async fn one(target: &Target, name: &str, suite: &Suite, dir: &Path, output: Output) -> Outcome<Ran> {
    let about = suite
        .about
        .as_deref()
        .map(|about| format!(": {about}"))
        .unwrap_or_default();
    output.progress(&plain(&format!("{name}{about}")));
    let mut ran = Ran::new(name, &target.name, suite);
    let begin = Instant::now();
    let work = async {
        match &suite.run {
            Some(line) => command(target, name, line, dir, &mut ran, output).await,
            None => steps(target, name, &suite.steps, &mut ran, output).await,
        }
    };
    match tokio::time::timeout(suite.timeout.0, work).await {
        Ok(outcome) => outcome?,
        Err(_) => {
            let late = format!("it did not end within {}", suite.timeout);
            fail(&late, output);
            ran.failure = Some(late);
        }
    }
    ran.took_ms = begin.elapsed().as_secs_f64() * 1_000.0;
    ran.passed = ran.failure.is_none() && ran.steps.iter().all(|step| step.passed);
    Ok(ran)
}

async fn steps(target: &Target, name: &str, steps: &[Step], ran: &mut Ran, output: Output) -> Outcome {
    let mut values = Values::new();
    match &target.admin {
        Some(admin) => {
            let patience = Patience::new(output);
            patience
                .until_there(async || issue_tokens(steps, admin, &mut values).await)
                .await?;
        }
        None if steps.iter().any(|step| step.auth.is_some()) => {
            let message = format!(
                "{name}: a step has auth, and {} issues no tokens to this command",
                target.name
            );
            let hint = "sign in by a step, save the token, and send it as a header";
            return Err(Failure::usage(message).hint(hint));
        }
        None => {}
    }
    let sender = target.steps(name)?;
    for step in steps {
        let exchange = sender.step(step, &mut values).await;
        tell(&exchange, output);
        let mut result = RanStep::of(&exchange);
        if !exchange.passed() {
            let logs = logs(target, &exchange).await;
            let trace = exchange.trace_id().filter(|_| !target.alone);
            output.note(&indent(&failed_step(&exchange, trace, &logs)));
            result.logs = logs;
        }
        ran.steps.push(result);
        if !exchange.passed() {
            break;
        }
    }
    Ok(())
}

fn tell(exchange: &Exchange, output: Output) {
    let mark = if exchange.passed() {
        output.err(Tone::Good, "ok  ")
    } else {
        output.err(Tone::Bad, "FAIL")
    };
    let status = exchange
        .answer
        .as_ref()
        .map_or(0, |answer| answer.status.as_u16());
    let what = plain(&exchange.what);
    output.progress(&format!(
        "  {mark} {what}  {status}  {:.1} ms",
        exchange.took.as_secs_f64() * 1_000.0
    ));
}

fn fail(what: &str, output: Output) {
    output.note(&format!("  {} {}", output.err(Tone::Bad, "FAIL"), plain(what)));
}

fn indent(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("       {line}")).collect();
    lines.join("\n")
}

/// What a brick alone logged about a request that failed: afterwards its system is gone.
async fn logs(target: &Target, exchange: &Exchange) -> Vec<String> {
    let (Some(agent), Some(trace), true) = (&target.agent, exchange.trace_id(), target.alone) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let path = format!("/v1/logs?trace={trace}&limit={LOG_LINES}");
    let read = agent.lines(&path, |line| {
        if let Ok(record) = serde_json::from_str::<Value>(line) {
            let cell = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            lines.push(format!("{} {} {}", cell("instance"), cell("level"), cell("msg")));
        }
        true
    });
    if read.await.is_err() {
        lines.clear();
    }
    lines
}

/// A command instead of steps; its output is progress, and the end of it is shown again where it fails.
async fn command(
    target: &Target,
    name: &str,
    line: &str,
    dir: &Path,
    ran: &mut Ran,
    output: Output,
) -> Outcome {
    let binaries = crate::command::up::target_dir(dir).join("release");
    let words = brick_model::command::resolve(line, &binaries)
        .map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .current_dir(dir)
        .env("BRICK_EDGE_URL", &target.url)
        .env(
            "BRICK_SYNTHETIC_TOKEN",
            target.token.as_deref().unwrap_or_default(),
        )
        .env("BRICK_SUITE", name)
        .env("BRICK_ENV", &target.name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let failure = format!("`{}` cannot be started: {error}", words[0]);
            fail(&failure, output);
            ran.failure = Some(failure);
            return Ok(());
        }
    };
    let (sender, mut lines) = mpsc::channel(256);
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);
    let mut tail = VecDeque::new();
    while let Some(line) = lines.recv().await {
        output.progress(&format!("  {}", plain(&line)));
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    let status = child.wait().await;
    let status = status.map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    if !status.success() {
        let tail: Vec<String> = tail.into();
        fail(&format!("`{line}` ended with {status}"), output);
        ran.failure = Some(format!("`{line}` ended with {status}\n{}", tail.join("\n")));
    }
    Ok(())
}

/// Sends what a stream says, line by line, until it ends. What is no UTF-8 is replaced.
fn forward(stream: Option<impl AsyncRead + Unpin + Send + 'static>, lines: mpsc::Sender<String>) {
    let Some(stream) = stream else { return };
    tokio::spawn(async move {
        let mut stream = stream;
        let mut buffer = vec![0; 8 * 1024];
        let mut cut = Lines::default();
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            cut.push(&buffer[..read]);
            for line in cut.by_ref() {
                if lines.send(line).await.is_err() {
                    return;
                }
            }
            // A line without end is told in pieces.
            if cut.pending() > LINE_BYTES_MAX {
                cut.push(b"\n");
            }
        }
        cut.push(b"\n");
        for line in cut.filter(|line| !line.is_empty()) {
            if lines.send(line).await.is_err() {
                return;
            }
        }
    });
}
