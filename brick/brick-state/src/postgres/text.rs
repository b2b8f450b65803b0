//! SQL read as words: just enough to find parameters and types of columns, never inside quotes or comments.

use aws_lc_rs::digest;

/// A piece of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Letters, digits and underscores, not beginning with a digit.
    Word,
    /// `"quoted"`, a name as well.
    Name,
    /// `$7`.
    Parameter(usize),
    /// One character of punctuation.
    Mark(char),
    /// Space and comments.
    Space,
    /// Strings and numbers.
    Literal,
}

/// The text in pieces, which together are the text.
pub(super) fn pieces(sql: &str) -> impl Iterator<Item = (Piece, &str)> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        let (piece, length) = first(rest)?;
        let (text, after) = rest.split_at(length);
        rest = after;
        Some((piece, text))
    })
}

fn first(rest: &str) -> Option<(Piece, usize)> {
    let c = rest.chars().next()?;
    let run = |of: fn(char) -> bool| rest.find(|c| !of(c)).unwrap_or(rest.len());
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let found = match c {
        '\'' => (Piece::Literal, quoted(rest, '\'')),
        '"' => (Piece::Name, quoted(rest, '"')),
        '-' if rest.starts_with("--") => (Piece::Space, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (Piece::Space, rest.find("*/").map_or(rest.len(), |at| at + 2)),
        '$' => dollar(rest),
        c if c.is_whitespace() => (Piece::Space, run(char::is_whitespace)),
        c if c.is_ascii_digit() => (Piece::Literal, run(|c| c.is_ascii_alphanumeric() || c == '.')),
        c if is_word(c) => (Piece::Word, run(is_word)),
        c => (Piece::Mark(c), c.len_utf8()),
    };
    Some(found)
}

/// Length of what is in these quotes, which are doubled inside.
fn quoted(rest: &str, quote: char) -> usize {
    let mut inside = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = inside.next() {
        if c != quote {
            continue;
        }
        match inside.peek() {
            Some((_, next)) if *next == quote => drop(inside.next()),
            _ => return at + 1,
        }
    }
    rest.len()
}

/// A parameter, or a string in dollar quotes.
fn dollar(rest: &str) -> (Piece, usize) {
    let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        let number = rest[1..=digits].parse().unwrap_or(usize::MAX);
        return (Piece::Parameter(number), digits + 1);
    }
    let tag = rest[1..]
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|end| rest[1 + end..].starts_with('$'))
        .map(|end| &rest[..end + 2]);
    match tag {
        Some(tag) => {
            let body = &rest[tag.len()..];
            let end = body.find(tag).map_or(rest.len(), |at| at + 2 * tag.len());
            (Piece::Literal, end)
        }
        None => (Piece::Mark('$'), 1),
    }
}

/// What is wrong with so many values for the statement's parameters, if anything is.
pub(super) fn misfit(sql: &str, values: usize) -> Option<String> {
    let used = pieces(sql).filter_map(|(piece, _)| match piece {
        Piece::Parameter(number) => Some(number),
        _ => None,
    });
    let used = used.max().unwrap_or(0);
    match used.cmp(&values) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(format!(
            "the statement uses ${used}, but {values} values are given"
        )),
        std::cmp::Ordering::Less => Some(format!(
            "{values} values are given, but the statement uses {used}"
        )),
    }
}

/// The number of an advisory lock by its name, which two uses of the same name do not share, nor two schemas of a
/// database.
pub(super) fn key(of: &str, schema: Option<&str>, name: &str) -> i64 {
    let whole = format!("brick {of} {} {name}", self::name(schema.unwrap_or_default()));
    let digest = digest::digest(&digest::SHA256, whole.as_bytes());
    let bytes = digest.as_ref().first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(bytes)
}

/// The name of a channel, which all schemas of a database have in common otherwise.
pub(super) fn channel(schema: Option<&str>, name: &str) -> String {
    schema.map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"))
}

/// As a name in SQL.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_outside_of_strings_names_and_comments() {
        let check = |sql: &str, values: usize, expect: Option<&str>| {
            assert_eq!(misfit(sql, values).as_deref(), expect, "{sql}");
        };
        check("select $2, $1", 2, None);
        check("select '$3', \"$4\", $1 -- $5\n /* $6 */", 1, None);
        check("select 'it''s $9', $tag$ $8 $tag$, $1", 1, None);
        check(
            "select 1",
            1,
            Some("1 values are given, but the statement uses 0"),
        );
        check(
            "select $3",
            2,
            Some("the statement uses $3, but 2 values are given"),
        );
    }

    #[test]
    fn a_text_in_pieces_is_the_text() {
        for sql in [
            "",
            "select 'a",
            "a$b $ \"x\"\"y\" é /* é",
            "$é$ x",
            "$a$ x $a",
            "'é''",
            "1.5e3 --",
        ] {
            let joined: String = pieces(sql).map(|(_, text)| text).collect();
            assert_eq!(joined, sql);
        }
    }
}
