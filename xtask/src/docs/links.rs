//! Every internal link of the documents leads to a file that is there, and to a heading that it has.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

use super::markdown;

/// Documents outside `docs`.
pub(super) const PROJECT: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
/// The book's table of contents.
pub(super) const SUMMARY: &str = "docs/SUMMARY.md";
/// Folders whose pages stand in the table of contents.
const SHELVES: [&str; 3] = ["docs/guide", "docs/patterns", "docs/reference"];

/// What is wrong, one line each.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let pages = pages(root)?;
    let mut findings = Vec::new();
    for (path, text) in &pages {
        for link in markdown::links(text) {
            if let Some(why) = wrong(root, &pages, path, &link.target) {
                findings.push(format!(
                    "{}:{}: {}: {why}",
                    path.display(),
                    link.line,
                    link.target
                ));
            }
        }
    }
    findings.extend(unlisted(&pages));
    Ok(findings)
}

/// All documents by their path in the repository.
pub(super) fn pages(root: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut paths: Vec<PathBuf> = PROJECT.iter().map(PathBuf::from).collect();
    collect(root, Path::new("docs"), &mut paths)?;
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(root.join(&path));
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok((path, text))
    };
    paths.into_iter().map(read).collect()
}

fn collect(root: &Path, folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(root.join(folder));
    for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect(root, &path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            into.push(path);
        }
    }
    Ok(())
}

/// Why a link leads nowhere, if it does.
fn wrong(root: &Path, pages: &BTreeMap<PathBuf, String>, from: &Path, target: &str) -> Option<String> {
    if is_outside(target) {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let to = match path {
        "" => from.to_path_buf(),
        path => match resolve(from, path) {
            Some(to) => to,
            None => return Some("it leads out of the repository".to_owned()),
        },
    };
    if !root.join(&to).exists() {
        return Some(format!("there is no {}", to.display()));
    }
    if anchor.is_empty() {
        return None;
    }
    let Some(text) = pages.get(&to) else {
        return Some(format!("{} is no document with headings", to.display()));
    };
    let anchors = markdown::anchors(text);
    let known = anchors.iter().any(|known| known == anchor);
    (!known).then(|| {
        format!(
            "{} has no heading #{anchor}; it has: {}",
            to.display(),
            anchors.join(", ")
        )
    })
}

/// Whether a link leads to another site; these are not followed.
pub(super) fn is_outside(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// The repository's path that a relative link on a page leads to.
pub(super) fn resolve(from: &Path, target: &str) -> Option<PathBuf> {
    let mut path = from.parent().map(Path::to_path_buf).unwrap_or_default();
    for component in Path::new(target).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// Pages that the book would leave out.
fn unlisted(pages: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let Some(summary) = pages.get(Path::new(SUMMARY)) else {
        return vec![format!("there is no {SUMMARY}, the book's table of contents")];
    };
    let listed: Vec<PathBuf> = markdown::links(summary)
        .iter()
        .filter_map(|link| resolve(Path::new(SUMMARY), &link.target))
        .collect();
    let shelved = |path: &&PathBuf| SHELVES.iter().any(|shelf| path.starts_with(shelf));
    pages
        .keys()
        .filter(shelved)
        .filter(|path| !listed.contains(path))
        .map(|path| format!("{} is not in {SUMMARY}", path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let empty = PROJECT.map(|name| (name, ""));
        for (path, text) in empty.iter().chain(files) {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let findings = check(dir.path()).unwrap();
        (dir, findings)
    }

    #[test]
    fn the_links_of_this_repository_lead_somewhere() {
        let root = crate::root();
        assert_eq!(check(&root).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_link_to_no_file_or_no_heading_is_told_with_its_place() {
        let (_dir, findings) = repository(&[
            ("docs/SUMMARY.md", "[a](guide/a.md)"),
            (
                "docs/guide/a.md",
                "# A\n[x](b.md) [y](#none) [z](#a) [w](../../README.md) [v](https://x.example/#b)\n",
            ),
        ]);
        assert_eq!(
            findings,
            [
                "docs/guide/a.md:2: b.md: there is no docs/guide/b.md",
                "docs/guide/a.md:2: #none: docs/guide/a.md has no heading #none; it has: a",
            ]
        );
    }

    #[test]
    fn a_page_that_the_book_leaves_out_is_told() {
        let (_dir, findings) = repository(&[("docs/SUMMARY.md", ""), ("docs/patterns/a.md", "# A\n")]);
        assert_eq!(findings, ["docs/patterns/a.md is not in docs/SUMMARY.md"]);
    }

    #[test]
    fn a_link_cannot_lead_out_of_the_repository() {
        assert_eq!(resolve(Path::new("docs/a.md"), "../../x"), None);
        assert_eq!(resolve(Path::new("docs/a.md"), "../x"), Some(PathBuf::from("x")));
    }
}
