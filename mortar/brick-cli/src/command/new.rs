//! `brick new`: a system to begin with. What it makes is complete: it runs, and its tests run.

mod sdk;

use std::path::{Path, PathBuf};

use brick_core::{BrickName, ExitCode};
use brick_model::RESERVED;
use rust_embed::RustEmbed;
use serde_json::json;

use crate::cli::{Lang, New, Template};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone, count};

#[derive(RustEmbed)]
#[folder = "templates"]
struct Templates;

/// The one OTLP exporter in Python there is: the shop's.
const OTLP_PY: &str = include_str!("../../../../systems/shop/recommendation/otlp.py");

/// Names that cargo or a language would take for something else.
const TAKEN: [&str; 24] = [
    "alloc",
    "async",
    "brickwork",
    "brick",
    "build",
    "const",
    "core",
    "crate",
    "deps",
    "examples",
    "fn",
    "incremental",
    "match",
    "mod",
    "otlp",
    "proc-macro",
    "self",
    "serde",
    "static",
    "std",
    "super",
    "test",
    "tests",
    "tokio",
];

pub(crate) fn run(dir: &Path, new: &New, output: Output) -> Outcome {
    let name = check(&new.name)?;
    let target = dir.join(name.as_str());
    if target.exists() {
        let message = format!("{} is there already", target.display());
        return Err(Failure::usage(message).hint("choose another name, or another folder with -C DIR"));
    }
    let files = files(&name, new);
    write(dir, &target, &files).map_err(|(path, error)| {
        Failure::failed(format!("cannot write {}: {error}", path.display()))
            .hint("name a folder that you may write to with -C DIR")
    })?;
    let next = [
        format!("cd {}", target.display()),
        "brick up".to_owned(),
        test_command(new.lang).to_owned(),
    ];
    let answer = json!({ "system": name, "dir": target, "files": files.len(), "next": next });
    output.value(&answer, || {
        let made = output.out(Tone::Good, "made");
        let (what, lang) = (template_name(new.template), lang_name(new.lang));
        format!("{made} {name}: {what} in {lang}, {}", count(files.len(), "file"))
    });
    output.progress(&format!(
        "\n  {}\n  {}\n\nThen see {}; the tests run with `{}`.",
        next[0],
        next[1],
        target.join("README.md").display(),
        next[2]
    ));
    Ok(())
}

/// The name as system, brick, folder and package; the error names the nearest that is valid.
fn check(text: &str) -> Outcome<BrickName> {
    let refuse = |why: String| {
        let hint = nearest(text).map_or_else(
            || "such as: brick new hello".to_owned(),
            |name| format!("did you mean: brick new {name}"),
        );
        Err(Failure::new(ExitCode::Usage, why).hint(hint))
    };
    if text.contains(['/', '\\']) {
        let message = format!("expected a name, found the path \"{text}\"");
        return Err(Failure::usage(message).hint("-C DIR says in which folder the system is made"));
    }
    match BrickName::new(text) {
        Err(error) => refuse(format!("\"{text}\" cannot be the name of a system: {error}")),
        Ok(_) if RESERVED.contains(&text) => refuse(format!("\"{text}\" is a name of the platform's own")),
        Ok(_) if TAKEN.contains(&text) => refuse(format!(
            "\"{text}\" means something else to cargo or to a language"
        )),
        Ok(name) => Ok(name),
    }
}

/// The nearest valid name: lower case, hyphens for what is not allowed, something before a name that is taken.
fn nearest(text: &str) -> Option<String> {
    let lower: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let mut name = lower
        .trim_matches(|c: char| c == '-')
        .trim_start_matches(|c: char| !c.is_ascii_lowercase())
        .to_owned();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    name.truncate(40);
    let name = name.trim_end_matches('-').to_owned();
    if RESERVED.contains(&name.as_str()) || TAKEN.contains(&name.as_str()) {
        return Some(format!("my-{name}"));
    }
    BrickName::new(&name).is_ok().then_some(name)
}

fn template_name(template: Template) -> &'static str {
    match template {
        Template::Shop => "shop",
        Template::Events => "events",
        Template::Blank => "blank",
    }
}

fn lang_name(lang: Lang) -> &'static str {
    match lang {
        Lang::Rust => "rust",
        Lang::Python => "python",
        Lang::Node => "node",
    }
}

fn test_command(lang: Lang) -> &'static str {
    match lang {
        Lang::Rust => "cargo test --release",
        Lang::Python => "python3 -m unittest",
        Lang::Node => "node --test",
    }
}

/// Every file of the new system by its path.
fn files(name: &BrickName, new: &New) -> Vec<(String, String)> {
    let lang = lang_name(new.lang);
    let mut files = Vec::new();
    for folder in ["common", template_name(new.template)] {
        let prefix = format!("{lang}/{folder}/");
        for path in Templates::iter().filter(|path| path.starts_with(&prefix)) {
            let Some(file) = Templates::get(&path) else {
                continue;
            };
            let text = String::from_utf8_lossy(&file.data);
            // Under its own name it would hide files of this repository.
            let own = match &path[prefix.len()..] {
                "gitignore" => ".gitignore",
                own => own,
            };
            files.push((own.to_owned(), fill(&text, name)));
        }
    }
    match new.lang {
        Lang::Rust => files.extend(sdk::files()),
        Lang::Python => files.push(("otlp.py".to_owned(), OTLP_PY.to_owned())),
        Lang::Node => {}
    }
    for (own, path) in shared(new) {
        let file = Templates::get(&format!("shared/{path}"));
        let text = file.map_or_else(String::new, |file| {
            String::from_utf8_lossy(&file.data).into_owned()
        });
        files.push((own.to_owned(), fill(&text, name)));
    }
    files
}

/// What several templates have in common: its path there, and in `templates/shared`.
fn shared(new: &New) -> Vec<(&'static str, &'static str)> {
    let page = (new.template == Template::Shop).then_some(match new.lang {
        Lang::Rust => ("src/page.html", "page.html"),
        Lang::Python | Lang::Node => ("page.html", "page.html"),
    });
    let keeps = new.lang == Lang::Node && new.template != Template::Blank;
    let journal = keeps.then_some(("journal.js", "journal.js"));
    page.into_iter().chain(journal).collect()
}

/// `{{name}}` is the system's name.
fn fill(text: &str, name: &BrickName) -> String {
    text.replace("{{name}}", name.as_str())
}

/// Writes all beside the place and moves it there at once, so that nothing is left half made.
fn write(dir: &Path, target: &Path, files: &[(String, String)]) -> Result<(), (PathBuf, std::io::Error)> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |error: std::io::Error| (path, error)
    };
    let half = dir.join(format!(".brick-new-{}", std::process::id()));
    let done = (|| {
        for (path, text) in files {
            let path = half.join(path);
            let folder = path.parent().unwrap_or(&half);
            std::fs::create_dir_all(folder).map_err(at(folder))?;
            std::fs::write(&path, text).map_err(at(&path))?;
        }
        std::fs::rename(&half, target).map_err(at(target))
    })();
    if done.is_err() {
        let _ = std::fs::remove_dir_all(&half);
    }
    done
}

#[cfg(test)]
mod tests;
