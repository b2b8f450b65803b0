use super::*;
use crate::output::{Color, Format};

fn output() -> Output {
    Output::new(Format::Json, Color::Never, true, true)
}

#[test]
fn a_bad_name_is_refused_with_the_nearest_good_one() {
    for (name, expect) in [
        ("Hello", Some("hello")),
        ("my shop", Some("my-shop")),
        ("2nd_try", Some("nd-try")),
        ("gateway", Some("my-gateway")),
        ("test", Some("my-test")),
        ("--", None),
        ("ü", None),
    ] {
        let failure = check(name).expect_err(name);
        assert_eq!(failure.code, ExitCode::Usage, "{name}");
        let hint = failure.advice().to_owned();
        match expect {
            Some(near) => assert_eq!(hint, format!("did you mean: brick new {near}")),
            None => assert_eq!(hint, "such as: brick new hello"),
        }
        if let Some(near) = expect {
            assert!(check(near).is_ok(), "{near}");
        }
    }
    assert!(check("a/b").is_err_and(|failure| failure.advice().contains("-C DIR")));
}

#[test]
fn every_template_in_every_language_has_a_valid_manifest_and_what_it_names() {
    for template in [Template::Blank, Template::Shop, Template::Events] {
        for lang in [Lang::Rust, Lang::Python, Lang::Node] {
            let new = New {
                name: "my-first".to_owned(),
                template,
                lang,
            };
            let name = check(&new.name).expect("a good name");
            let files = files(&name, &new);
            let of = |path: &str| {
                files
                    .iter()
                    .find(|(own, _)| own == path)
                    .map(|(_, text)| text.as_str())
            };
            let what = format!("{template:?} {lang:?}");
            let manifest = of("brick.toml").unwrap_or_else(|| panic!("{what}: a manifest"));
            let (model, warnings) = brick_model::parse_with_warnings(manifest, "brick.toml")
                .unwrap_or_else(|invalid| panic!("{what}:\n{}", invalid.render(false)));
            assert_eq!(model.system.name.as_str(), "my-first");
            assert!(warnings.is_empty(), "{what}: {warnings:?}");
            assert!(
                of(".gitignore").is_some_and(|text| text.contains(".brickwork")),
                "{what}"
            );
            let readme = of("README.md").unwrap_or_else(|| panic!("{what}: a README"));
            for command in ["brick up", test_command(lang)] {
                assert!(readme.contains(command), "{what}: {command}");
            }
            for (_, brick) in model.running() {
                let run = brick.run.clone().unwrap_or_default();
                let script = run.split(' ').nth(1).filter(|word| word.contains('.'));
                assert!(script.is_none_or(|script| of(script).is_some()), "{what}: {run}");
            }
            let left = files.iter().filter(|(path, _)| !path.starts_with("vendor/"));
            for (path, text) in left {
                assert!(
                    !text.contains("{{") || path.ends_with(".lock"),
                    "{what}: {path} is not filled in"
                );
            }
        }
    }
}

#[test]
fn a_system_is_made_once_and_an_existing_folder_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let new = New {
        name: "hello".to_owned(),
        template: Template::Blank,
        lang: Lang::Python,
    };
    run(folder.path(), &new, output()).expect("a system");
    let made = folder.path().join("hello");
    assert!(made.join("brick.toml").exists() && made.join("hello.py").exists());
    std::fs::write(made.join("brick.toml"), "mine").expect("a change");
    let failure = run(folder.path(), &new, output()).expect_err("a second time");
    assert_eq!(failure.code, ExitCode::Usage);
    assert_eq!(
        std::fs::read_to_string(made.join("brick.toml")).expect("the manifest"),
        "mine"
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);
}
