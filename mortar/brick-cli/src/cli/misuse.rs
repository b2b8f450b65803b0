//! Arguments that are none: told as clap tells it, or as data where data was asked for.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::failure::Failure;

/// What clap has to say instead of a parsed command line.
#[derive(Debug)]
pub(crate) struct Misuse {
    error: clap::Error,
    data: bool,
}

impl Misuse {
    pub(super) fn new(error: clap::Error, arguments: &[OsString]) -> Self {
        Self {
            error,
            data: wants_data(arguments),
        }
    }

    /// Prints it; help and version go to stdout and are no failure.
    pub(crate) fn tell(&self) -> ExitCode {
        let asked = matches!(
            self.error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        );
        if self.data && !asked {
            eprintln!("{}", self.failure().document());
        } else {
            // A stream that is closed has nobody to be told.
            let _ = self.error.print();
        }
        u8::try_from(self.error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
    }

    /// The words of clap as message and hint.
    fn failure(&self) -> Failure {
        let kind = self.error.kind();
        if matches!(
            kind,
            ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        ) {
            return Failure::usage("no command is named")
                .hint("`brick --help` lists the commands, `brick help COMMAND` explains one");
        }
        let text = self.error.render().to_string();
        let mut paragraphs = text.split("\n\n").map(joined);
        let message = paragraphs.next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let rest: Vec<String> = paragraphs
            .filter(|paragraph| !paragraph.starts_with("For more information"))
            .map(|paragraph| paragraph.trim_start_matches("tip: ").to_owned())
            .collect();
        let failure = Failure::usage(message);
        match rest.is_empty() {
            true => failure,
            false => failure.hint(rest.join("; ")),
        }
    }
}

/// Lines as one, without the space around them.
fn joined(paragraph: &str) -> String {
    let lines: Vec<&str> = paragraph
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" ")
}

/// Whether the arguments ask for data, as far as that can be said of arguments that are wrong.
fn wants_data(arguments: &[OsString]) -> bool {
    let mut format = None;
    let mut words = arguments.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match &*word {
            "--" => break,
            "--format" => format = words.next(),
            word => {
                if let Some(value) = word.strip_prefix("--format=") {
                    format = Some(value.to_owned().into());
                }
            }
        }
    }
    matches!(format.as_deref(), Some("json" | "ndjson"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_wanted_where_the_format_says_so_before_a_commands_own_words() {
        let check = |line: &str, expect: bool| {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(wants_data(&arguments), expect, "{line}");
        };
        check("brick statsu --format json", true);
        check("brick --format=ndjson statsu", true);
        check("brick statsu", false);
        check("brick statsu --format yaml", false);
        check("brick statsu --format", false);
        check("brick --format json --format table ps", false);
        check("brick run order -- jq --format json", false);
    }
}
