//! Puts the book's source together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{api, links, markdown};

/// Writes the book's source into `folder`; what an earlier run left there is deleted.
pub(super) fn assemble(root: &Path, folder: &Path) -> Result<()> {
    let source = folder.join("src");
    if source.exists() {
        std::fs::remove_dir_all(&source).context("cannot delete the book's old source")?;
    }
    let mut linked = BTreeSet::new();
    for (path, text) in links::pages(root)? {
        let mut text = markdown::rewritten(&text, |target| moved(root, &path, target, &mut linked));
        if path == Path::new(links::SUMMARY) {
            text.push_str(&more(root)?);
        }
        write(&source.join(place(&path)), &text)?;
    }
    for (name, document) in api::documents(root)? {
        write(
            &source.join(format!("reference/api/{name}.md")),
            &api::page(&name, &document),
        )?;
    }
    for path in linked {
        let to = source.join(place(&path));
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::copy(root.join(&path), to).with_context(|| format!("cannot copy {}", path.display()))?;
    }
    std::fs::copy(root.join("docs/book.toml"), folder.join("book.toml"))
        .context("cannot copy docs/book.toml")?;
    Ok(())
}

/// What the table of contents gets besides: the HTTP APIs, and the project's own pages.
fn more(root: &Path) -> Result<String> {
    let mut text = String::from("\n# HTTP APIs\n\n");
    for (name, document) in api::documents(root)? {
        text.push_str(&format!(
            "- [{}](reference/api/{name}.md)\n",
            api::title(&name, &document)
        ));
    }
    text.push_str("\n# The project\n\n");
    for page in links::PROJECT {
        let name = page.trim_end_matches(".md").to_lowercase();
        let title = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        text.push_str(&format!("- [{title}](project/{page})\n"));
    }
    Ok(text)
}

/// Where a file of the repository is in the book.
fn place(path: &Path) -> PathBuf {
    if let Ok(page) = path.strip_prefix("docs") {
        page.to_path_buf()
    } else if links::PROJECT.iter().any(|page| path == Path::new(page)) {
        Path::new("project").join(path)
    } else {
        Path::new("files").join(path)
    }
}

/// A link's target as the book has it; a file outside `docs` is noted, to be copied.
fn moved(root: &Path, from: &Path, target: &str, linked: &mut BTreeSet<PathBuf>) -> Option<String> {
    if links::is_outside(target) || target.starts_with('#') {
        return None;
    }
    let (path, anchor) = target
        .split_once('#')
        .map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let to = links::resolve(from, path)?;
    if to.extension().is_none_or(|extension| extension != "md") && root.join(&to).is_file() {
        linked.insert(to.clone());
    }
    let mut moved = relative(&place(from), &place(&to));
    if let Some(anchor) = anchor {
        moved.push('#');
        moved.push_str(anchor);
    }
    Some(moved)
}

/// A relative link from one file to another.
fn relative(from: &Path, to: &Path) -> String {
    let folder: Vec<_> = from.parent().into_iter().flat_map(Path::components).collect();
    let to: Vec<_> = to.components().collect();
    let shared = folder.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = folder.iter().skip(shared).map(|_| "..".to_owned());
    let down = to
        .iter()
        .skip(shared)
        .map(|name| name.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_of_the_book_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        assemble(&crate::root(), folder.path()).unwrap();
        let source = folder.path().join("src");
        let mut pages = Vec::new();
        let mut folders = vec![source.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    path if path.extension().is_some_and(|extension| extension == "md") => pages.push(path),
                    _ => {}
                }
            }
        }
        assert!(pages.len() > 10, "{pages:?}");
        for page in pages {
            let text = std::fs::read_to_string(&page).unwrap();
            for link in markdown::links(&text) {
                let path = link.target.split('#').next().unwrap();
                let there = links::is_outside(path) || page.parent().unwrap().join(path).exists();
                assert!(there, "{}: {}", page.display(), link.target);
            }
        }
    }

    #[test]
    fn a_link_is_written_from_folder_to_folder() {
        for (from, to, expect) in [
            ("guide/a.md", "guide/b.md", "b.md"),
            ("guide/a.md", "patterns/b.md", "../patterns/b.md"),
            (
                "a.md",
                "files/systems/shop/brick.toml",
                "files/systems/shop/brick.toml",
            ),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), expect);
        }
    }
}
