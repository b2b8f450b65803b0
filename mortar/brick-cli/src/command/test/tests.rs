//! Which suites run where, and what is reported.

use brick_core::ExitCode;
use brick_model::{Model, Suite, parse};

use super::report::{Ran, RanStep, junit, table};
use super::{permitted, pick};
use crate::cli;
use crate::output::{Color, Format, Output};

const MANIFEST: &str = r#"
brickwork = 1
[system]
name = "shop"
[brick.order]
run = "order"
needs = ["product"]
[brick.product]
run = "product"
[test.reads]
production = true
steps = [{ get = "/" }]
[test.writes]
steps = [{ post = "/" }]
[test.order-places]
brick = "order"
steps = [{ post = "/orders" }]
[env.live]
edge = "http://shop.example"
[env.staging]
edge = "http://staging.example"
production = false
"#;

fn model() -> Model {
    parse(MANIFEST, "brick.toml").unwrap_or_else(|invalid| panic!("{}", invalid.render(false)))
}

fn output() -> Output {
    Output::new(Format::Table, Color::Never, true, true)
}

fn test(name: Option<&str>, env: &str) -> cli::Test {
    cli::Test {
        name: name.map(str::to_owned),
        env: env.to_owned(),
        ca: None,
        report: None,
        keep: false,
        no_build: false,
    }
}

#[test]
fn a_name_is_a_suite_or_a_brick_and_none_is_every_suite_about_the_system() {
    let model = model();
    let check = |name: Option<&str>, brick: Option<&str>, expect: &[&str]| {
        let picked = pick(&model, name).unwrap();
        let names: Vec<&str> = picked.suites.iter().map(|(name, _)| *name).collect();
        assert_eq!(picked.brick.as_ref().map(ToString::to_string).as_deref(), brick);
        assert_eq!(names, expect);
    };
    check(None, None, &["reads", "writes"]);
    check(Some("writes"), None, &["writes"]);
    check(Some("order"), Some("order"), &["order-places"]);
    check(Some("order-places"), Some("order"), &["order-places"]);
    assert_eq!(pick(&model, Some("product")).unwrap_err().code, ExitCode::Usage);
    let unknown = pick(&model, Some("nothing")).unwrap_err();
    assert!(unknown.hint.unwrap().contains("order-places, reads, writes"));
}

#[test]
fn production_lets_in_only_what_says_so() {
    let model = model();
    let names = |name: Option<&str>, env: &str| {
        let picked = pick(&model, name).unwrap();
        let inside = permitted(&model, &test(name, env), picked.suites, output())?;
        Ok::<_, crate::failure::Failure>(
            inside
                .into_iter()
                .map(|(name, _)| name.to_owned())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(names(None, "live").unwrap(), ["reads"]);
    assert_eq!(names(None, "staging").unwrap(), ["reads", "writes"]);
    assert_eq!(names(None, "local").unwrap(), ["reads", "writes"]);
    let refused = names(Some("writes"), "live").unwrap_err();
    assert_eq!(
        (refused.code, refused.message.contains("writes")),
        (ExitCode::Refused, true)
    );
}

fn ran(passed: bool) -> Ran {
    let step = RanStep {
        step: "GET /<a>".to_owned(),
        passed,
        took_ms: 12.0,
        status: Some(if passed { 200 } else { 500 }),
        trace_id: None,
        failures: if passed {
            Vec::new()
        } else {
            vec!["expected 200 & found 500".to_owned()]
        },
        detail: (!passed).then(|| "expected 200 & found 500\nrequest \u{1}".to_owned()),
        logs: Vec::new(),
    };
    let suite = Suite {
        steps: vec![Default::default(), Default::default()],
        ..Suite::default()
    };
    Ran {
        steps: vec![step],
        passed,
        took_ms: 15.0,
        ..Ran::new("reads", "local", &suite)
    }
}

#[test]
fn the_table_says_how_far_each_suite_came_and_why_it_ended() {
    let text = table(&[ran(true), ran(false)]).render(false);
    let expect = "suite  on     result  steps  ms  failure\n\
                  reads  local  passed    1/2  15\n\
                  reads  local  failed    0/2  15  GET /<a>: expected 200 & found 500\n";
    assert_eq!(text, expect);
}

#[test]
fn junit_reads_the_report_whatever_a_brick_answered() {
    let xml = junit(&[ran(false)]);
    assert!(
        xml.contains("<testsuites name=\"brick test\" tests=\"1\" failures=\"1\">"),
        "{xml}"
    );
    assert!(xml.contains("name=\"1 GET /&lt;a&gt;\" time=\"0.012\""), "{xml}");
    assert!(
        xml.contains("<failure message=\"expected 200 &amp; found 500\">"),
        "{xml}"
    );
    assert!(xml.contains("request \u{fffd}</failure>"), "{xml}");
}
