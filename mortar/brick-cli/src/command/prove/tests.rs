//! What is tried on which system, and what answers follow from what was seen.

use brick_core::{BrickName, Version};
use brick_model::{Model, parse};
use jiff::Timestamp;
use mortar_agent::api::{InstanceState, Ps};

use super::act::Stop;
use super::experiment::conclude;
use super::plan::{plan, questions, raised};
use super::report::{Answer, Class, Experiment, Failed, Kept, judge};
use crate::cli::Quality;

const SHOP: &str = include_str!("../../../../../systems/shop/brick.toml");

/// The rows of a system in which everything is ready.
fn rows(model: &Model) -> Vec<Ps> {
    let row = |brick: &str, slot: u32, zone: &str| Ps {
        brick: BrickName::new(brick).unwrap(),
        version: Version::default(),
        instance: format!("{brick}/{slot}"),
        zone: zone.to_owned(),
        state: InstanceState::Ready,
        pid: Some(slot),
        port: 1,
        restarts: 0,
        revision: String::new(),
        adopted: false,
        incarnation: None,
        quarantined: false,
        problem: None,
        elastic: None,
    };
    let mut rows: Vec<Ps> = ["control", "gateway", "telemetry"]
        .map(|name| row(name, 1, ""))
        .to_vec();
    for (name, brick) in model.running() {
        rows.extend((1..=brick.replicas.min()).map(|slot| row(name.as_str(), slot, brick.zone(slot))));
    }
    rows
}

fn names(quality: Quality, model: &Model, scratch: bool) -> Vec<String> {
    let plan = plan(quality, model, &rows(model), scratch);
    plan.experiments.into_iter().map(|one| one.name).collect()
}

#[test]
fn a_scratch_system_is_the_same_with_twins_and_two_instances_of_everything() {
    let shop = parse(SHOP, "brick.toml").unwrap();
    let raised = raised(&shop, 2);
    let text = toml::to_string(&raised).unwrap();
    let again = parse(&text, "scratch").unwrap_or_else(|invalid| panic!("{}\n{text}", invalid.render(false)));
    assert_eq!(again, raised);
    for (name, brick) in raised.running() {
        assert_eq!((brick.replicas.min(), brick.zones.len()), (2, 2), "{name}");
        let twin = &brick.version.concurrent[&Version::new("twin").unwrap()];
        assert_eq!((Some(&twin.run), twin.replicas), (brick.run.as_ref(), 0));
    }
    let dirs = ["order", "recommendation"].map(|name| raised.bricks[name].dir.clone().unwrap());
    assert_eq!(dirs, ["system", "system/recommendation"]);
}

#[test]
fn every_process_is_killed_and_every_question_has_an_experiment() {
    let raised = raised(&parse(SHOP, "brick.toml").unwrap(), 2);
    let tried = names(Quality::Disposability, &raised, true);
    for wanted in [
        "kill:order/1",
        "kill:order/2",
        "kill:recommendation/1",
        "kill:control",
        "kill:gateway",
        "kill:telemetry",
        "kill:agent",
        "repave",
        "scale:payment",
        "quarantine:payment/1",
        "roll:storefront",
    ] {
        assert!(tried.iter().any(|name| name == wanted), "{wanted} of {tried:?}");
    }
    assert!(!names(Quality::Disposability, &raised, false).contains(&"kill:agent".to_owned()));
    let tried = names(Quality::Replaceability, &raised, true);
    for wanted in [
        "alone:order/2",
        "zone:a",
        "zone:b",
        "swap:order@twin",
        "implementation:recommendation@node",
    ] {
        assert!(tried.iter().any(|name| name == wanted), "{wanted} of {tried:?}");
    }
    // That version is there to be found faulty.
    assert!(!tried.iter().any(|name| name.ends_with(":payment@v2")));
}

#[test]
fn what_a_system_has_not_is_no_yes() {
    let text = "brickwork = 1\n[system]\nname = \"one\"\n[brick.kiln]\nrun = \"kiln\"\n";
    let model = parse(text, "brick.toml").unwrap();
    let plan = plan(Quality::Replaceability, &model, &rows(&model), false);
    assert_eq!((plan.experiments.len(), plan.impossible.len()), (0, 4));
    let asked = questions(Quality::Replaceability);
    let (answer, all) = judge(asked, &[], |number| plan.impossible.get(&number).cloned());
    assert_eq!(answer, Answer::Unanswered);
    assert!(
        all.iter()
            .all(|one| one.answer == Answer::Unanswered && one.why.is_some())
    );
}

#[test]
fn only_what_is_named_is_tried_and_a_name_that_is_none_is_told() {
    let raised = raised(&parse(SHOP, "brick.toml").unwrap(), 2);
    let mut all = plan(Quality::Disposability, &raised, &rows(&raised), true);
    assert_eq!(all.keep(&["kil".to_owned()]), Err("kil".to_owned()));
    all.keep(&["kill:order/1".to_owned(), "repave".to_owned()])
        .unwrap();
    let names: Vec<_> = all.experiments.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["kill:order/1", "repave"]);
}

fn seen(requests: u64, failed: u64, kept: Kept) -> Experiment {
    let at = Timestamp::UNIX_EPOCH;
    let failure = Failed {
        at,
        what: "POST /orders".to_owned(),
        kind: "503 no_instance".to_owned(),
        trace_id: Some("ab".to_owned()),
        took_ms: 1.0,
        repeatable: true,
        cut: false,
        class: Class::Failed,
    };
    Experiment {
        name: "kill:order/1".to_owned(),
        question: 0,
        answer: Answer::Unanswered,
        why: Vec::new(),
        at,
        commands: Vec::new(),
        seen: Vec::new(),
        rounds: requests,
        requests,
        failed,
        in_flight: 3,
        failing_ms: 0.0,
        whole_ms: 0.0,
        p99_before_ms: 0.0,
        p99_ms: 0.0,
        kept,
        failures: vec![failure; failed as usize],
        events: Vec::new(),
        lines: Vec::new(),
    }
}

#[test]
fn a_yes_needs_data_and_no_consequence() {
    let kept = |lost: u64, unchecked: u64| Kept {
        acknowledged: 9,
        checked: 9 - unchecked,
        lost,
        unchecked,
        told: Vec::new(),
    };
    let check = |requests, failed, kept, stops: Vec<Stop>, expect| {
        let made = conclude(seen(requests, failed, kept), stops);
        assert_eq!(made.answer, expect, "{:?}", made.why);
        assert_eq!(made.why.is_empty(), expect == Answer::Holds);
    };
    check(9, 0, kept(0, 0), vec![], Answer::Holds);
    check(0, 0, kept(0, 0), vec![], Answer::Unanswered);
    check(9, 1, kept(0, 0), vec![], Answer::Fails);
    check(9, 0, kept(1, 0), vec![], Answer::Fails);
    check(9, 0, kept(0, 9), vec![], Answer::Unanswered);
    check(
        9,
        0,
        kept(0, 0),
        vec![Stop::Unanswered("?".to_owned())],
        Answer::Unanswered,
    );
    check(
        9,
        1,
        kept(0, 0),
        vec![Stop::Unanswered("?".to_owned())],
        Answer::Fails,
    );
}
