//! docs/reference/cli.md is written from the command line itself: this test fails when it is stale, and writes it
//! anew with `UPDATE=1 cargo test --release -p brick-cli reference`.

use std::fmt::Write as _;
use std::path::Path;

use clap::Command;

use super::groups::GROUPS;

/// Columns of the help texts in the page.
const WIDTH: usize = 100;

fn page() -> String {
    let mut root = super::command().term_width(WIDTH);
    root.build();
    let mut out = String::from(
        "# The command line\n\nWritten from the program itself; `brick help COMMAND` prints the same. Data goes to stdout, progress and hints\nto stderr; `brick help formats` and `brick help exit-codes` say more.\n\n```text\n",
    );
    let _ = writeln!(out, "{}\n```", root.render_help().to_string().trim_end());
    for (title, names) in GROUPS {
        let _ = writeln!(out, "\n## {title}");
        for name in names {
            if let Some(sub) = root.find_subcommand(name) {
                section(&mut out, sub, &format!("brick {name}"));
            }
        }
    }
    out
}

fn section(out: &mut String, command: &Command, path: &str) {
    let text = command.clone().term_width(WIDTH).render_long_help().to_string();
    let own = text.split("\nOptions of every command:").next().unwrap_or(&text);
    let _ = writeln!(out, "\n### {path}\n\n```text\n{}\n```", own.trim_end());
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        section(out, sub, &format!("{path} {}", sub.get_name()));
    }
}

#[test]
fn the_reference_page_says_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let now = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &now).expect("the page is written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == now,
        "docs/reference/cli.md is stale: UPDATE=1 cargo test --release -p brick-cli reference"
    );
}
