//! What configuration is taken from is gone, broken or cannot be opened, and an instance says nothing: the old values
//! stay, who looks is told why, and all converges when it is over.

use std::path::Path;
use std::process::Command;

use acceptance_tests::{Folder, System, eventually, signal};
use rustix::process::Signal;

use super::{obeys, pid, said, set};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const REPOSITORY: &str = "config-repo";

fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=ann", "-c", "user.email=ann@shop.test"]);
    git.args(["-c", "commit.gpgsign=false"]).args(arguments);
    let done = git.current_dir(folder).status();
    assert!(done.unwrap().success(), "git {arguments:?}");
}

/// Commits what the repository says of order.
fn commit(folder: &Folder, order: &str) {
    let repository = folder.path().join(REPOSITORY);
    std::fs::write(repository.join("order.yml"), order).unwrap();
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "-q", "-m", "another limit"]);
}

/// The shop with a configuration repository and a master key in a file.
fn shop() -> System {
    let folder = Folder::copy_of("shop");
    let manifest = std::fs::read_to_string(folder.path().join("brick.toml")).unwrap();
    folder.rewrite(&format!(
        "{manifest}\n[config_repository]\nurl = \"{REPOSITORY}\"\npoll = \"1d\"\n"
    ));
    let repository = folder.path().join(REPOSITORY);
    std::fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "-q", "-b", "main"]);
    commit(&folder, "max_lines: 3\n");
    let key = folder.path().join("key");
    std::fs::write(&key, KEY).unwrap();
    let mut up = folder.up_command();
    up.env("ENCRYPT_KEY_FILE", key);
    folder.up_by(up)
}

/// Has the repository looked at, until what is in force is said with these words.
async fn says(system: &System, words: &str) {
    eventually(words, || async {
        let looked = system.folder().run(&["config", "repository", "--refresh"]);
        let told = said(&looked) + &said(&system.folder().run(&["config", "get", "order"]));
        told.contains(words).then_some(())
    })
    .await;
}

/// Starts control anew, with this master key.
async fn with_key(system: &System, key: &str) {
    std::fs::write(system.folder().path().join("key"), key).unwrap();
    let before = pid(system, "control/1");
    signal(before, Signal::KILL);
    eventually("control to be there again", || async {
        let now = system.instance("control/1");
        (now["state"] == "ready" && now["pid"] != before).then_some(())
    })
    .await;
}

/// Waits until this limit counts.
async fn takes(system: &System, token: &str, limit: usize) {
    eventually("the instances to obey", || async {
        let looked = system.folder().run(&["config", "repository", "--refresh"]);
        (looked.status.success() && obeys(system, token, limit).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sources_that_fail_and_an_instance_that_is_silent_keep_the_old_values_until_it_is_over() {
    let system = shop();
    let token = system.sign_up("cora").await;
    takes(&system, &token, 3).await;

    let (here, away) = (
        system.folder().path().join(REPOSITORY),
        system.folder().path().join("elsewhere"),
    );
    std::fs::rename(&here, &away).unwrap();
    says(&system, "fetching from the repository failed").await;
    assert!(obeys(&system, &token, 3).await, "the repository is gone");
    std::fs::rename(&away, &here).unwrap();
    commit(system.folder(), "max_lines: 2\n");
    takes(&system, &token, 2).await;

    commit(system.folder(), "max_lines: [\n");
    says(&system, "old values of order stay").await;
    assert!(obeys(&system, &token, 2).await, "the file is broken");

    let sealed = system.folder().run(&["config", "encrypt", "order.max_lines=1"]);
    let sealed = String::from_utf8(sealed.stdout).unwrap();
    with_key(&system, &KEY.replace('0', "f")).await;
    commit(system.folder(), &format!("max_lines: '{}'\n", sealed.trim()));
    says(&system, "it was made with another master key").await;
    assert!(obeys(&system, &token, 2).await, "the key is another");
    with_key(&system, KEY).await;
    takes(&system, &token, 1).await;

    commit(system.folder(), "max_lines: 1\n");
    takes(&system, &token, 1).await;
    signal(pid(&system, "order/2"), Signal::STOP);
    eventually("the instance to be out of its pool", || async {
        (system.instance("order/2")["state"] == "unready").then_some(())
    })
    .await;
    let refused = system.folder().run(&["config", "set", "order.max_lines=2"]);
    assert!(!refused.status.success(), "{}", said(&refused));
    for part in ["order/2", "nothing was changed"] {
        assert!(
            said(&refused).contains(part),
            "no \"{part}\" in: {}",
            said(&refused)
        );
    }
    assert!(obeys(&system, &token, 1).await, "an instance is silent");
    signal(pid(&system, "order/2"), Signal::CONT);
    set(&system, 2).await;
    assert!(obeys(&system, &token, 2).await, "it is over");
}
