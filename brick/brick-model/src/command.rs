//! Splits a command line as a POSIX shell would, without running one.
//!
//! Quotes and backslashes work as in the shell (IEEE 1003.1, 2.2 Quoting); nothing is expanded. What only a shell
//! could do, such as pipes and variables, is refused instead of being passed on as text.

use std::path::Path;

use crate::model::Brick;

/// Placeholder for the cargo target folder of the profile.
pub const TARGET: &str = "{target}";

/// The command line cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no word in it.
    #[error("the command is empty")]
    Empty,
    /// A quote without its end.
    #[error("the quote {0} is never closed")]
    Quote(char),
    /// A backslash at the end.
    #[error("the command ends in a backslash")]
    Backslash,
    /// Something that only a shell could do.
    #[error("{0:?} needs a shell, and none is run")]
    Shell(char),
}

/// Splits a command line into program and arguments.
pub fn split(line: &str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => word
                .get_or_insert_default()
                .push(chars.next().ok_or(Error::Backslash)?),
            '|' | '&' | ';' | '<' | '>' | '$' | '`' => return Err(Error::Shell(c)),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words),
        _ => Err(Error::Empty),
    }
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Error> {
    for c in chars {
        if c == '\'' {
            return Ok(());
        }
        word.push(c);
    }
    Err(Error::Quote('\''))
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Error> {
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(()),
            '\\' => match chars.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => return Err(Error::Quote('"')),
            },
            '$' | '`' => return Err(Error::Shell(c)),
            c => word.push(c),
        }
    }
    Err(Error::Quote('"'))
}

/// Splits a command line and puts the target folder in, after splitting, so that a space in it does no harm.
pub fn resolve(line: &str, target: &Path) -> Result<Vec<String>, Error> {
    let target = target.to_string_lossy();
    Ok(split(line)?
        .into_iter()
        .map(|word| word.replace(TARGET, &target))
        .collect())
}

impl Brick {
    /// Program and arguments that start the brick; `None` for an external one.
    pub fn run_command(&self, target: &Path) -> Option<Vec<String>> {
        resolve(self.run.as_deref()?, target).ok()
    }

    /// Program and arguments that build the brick; `None` where nothing is built.
    pub fn build_command(&self, target: &Path) -> Option<Vec<String>> {
        resolve(self.build.as_deref()?, target).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Result<&[&str], Error>) {
        let expect = expect.map(|words| words.iter().map(|w| (*w).to_owned()).collect());
        assert_eq!(split(line), expect, "{line:?}");
    }

    #[test]
    fn words_are_split_as_a_shell_would() {
        check("a b  c", Ok(&["a", "b", "c"]));
        check(" 'a b' c\"d e\"f ", Ok(&["a b", "cd ef"]));
        check(r#"a\ b "\"\n" '' "#, Ok(&["a b", "\"\\n", ""]));
        check("a '$x | y'", Ok(&["a", "$x | y"]));
    }

    #[test]
    fn what_cannot_be_split_is_told_why() {
        check("", Err(Error::Empty));
        check("  ", Err(Error::Empty));
        check("''", Err(Error::Empty));
        check("a 'b", Err(Error::Quote('\'')));
        check("a \"b", Err(Error::Quote('"')));
        check("a \"b\\", Err(Error::Quote('"')));
        check("a \\", Err(Error::Backslash));
        check("a | b", Err(Error::Shell('|')));
        check("a \"$HOME\"", Err(Error::Shell('$')));
    }

    #[test]
    fn the_target_folder_goes_in_after_splitting() {
        let words = resolve("{target}/shop order", Path::new("/my builds/release")).unwrap();
        assert_eq!(words, ["/my builds/release/shop", "order"]);
    }
}
