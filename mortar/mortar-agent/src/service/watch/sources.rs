//! What the sources of bricks are, and which of them changed: by looking at sizes and times of change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use brick_core::BrickName;

/// Files that are looked at, most.
const FILES_MAX: usize = 20_000;
/// Folders that hold what is made, not what is written.
const MADE: [&str; 4] = ["target", "node_modules", "__pycache__", "venv"];

/// Folders of sources with the bricks that are made of them. A file belongs to the innermost folder that it is in.
pub(super) type Roots = BTreeMap<PathBuf, BTreeSet<BrickName>>;

/// Every source file with size and time of change.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Snapshot {
    files: BTreeMap<PathBuf, (u64, Option<SystemTime>)>,
    /// Where our own words go, if into files: to tell of a change must be none.
    own: Vec<(u64, u64)>,
    /// There are more files than are looked at.
    pub(super) full: bool,
}

impl Snapshot {
    /// Looks at every file below the roots, but for `manifest`.
    pub(super) fn take(roots: &Roots, manifest: &Path) -> Self {
        let mut snapshot = Self {
            own: own_output(),
            ..Self::default()
        };
        let mut open: Vec<PathBuf> = roots.keys().cloned().collect();
        let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
        while let Some(folder) = open.pop() {
            if !seen.insert(folder.clone()) {
                continue;
            }
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let (path, kind) = (entry.path(), entry.file_type());
                if is_made(&name) || path == manifest {
                    continue;
                }
                match kind {
                    Ok(kind) if kind.is_dir() => open.push(path),
                    Ok(kind) if kind.is_file() => snapshot.look(path, &entry),
                    // A link could lead anywhere, round in circles too.
                    _ => {}
                }
            }
        }
        snapshot
    }

    fn look(&mut self, path: PathBuf, entry: &std::fs::DirEntry) {
        if self.files.len() >= FILES_MAX {
            self.full = true;
        } else if let Ok(meta) = entry.metadata()
            && !self.own.contains(&file_id(&meta))
        {
            self.files.insert(path, (meta.len(), meta.modified().ok()));
        }
    }

    /// Files that are new, gone or otherwise since `before`.
    pub(super) fn changed_since<'s>(&'s self, before: &'s Self) -> BTreeSet<&'s Path> {
        let new = self
            .files
            .iter()
            .filter(|(path, look)| before.files.get(*path) != Some(look));
        let gone = before
            .files
            .iter()
            .filter(|(path, _)| !self.files.contains_key(*path));
        new.chain(gone).map(|(path, _)| path.as_path()).collect()
    }
}

/// The bricks that a file is a source of.
pub(super) fn bricks_of<'r>(roots: &'r Roots, file: &Path) -> Option<&'r BTreeSet<BrickName>> {
    file.ancestors().find_map(|folder| roots.get(folder))
}

/// The package that a cargo command builds; none where it builds what stands in its folder, or is not cargo.
pub(super) fn cargo_package(command: &[String]) -> Option<&str> {
    if !is_cargo(command) {
        return None;
    }
    let mut words = command.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if word == "-p" || word == "--package" {
            return words.next();
        }
        if let Some(package) = word.strip_prefix("--package=") {
            return Some(package);
        }
    }
    None
}

/// Whether a command is cargo's: then the program itself says whether anything changed.
pub(super) fn is_cargo(command: &[String]) -> bool {
    let program = command.first().map(Path::new).and_then(Path::file_name);
    program.is_some_and(|name| name == "cargo")
}

fn is_made(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name.ends_with(".log") || MADE.contains(&name)
}

/// The files that standard output and standard error go to.
fn own_output() -> Vec<(u64, u64)> {
    let ends = [
        std::io::stdout().as_fd().try_clone_to_owned(),
        std::io::stderr().as_fd().try_clone_to_owned(),
    ];
    let files = ends.into_iter().flatten().map(File::from);
    files
        .filter_map(|file| file.metadata().ok())
        .map(|meta| file_id(&meta))
        .collect()
}

/// Device and number: a file, by whatever name.
fn file_id(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn sources_are_told_from_what_is_made_and_belong_to_the_innermost_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (shop, python) = (dir.path().to_owned(), dir.path().join("recommendation"));
        let of = |name: &str| BTreeSet::from([name.parse::<BrickName>().unwrap()]);
        let roots = Roots::from([
            (shop.clone(), of("order")),
            (python.clone(), of("recommendation")),
        ]);
        for path in ["src/main.rs", "recommendation/main.py", "brick.toml"] {
            write(&shop, path, "a");
        }
        let manifest = shop.join("brick.toml");
        let before = Snapshot::take(&roots, &manifest);
        for path in [
            "target/x",
            ".git/x",
            ".brickwork/x",
            "node_modules/x",
            "src/main.rs~",
            "up.log",
            "brick.toml",
        ] {
            write(&shop, path, "bb");
        }
        assert_eq!(Snapshot::take(&roots, &manifest), before);
        write(&shop, "src/main.rs", "bb");
        write(&shop, "src/new.rs", "a");
        std::fs::remove_file(python.join("main.py")).unwrap();
        let after = Snapshot::take(&roots, &manifest);
        let changed = after.changed_since(&before);
        let names: Vec<String> = changed
            .iter()
            .map(|path| path.strip_prefix(&shop).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["recommendation/main.py", "src/main.rs", "src/new.rs"]);
        assert_eq!(bricks_of(&roots, &shop.join("src/new.rs")), Some(&of("order")));
        assert_eq!(
            bricks_of(&roots, &python.join("main.py")),
            Some(&of("recommendation"))
        );
        assert_eq!(bricks_of(&roots, Path::new("/elsewhere")), None);
    }

    #[test]
    fn the_package_of_a_cargo_build_is_found() {
        for (line, expect) in [
            ("cargo build --release -p shop", Some("shop")),
            ("/usr/bin/cargo build --package=shop", Some("shop")),
            ("cargo build --package shop --release", Some("shop")),
            ("cargo build", None),
            ("make -p shop", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(cargo_package(&words), expect, "{line}");
        }
    }
}
