//! Configuration that is kept in git: control with real repositories, real instances and real webhooks.

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::hmac;
use http::{HeaderName, Method};
use serde_json::{Value, json};

use super::config::order;
use super::harness::{Control, control_with, eventually};

const STATUS: &str = "/api/config-repository/v1";
const SECRET: &str = "a secret of the forge and control";

/// A repository of git.
pub(super) struct Repo(pub(super) PathBuf);

impl Repo {
    pub(super) fn new(dir: &Path) -> Self {
        let repo = Self(dir.join("config-repo"));
        std::fs::create_dir(&repo.0).unwrap();
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        let who = [
            "-c",
            "user.name=ann",
            "-c",
            "user.email=ann@shop.test",
            "-c",
            "commit.gpgsign=false",
        ];
        let output = Command::new("git")
            .args(who)
            .args(args)
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes files (none removes one) and commits; gives the revision.
    pub(super) fn commit(&self, files: &[(&str, Option<&str>)]) -> String {
        for (path, text) in files {
            let path = self.0.join(path);
            match text {
                Some(text) => {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, text).unwrap();
                }
                None => std::fs::remove_file(path).unwrap(),
            }
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "more of it"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// Control that may keep a copy, with a manifest that names the repository.
pub(super) async fn with_repository(folder: &Path, digit: Option<&str>, more: Value) -> Control {
    with_tables(folder, digit, more, json!({})).await
}

/// The same with these tables of the manifest more.
pub(super) async fn with_tables(
    folder: &Path,
    digit: Option<&str>,
    more: Value,
    mut tables: Value,
) -> Control {
    let cipher = digit.map(|digit| mortar_control::Cipher::new(&digit.repeat(64)).unwrap());
    let edit = |options: &mut mortar_control::Options| {
        options.repository_dir = Some(folder.join("config-repository.git"));
        options.base_dir = folder.to_owned();
        options.cipher = cipher.map(Into::into);
    };
    let control = control_with(folder, edit, "127.0.0.1:0".parse().unwrap()).await;
    let mut table =
        json!({ "url": "config-repo", "profiles": ["eu"], "poll": "1d", "webhook_secret": SECRET });
    for (key, value) in more.as_object().unwrap() {
        table[key] = value.clone();
    }
    tables["config_repository"] = table;
    control.manifest_with(tables).await;
    // On a busy machine the manifest does not wait for it.
    control.refresh().await;
    control
}

impl Control {
    pub(super) async fn refresh(&self) -> Value {
        let admin = self.operator(&["admin"]).await;
        let answer = self
            .call(Method::POST, &format!("{STATUS}/refresh"), &admin, None)
            .await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status.is_success(), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Sends a push as a forge would.
    async fn push(&self, field: &str, value: &str, body: &str) -> u16 {
        let call = self
            .http
            .call(Method::POST, format!("{}/config/monitor", self.url));
        let call = call
            .header(HeaderName::from_bytes(field.as_bytes()).unwrap(), value)
            .body("application/json", body.to_owned());
        call.send().await.unwrap().status.as_u16()
    }
}

#[tokio::test]
async fn what_the_repository_says_counts_between_manifest_and_live_changes_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    let first = repo.commit(&[
        ("application.yml", Some("max_lines: 30\nodd key: 1\n")),
        ("payment.toml", Some("secret_rule = 2\n")),
    ]);
    let control = with_repository(folder.path(), None, json!({})).await;
    let one = order(&control, 1, 100, &[]).await;
    assert_eq!(one.config.get().max_lines, 30, "at once with the manifest");
    let (_, view) = control.order(Method::GET, "", None).await;
    let origin = format!("repository application.yml@{}", &first[..7]);
    assert_eq!(view["origins"]["max_lines"], json!(origin));
    assert!(view.get("problem").is_none(), "{view}");

    let second = repo.commit(&[("order-eu.properties", Some("max_lines = 40\npin: 12\n"))]);
    let status = control.refresh().await;
    assert_eq!(
        (&status["revision"], &status["refused"]),
        (&json!(second), &json!({})),
        "{status}"
    );
    assert_eq!(status["left_out"], json!(["odd key in application.yml"]));
    let now = one.config.get();
    assert_eq!(
        (now.max_lines, now.pin.as_str()),
        (40, "12"),
        "text stands for what the key wants"
    );
    let newest = &control.history().await[0];
    assert_eq!(
        (&newest["kind"], &newest["by"]),
        (&json!("repository"), &json!("repository"))
    );
    assert!(
        newest["why"].as_str().unwrap().starts_with(&second[..7]),
        "{newest}"
    );

    let (status, told) = control.set(json!({ "max_lines": 50, "max_line": 7 })).await;
    assert_eq!((status, one.config.get().max_lines), (200, 50));
    assert_eq!(
        told["instances"][0]["unknown"],
        json!({ "max_line": "max_lines" }),
        "{told}"
    );
    repo.commit(&[
        ("order-eu.properties", None),
        ("application.yml", Some("max_lines: 60\n")),
    ]);
    control.refresh().await;
    assert_eq!(one.config.get().max_lines, 50, "a live change is above");
    let (_, diff) = control.order(Method::GET, "/diff?from=repository", None).await;
    assert_eq!(
        diff["items"][1],
        json!({ "key": "max_lines", "before": 60, "after": 50 }),
        "{diff}"
    );
    control.set(json!({ "max_lines": null, "max_line": null })).await;
    assert_eq!(one.config.get().max_lines, 60);
    control.stop().await;
}

#[tokio::test]
async fn what_cannot_be_fetched_read_or_taken_keeps_the_old_values_and_converges_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    repo.commit(&[("order.yml", Some("max_lines: 30\n"))]);
    let control = with_repository(folder.path(), None, json!({})).await;
    let one = order(&control, 1, 50, &[]).await;
    let problem = async || control.order(Method::GET, "", None).await.1["problem"].clone();

    let steps = [
        ("max_lines: [", "order.yml: "),
        (
            "max_lines: 70\n",
            "order/1 refuses: max_lines: expected at most 50",
        ),
        ("max_lines: many\n", "expected u32, found \"many\""),
    ];
    for (text, expect) in steps {
        repo.commit(&[("order.yml", Some(text)), ("payment.yml", Some("rule: 1\n"))]);
        let changes = control.history().await.len();
        control.refresh().await;
        let status = control.refresh().await;
        let refused = status["refused"]["order"].as_str().unwrap();
        assert!(refused.contains(expect), "{refused}");
        assert!(
            status["refused"].get("payment").is_none(),
            "the others are not held up: {status}"
        );
        assert!(problem().await.as_str().unwrap().contains(expect));
        assert_eq!(one.config.get().max_lines, 30);
        assert!(control.history().await.len() <= changes + 1, "once is enough");
    }

    let away = folder.path().join("away");
    std::fs::rename(&repo.0, &away).unwrap();
    let status = control.refresh().await;
    let gone = status["problem"].as_str().unwrap();
    assert!(
        gone.starts_with("fetching from the repository failed: "),
        "{gone}"
    );
    assert_eq!(one.config.get().max_lines, 30);
    control.stop().await;

    // A start needs no repository.
    let control = with_repository(folder.path(), None, json!({})).await;
    let one = order(&control, 1, 50, &[]).await;
    assert_eq!(one.config.get().max_lines, 30);
    std::fs::rename(&away, &repo.0).unwrap();
    repo.commit(&[("order.yml", Some("max_lines: 45\n"))]);
    let status = control.refresh().await;
    assert_eq!(
        (status.get("problem"), &status["refused"]),
        (None, &json!({})),
        "{status}"
    );
    assert_eq!(one.config.get().max_lines, 45);
    control.manifest().await;
    eventually("the manifest alone", async || one.config.get().max_lines == 50).await;
    control.stop().await;
}

#[tokio::test]
async fn a_label_is_a_branch_a_tag_or_a_revision_and_polling_finds_a_push() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    let first = repo.commit(&[("eu/order.yml", Some("max_lines: 1\n"))]);
    repo.git(&["tag", "v1"]);
    repo.git(&["checkout", "-q", "-b", "release/2"]);
    repo.commit(&[("eu/order.yml", Some("max_lines: 2\n"))]);
    let control = with_repository(folder.path(), None, json!({ "label": "v1", "folder": "eu" })).await;
    let one = order(&control, 1, 100, &[]).await;
    assert_eq!(one.config.get().max_lines, 1);
    let label = async |label: &str| {
        let table = json!({ "url": "config-repo", "label": label, "folder": "eu", "poll": "1s" });
        control.manifest_with(json!({ "config_repository": table })).await;
        control.refresh().await;
    };
    label("release/2").await;
    assert_eq!(one.config.get().max_lines, 2);
    label(&first[..8]).await;
    assert_eq!(one.config.get().max_lines, 1);
    label("release/2").await;
    repo.commit(&[("eu/order.yml", Some("max_lines: 3\n"))]);
    eventually("the next poll", async || one.config.get().max_lines == 3).await;
    label("nowhere").await;
    let status = control.refresh().await;
    assert_eq!(
        status["problem"],
        "the repository has no branch, tag or revision \"nowhere\""
    );
    control.stop().await;
}

#[tokio::test]
async fn a_push_is_believed_from_who_knows_the_secret_alone() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    repo.commit(&[("order.yml", Some("max_lines: 30\n"))]);
    let control = with_repository(folder.path(), None, json!({})).await;
    let one = order(&control, 1, 100, &[]).await;
    repo.commit(&[("order.yml", Some("max_lines: 31\n"))]);
    let body = json!({ "ref": "refs/heads/main", "commits": [{ "modified": ["order.yml"] }] }).to_string();
    let key = |secret: &str| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = |secret: &str| {
        let tag = hmac::sign(&key(secret), body.as_bytes());
        let hex: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        format!("sha256={hex}")
    };
    for (field, value) in [
        ("x-hub-signature-256", signed("another secret")),
        ("x-gitlab-token", "another secret".to_owned()),
        ("x-github-event", "push".to_owned()),
    ] {
        assert_eq!(control.push(field, &value, &body).await, 401, "{field}");
    }
    assert_eq!(
        control.push("x-hub-signature-256", &signed(SECRET), &body).await,
        202
    );
    eventually("GitHub's push", async || one.config.get().max_lines == 31).await;
    repo.commit(&[("order.yml", Some("max_lines: 32\n"))]);
    assert_eq!(control.push("x-gitlab-token", SECRET, &body).await, 202);
    eventually("GitLab's push", async || one.config.get().max_lines == 32).await;
    control.stop().await;
}

#[tokio::test]
async fn encrypted_values_of_files_are_opened_and_one_that_cannot_be_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    repo.commit(&[("order.yml", Some("max_lines: 30\n"))]);
    let control = with_repository(folder.path(), Some("a"), json!({})).await;
    let one = order(&control, 1, 100, &[]).await;
    let admin = control.operator(&["admin"]).await;
    let seal = async |name: &str| {
        let body = json!({ "key": "pin", "value": "hunter2" });
        let path = format!("/api/config/v1/{name}/encrypt");
        let answer: Value = control
            .call(Method::POST, &path, &admin, Some(body))
            .await
            .json()
            .unwrap();
        answer["value"].as_str().unwrap().to_owned()
    };
    for name in ["order", "application"] {
        let text = format!("pin: '{}'\n", seal(name).await);
        repo.commit(&[
            ("order.yml", Some("max_lines: 30\n")),
            ("application.yml", Some(&text)),
        ]);
        control.refresh().await;
        assert_eq!(one.config.get().pin, "hunter2", "bound to {name}");
    }
    let text = format!("pin: '{}'\nmax_lines: 31\n", seal("payment").await);
    repo.commit(&[("order.yml", Some(&text))]);
    control.refresh().await;
    let now = one.config.get();
    assert_eq!(
        (now.max_lines, now.pin.as_str()),
        (31, "hunter2"),
        "the old value of this one stays"
    );
    let (_, view) = control.order(Method::GET, "", None).await;
    assert!(view["problem"].as_str().unwrap().starts_with("pin: "), "{view}");
    assert_eq!(view["values"]["pin"], "•••");
    control.stop().await;
}
