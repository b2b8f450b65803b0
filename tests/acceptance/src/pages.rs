//! The commands that documents tell a reader to type, in the order in which they stand there.
//!
//! A command is each line of an `sh` block, and each span of a table row that begins with `cargo`, `brick` or `curl`
//! (tables under `docs/reference` describe syntax and are left out). `# exit code N` behind a line says how it ends;
//! what stands behind `# →`, or in spans behind `→` in a table, has to be in what it prints.

use std::path::{Path, PathBuf};

/// A document.
#[derive(Debug)]
pub struct Page {
    /// Where it is in the repository.
    pub path: PathBuf,
    /// What it tells to type.
    pub commands: Vec<Typed>,
}

/// A command as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// Line of the page, from 1.
    pub line: usize,
    /// What is typed, without comment; of several lines where it has a here-document.
    pub text: String,
    /// What has to be in the output.
    pub shows: Vec<String>,
    /// How it has to end.
    pub exit: i32,
}

/// README and every page under `docs`, in order of their paths.
pub fn all(root: &Path) -> Vec<Page> {
    let mut paths = vec![PathBuf::from("README.md")];
    collect(root, Path::new("docs"), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(root.join(&path)).expect("a page can be read");
        let tables = !path.starts_with("docs/reference");
        Page {
            commands: commands(&text, tables),
            path,
        }
    };
    paths.into_iter().map(read).collect()
}

fn collect(root: &Path, folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(root.join(folder)).expect("docs can be read");
    for entry in entries.flatten() {
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect(root, &path, into);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            into.push(path);
        }
    }
}

/// The commands of one page.
fn commands(text: &str, tables: bool) -> Vec<Typed> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(tag) = line.trim_start().strip_prefix("```") {
            fence = match fence {
                None => Some(tag.trim()),
                Some(_) => None,
            };
        } else if fence == Some("sh") {
            let mut whole = line.trim().to_owned();
            while let Some(open) = whole.strip_suffix('\\') {
                let next = lines.next().map_or("", |(_, next)| next.trim());
                whole = format!("{}{next}", open.to_owned());
            }
            let Some(mut typed) = typed(number + 1, &whole) else {
                continue;
            };
            if let Some(end) = here_document(&typed.text) {
                for (_, line) in lines.by_ref() {
                    typed.text.push('\n');
                    typed.text.push_str(line);
                    if line == end {
                        break;
                    }
                }
            }
            found.push(typed);
        } else if fence.is_none() && tables && line.starts_with('|') {
            found.extend(cells(number + 1, line));
        }
    }
    found
}

/// One line of a block: the command, and what its comment says of it.
fn typed(line: usize, whole: &str) -> Option<Typed> {
    let (text, comment) = match whole.strip_prefix('#') {
        Some(_) => return None,
        None => whole.split_once(" # ").unwrap_or((whole, "")),
    };
    let text = text.trim();
    let exit = comment
        .split_once("exit code ")
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    let shows = comment.split_once('→').map(|(_, shows)| shows.trim().to_owned());
    (!text.is_empty()).then(|| Typed {
        line,
        text: text.to_owned(),
        shows: shows.into_iter().collect(),
        exit: exit.unwrap_or(0),
    })
}

/// The word that ends a here-document, where the line begins one.
fn here_document(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<<")?;
    let word = rest.trim_start_matches('-').split_whitespace().next()?;
    Some(word.trim_matches(['\'', '"']).to_owned())
}

/// The commands of a table's row.
fn cells(line: usize, row: &str) -> Vec<Typed> {
    let mut found: Vec<Typed> = Vec::new();
    let mut arrow = false;
    for (at, piece) in row.split('`').enumerate() {
        let piece = piece.replace("\\|", "|");
        if at % 2 == 0 {
            arrow = match piece.trim() {
                "→" => true,
                "," | "and" => arrow,
                _ => false,
            };
        } else if ["cargo ", "brick ", "curl "]
            .iter()
            .any(|word| piece.starts_with(word))
        {
            found.extend(typed(line, &piece));
        } else if arrow && let Some(last) = found.last_mut() {
            last.shows.push(piece);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(page: &str) -> Vec<String> {
        commands(page, true).into_iter().map(|typed| typed.text).collect()
    }

    #[test]
    fn blocks_and_tables_are_read_in_order_and_nothing_else_is() {
        let page = "`brick down`\n```sh\nbrick ps   # what runs\n# a remark\n\n```\n```text\nbrick x\n```\n| `cargo test -p a` and `brick status` | `BRICK` |\n";
        assert_eq!(texts(page), ["brick ps", "cargo test -p a", "brick status"]);
    }

    #[test]
    fn comments_say_what_is_shown_and_how_it_ends() {
        let page = "```sh\nbrick check x # exit code 3 → expected one of\n```\n| a | `curl /x` → `404`, `no such` |\n";
        let found = commands(page, true);
        assert_eq!(
            (found[0].exit, found[0].shows[0].as_str()),
            (3, "expected one of")
        );
        assert_eq!(found[1].shows, ["404", "no such"]);
        assert!(commands(page, false).len() == 1);
    }

    #[test]
    fn lines_that_go_on_and_here_documents_are_one_command() {
        let page = "```sh\ncurl -s \\\n  http://x\ncat > a <<'EOF'\none # two\nEOF\nbrick ps\n```\n";
        assert_eq!(
            texts(page),
            ["curl -s http://x", "cat > a <<'EOF'\none # two\nEOF", "brick ps"]
        );
    }
}
