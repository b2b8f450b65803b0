//! `brick --help`: the commands listed by what they are for, which clap alone does not do.

use std::fmt::Write as _;

use clap::Command;

/// What commands are for, in the order in which a newcomer meets them. Every visible command stands in one of them.
pub(crate) const GROUPS: [(&str, &[&str]); 7] = [
    (
        "Every day",
        &[
            "new", "up", "down", "ps", "logs", "status", "open", "scale", "roll", "kill", "run", "demo",
            "test", "check", "doctor",
        ],
    ),
    (
        "Look inside",
        &[
            "top", "tap", "map", "breaker", "fault", "trace", "metrics", "load",
        ],
    ),
    ("Change what runs", &["config", "flag"]),
    ("Versions side by side", &["route", "canary", "quarantine"]),
    ("Prove that it holds", &["prove"]),
    ("Who may, and who did", &["token", "audit"]),
    (
        "This program",
        &["schema", "completions", "man", "version", "help"],
    ),
];

/// The help of the program itself, with its commands in groups.
pub(crate) fn arrange(command: Command) -> Command {
    let list = list(&command);
    command.help_template(format!(
        "{{about}}\n\nUsage: brick [OPTIONS] <COMMAND>\n{list}\nOptions:\n{{options}}\n\n{HINTS}"
    ))
}

const HINTS: &str = "`brick help COMMAND` explains a command, `brick help` lists the topics.\n\
    Begin with `brick new hello`, then `brick up hello`.";

fn list(command: &Command) -> String {
    let width = GROUPS
        .iter()
        .flat_map(|(_, names)| *names)
        .map(|name| name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(text, "\n{title}:");
        for name in names {
            let Some(sub) = command.find_subcommand(name) else {
                continue;
            };
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:<width$}  {about}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_visible_command_stands_in_one_group() {
        for sub in crate::cli::Cli::command().get_subcommands() {
            let places = GROUPS
                .iter()
                .filter(|(_, names)| names.contains(&sub.get_name()))
                .count();
            let expect = usize::from(!sub.is_hide_set());
            assert_eq!(
                places,
                expect,
                "`brick {}` belongs into one group of GROUPS",
                sub.get_name()
            );
        }
    }
}
