//! Builds: equal commands in equal folders run once, with progress, in an environment that an outer cargo cannot bend.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use brick_core::{BrickName, Drain};
use brick_model::Model;
use process_wrap::std::{ChildWrapper, CommandWrap, ProcessSession};
use tokio::sync::mpsc;

use crate::Error;
use crate::events::{Event, EventKind, Events};
use crate::launch::{find_program, install_hint};
use crate::linux::process::{Exit, Process};

const TAIL_LINES: usize = 40;
const LINE_BYTES_MAX: usize = 16 * 1024;

/// One build and the bricks that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) bricks: Vec<BrickName>,
    pub(crate) command: Vec<String>,
    pub(crate) dir: PathBuf,
    pub(crate) optional: bool,
}

/// Ends a build that nobody waits for any more.
struct Guard<'a>(Option<&'a Process>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(process) = self.0 {
            process.terminate();
        }
    }
}

/// The builds of these bricks, each once, in order.
pub(crate) fn builds(
    model: &Model,
    base: &Path,
    target: &Path,
    wanted: &[BrickName],
) -> Result<Vec<Build>, Error> {
    let mut builds: Vec<Build> = Vec::new();
    for name in wanted {
        for (of, brick) in crate::plan::versions(model, name) {
            let Some(line) = &brick.build else { continue };
            let command = brick.build_command(target).ok_or_else(|| Error::Command {
                brick: of,
                reason: format!("its build command `{line}` cannot be split into words"),
            })?;
            let dir = brick.dir(base);
            match builds.iter_mut().find(|b| b.command == command && b.dir == dir) {
                Some(build) => {
                    if !build.bricks.contains(name) {
                        build.bricks.push(name.clone());
                    }
                    build.optional &= brick.optional;
                }
                None => builds.push(Build {
                    bricks: vec![name.clone()],
                    command,
                    dir,
                    optional: brick.optional,
                }),
            }
        }
    }
    Ok(builds)
}

/// The environment of builds: the operator's, without what an outer cargo set for its own child, with this target
/// folder.
pub(crate) fn environment(operator: &[(String, String)], target_dir: &Path) -> Vec<(String, String)> {
    let kept = |name: &str| match name {
        "CARGO_HOME" | "RUSTUP_HOME" => true,
        "LD_LIBRARY_PATH" => false,
        _ => !name.starts_with("CARGO") && !name.starts_with("RUST"),
    };
    let mut env: Vec<(String, String)> = operator.iter().filter(|(name, _)| kept(name)).cloned().collect();
    let target_dir = target_dir.to_string_lossy().into_owned();
    env.push(("CARGO_TARGET_DIR".to_owned(), target_dir));
    // Cargo counts what it compiles for a terminal alone, unless it is told to; the width bounds the line.
    for (name, value) in [
        ("CARGO_TERM_PROGRESS_WHEN", "always"),
        ("CARGO_TERM_PROGRESS_WIDTH", "120"),
    ] {
        env.push((name.to_owned(), value.to_owned()));
    }
    env
}

/// Runs a build to its end; a drain kills it.
pub(crate) async fn run(
    build: &Build,
    env: &[(String, String)],
    events: &Events,
    drain: &Drain,
) -> Result<(), Error> {
    let first = &build.bricks[0];
    let line = build.command.join(" ");
    let program = find_program(&build.command[0], &build.dir, env).ok_or_else(|| Error::MissingProgram {
        brick: first.clone().into(),
        program: build.command[0].clone(),
        hint: install_hint(&build.command[0]),
    })?;
    events.send(Event::new(EventKind::BuildStarted, line.clone()).brick(first));
    let started = Instant::now();
    let failed = |reason: String| Error::Command {
        brick: first.clone().into(),
        reason,
    };
    let mut child =
        spawn(build, &program, env).map_err(|e| failed(format!("`{line}` does not start: {e}")))?;
    let process =
        Process::of_child(child.id()).map_err(|e| failed(format!("`{line}` cannot be watched: {e}")))?;
    let mut guard = Guard(Some(&process));
    let (sender, mut lines) = mpsc::channel(256);
    forward(child.stdout().take(), sender.clone());
    forward(child.stderr().take(), sender);
    let mut tail = VecDeque::new();
    let exit = loop {
        tokio::select! {
            Some(line) = lines.recv() => note(line, first, &mut tail, events),
            () = process.ended() => break process.reap(),
            // The guard ends the build.
            () = drain.requested() => return Err(Error::Stopping),
        }
    };
    guard.0 = None;
    while let Some(line) = lines.recv().await {
        note(line, first, &mut tail, events);
    }
    let seconds = started.elapsed().as_secs_f64();
    if exit == Exit::Code(0) {
        events.send(Event::new(EventKind::BuildDone, format!("{line} in {seconds:.1} s")).brick(first));
        return Ok(());
    }
    let tail: Vec<String> = tail.into();
    let msg = format!("{line} failed with {exit} after {seconds:.1} s");
    events.send(
        Event::new(EventKind::BuildFailed, msg)
            .brick(first)
            .lines(tail.clone()),
    );
    Err(Error::Build {
        bricks: build.bricks.clone(),
        command: line,
        dir: build.dir.clone(),
        exit: exit.to_string(),
        tail: tail.join("\n"),
    })
}

fn spawn(build: &Build, program: &Path, env: &[(String, String)]) -> std::io::Result<Box<dyn ChildWrapper>> {
    let mut command = Command::new(program);
    command
        .args(&build.command[1..])
        .current_dir(&build.dir)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    CommandWrap::from(command).wrap(ProcessSession).spawn()
}

fn note(line: Line, brick: &BrickName, tail: &mut VecDeque<String>, events: &Events) {
    if !line.passing {
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line.text.clone());
    }
    events.send(Event::new(EventKind::BuildProgress, line.text).brick(brick));
}

/// What a build wrote up to the end of a line.
struct Line {
    text: String,
    /// It ends in a carriage return: the next one stands in its place.
    passing: bool,
}

/// Reads up to a line feed or a carriage return, or as much of the line as is kept; none at the end.
fn read_line(reader: &mut impl BufRead) -> std::io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let mut last = None;
    while last.is_none() && bytes.len() < LINE_BYTES_MAX {
        let found = reader.fill_buf()?;
        if found.is_empty() {
            break;
        }
        let end = found.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        last = end.map(|at| found[at]);
        let taken = end.map_or(found.len(), |at| at + 1);
        bytes.extend_from_slice(&found[..taken]);
        reader.consume(taken);
    }
    Ok((!bytes.is_empty()).then(|| Line {
        text: String::from_utf8_lossy(&bytes).trim_end().to_owned(),
        passing: last == Some(b'\r'),
    }))
}

/// Reads lines on a thread of its own: pipes of a build are few and end with it.
fn forward(pipe: Option<impl Read + Send + 'static>, sender: mpsc::Sender<Line>) {
    let Some(pipe) = pipe else { return };
    tokio::task::spawn_blocking(move || {
        let mut reader = BufReader::new(pipe);
        while let Ok(Some(line)) = read_line(&mut reader) {
            if !line.text.is_empty() && sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(command: &[&str]) -> Build {
        Build {
            bricks: vec!["order".parse().unwrap()],
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            dir: std::env::temp_dir(),
            optional: false,
        }
    }

    fn path() -> Vec<(String, String)> {
        vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]
    }

    #[test]
    fn an_outer_cargo_leaves_nothing_in_the_environment_of_builds() {
        let pairs = [
            ("CARGO_HOME", true),
            ("RUSTUP_HOME", true),
            ("CARGO_MANIFEST_DIR", false),
            ("CARGO", false),
            ("RUSTFLAGS", false),
            ("RUSTUP_TOOLCHAIN", false),
            ("RUST_RECURSION_COUNT", false),
            ("LD_LIBRARY_PATH", false),
            ("PATH", true),
        ];
        let operator: Vec<(String, String)> = pairs.map(|(n, _)| (n.to_owned(), "x".to_owned())).into();
        let env = environment(&operator, Path::new("/t"));
        for (name, expect) in pairs {
            assert_eq!(env.iter().any(|(n, _)| n == name), expect, "{name}");
        }
        assert!(env.contains(&("CARGO_TARGET_DIR".to_owned(), "/t".to_owned())));
    }

    #[tokio::test]
    async fn a_build_tells_its_progress() {
        let events = Events::new();
        let mut seen = events.subscribe();
        let build = build(&["sh", "-c", "echo one; echo two >&2"]);
        run(&build, &path(), &events, &Drain::never()).await.unwrap();
        let mut lines = Vec::new();
        loop {
            let event = seen.next().await.unwrap();
            match event.kind {
                EventKind::BuildProgress => lines.push(event.msg),
                EventKind::BuildDone => break,
                _ => {}
            }
        }
        lines.sort();
        assert_eq!(lines, ["one", "two"]);
    }

    #[tokio::test]
    async fn what_a_build_writes_over_is_progress_but_not_among_its_last_lines() {
        let events = Events::new();
        let mut seen = events.subscribe();
        let build = build(&["sh", "-c", "printf '1/2\\r2/2\\rerror: no\\n' >&2; exit 1"]);
        let error = run(&build, &path(), &events, &Drain::never()).await.unwrap_err();
        assert!(error.to_string().ends_with("error: no"), "{error}");
        let mut lines = Vec::new();
        while lines.len() < 3 {
            let event = seen.next().await.unwrap();
            if event.kind == EventKind::BuildProgress {
                lines.push(event.msg);
            }
        }
        assert_eq!(lines, ["1/2", "2/2", "error: no"]);
    }

    #[tokio::test]
    async fn a_build_that_fails_shows_its_last_lines() {
        let build = build(&["sh", "-c", "echo error: no such thing >&2; exit 101"]);
        let error = run(&build, &path(), &Events::new(), &Drain::never())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("order") && text.contains("exit code 101"), "{text}");
        assert!(text.contains("error: no such thing"), "{text}");
    }

    #[tokio::test]
    async fn a_missing_tool_is_named_with_what_to_do() {
        let build = build(&["cargo-that-is-not-there", "build"]);
        let error = run(&build, &path(), &Events::new(), &Drain::never())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("order") && text.contains("`cargo-that-is-not-there`"),
            "{text}"
        );
        assert!(text.contains("PATH"), "{text}");
    }
}
