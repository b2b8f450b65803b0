//! `brick prove` on real systems: a yes with its evidence, a no, and what has no answer.

use acceptance_tests::Folder;
use serde_json::Value;

use crate::small;

/// Runs `brick prove` to its end: exit code and report.
fn prove(folder: &Folder, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = folder.run(&[&["prove"], arguments, &["--no-build", "--format", "json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{told}"));
    (output.status.code(), report)
}

#[test]
fn processes_of_the_shop_die_under_load_and_no_acknowledged_order_is_lost() {
    let folder = Folder::copy_of("shop");
    let only = "kill:payment/1,kill:control,kill:gateway,kill:agent";
    let (code, report) = prove(&folder, &["disposability", "--only", only]);
    assert_eq!(
        (code, &report["answer"]),
        (Some(0), &"holds".into()),
        "{report:#}"
    );
    let experiments = report["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), 4);
    for made in experiments {
        assert!(
            made["requests"].as_u64() > Some(0) && made["failed"] == 0,
            "{made:#}"
        );
        assert!(made["kept"]["checked"].as_u64() > Some(0), "{made:#}");
        assert_eq!(
            (&made["kept"]["lost"], &made["kept"]["unchecked"]),
            (&0.into(), &0.into())
        );
        assert!(
            made["commands"][0].is_string() && made["seen"][0].is_string(),
            "{made:#}"
        );
    }
    assert!(
        !folder.path().join(".brickwork/agent.sock").exists(),
        "the folder's own system is left alone"
    );
    let kept = folder.json(&["prove", "ls"]);
    assert_eq!(
        (&kept[0]["answer"], &kept[0]["complete"]),
        (&"holds".into(), &false.into())
    );
}

#[test]
fn versions_of_a_brick_are_swapped_under_load_and_one_instance_can_stand_in_for_all() {
    let folder = Folder::copy_of("shop");
    let (code, report) = prove(
        &folder,
        &["replaceability", "--only", "swap:payment@twin,alone:order/2"],
    );
    assert_eq!(
        (code, &report["answer"]),
        (Some(0), &"holds".into()),
        "{report:#}"
    );
}

#[test]
fn what_is_lost_is_a_no_and_what_nobody_can_know_is_no_yes() {
    let loads = "\n[load.lost]\nsteps = [{ get = \"/x\" }]\ncheck = [{ get = \"/x\", expect = 418 }]\n\
                 [load.unknown]\nsteps = [{ post = \"/x\" }]\n";
    let folder = Folder::with_manifest(&small::serving(loads));
    let (code, report) = prove(
        &folder,
        &["disposability", "--only", "kill:telemetry", "--load", "lost"],
    );
    assert_eq!(
        (code, &report["answer"]),
        (Some(1), &"fails".into()),
        "{report:#}"
    );
    let kept = &report["experiments"][0]["kept"];
    assert!(
        kept["lost"] == kept["checked"] && kept["lost"].as_u64() > Some(0),
        "{kept}"
    );
    let (code, report) = prove(
        &folder,
        &["disposability", "--only", "kill:telemetry", "--load", "unknown"],
    );
    assert_eq!(
        (code, &report["answer"]),
        (Some(6), &"unanswered".into()),
        "{report:#}"
    );
}
