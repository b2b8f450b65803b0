//! `brick help`: what a command does, and short pages on what is not one command's.

use brick_core::ExitCode;

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone, line};

/// The pages: name, what it is about, text.
const TOPICS: [(&str, &str, &str); 7] = [
    (
        "start",
        "a first system, from nothing to a trace",
        include_str!("../../../../docs/help/start.md"),
    ),
    (
        "manifest",
        "brick.toml, the one description of a system",
        include_str!("../../../../docs/help/manifest.md"),
    ),
    (
        "environment",
        "what a process gets, in any language",
        include_str!("../../../../docs/help/environment.md"),
    ),
    (
        "patterns",
        "the bricks and mortar there are",
        include_str!("../../../../docs/help/patterns.md"),
    ),
    (
        "formats",
        "table, JSON, NDJSON, colour, terminals",
        include_str!("../../../../docs/help/formats.md"),
    ),
    (
        "exit-codes",
        "what a command's exit code says",
        include_str!("../../../../docs/help/exit-codes.md"),
    ),
    (
        "folder",
        "what is in .brickwork, and what may be deleted",
        include_str!("../../../../docs/help/folder.md"),
    ),
];

pub(crate) fn run(words: &[String], output: Output) -> Outcome {
    let Some(first) = words.first() else {
        line(&cli::command().render_long_help().to_string());
        line("\nTopics (`brick help TOPIC`):");
        for (name, about, _) in TOPICS {
            line(&format!("  {name:<12} {about}"));
        }
        return Ok(());
    };
    if let Some((_, _, page)) = TOPICS.iter().find(|(name, ..)| name == first) {
        line(&show(page, output));
        return Ok(());
    }
    let mut command = cli::command();
    command.build();
    let mut at = &mut command;
    for word in words {
        at = at.find_subcommand_mut(word).ok_or_else(|| unknown(words))?;
    }
    line(at.render_long_help().to_string().trim_end());
    Ok(())
}

fn unknown(words: &[String]) -> Failure {
    let command = cli::command();
    let commands = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(clap::Command::get_name);
    let names: Vec<&str> = TOPICS.iter().map(|(name, ..)| *name).chain(commands).collect();
    let wish = words.join(" ");
    let hint = match brick_model::nearest::nearest(&wish, names) {
        Some(name) => format!("did you mean `brick help {name}`?"),
        None => "`brick help` lists commands and topics".to_owned(),
    };
    Failure::new(
        ExitCode::Usage,
        format!("there is no command or topic \"{wish}\""),
    )
    .hint(hint)
}

/// A page for a terminal: headings stand out, the rest is text that reads as it is.
fn show(page: &str, output: Output) -> String {
    let mut out = Vec::new();
    let mut code = false;
    for text in page.trim_end().lines() {
        if text.starts_with("```") {
            code = !code;
            continue;
        }
        if code {
            out.push(format!("    {text}"));
        } else if let Some(title) = text.strip_prefix('#') {
            out.push(output.out(Tone::Good, title.trim_start_matches('#').trim()));
        } else {
            out.push(text.to_owned());
        }
    }
    out.join("\n")
}
