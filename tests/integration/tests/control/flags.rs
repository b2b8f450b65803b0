//! Feature flags: from manifest, repository and operators to bricks that evaluate them, and to clients of OpenFeature.

use std::collections::BTreeSet;

use brickwork::auth::OwnToken;
use brickwork::telemetry::LogTarget;
use brickwork::{Brick, Contract, FlagContext, Parts};
use http::header::{AUTHORIZATION, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderName, Method};
use serde_json::{Value, json};
use tokio::process::Command;

use super::harness::{Control, basic, control, eventually, printed, subscribe};
use super::repository::{Repo, with_repository, with_tables};

const EXPRESS: &str = "/api/flags/v1/express";

/// A flag that order alone sees.
fn flags() -> Value {
    json!({ "flag": { "express": { "default": false, "bricks": ["order"] } } })
}

impl Control {
    /// A request of an operator with a reason, and with a condition where there is one.
    async fn flag(&self, method: Method, path: &str, tag: Option<&str>, body: Option<Value>) -> (u16, Value) {
        let admin = self.operator(&["admin"]).await;
        let call = self
            .http
            .call(method, format!("{}{path}", self.url))
            .bearer(&admin);
        let call = call.header(HeaderName::from_static("x-brick-why"), "a try");
        let call = match tag {
            Some(tag) => call.header(IF_MATCH, tag),
            None => call,
        };
        let call = match &body {
            Some(body) => call.json_body(body),
            None => call,
        };
        let answer = call.send().await.unwrap();
        (
            answer.status.as_u16(),
            serde_json::from_slice(&answer.body).unwrap_or_default(),
        )
    }

    /// What OFREP answers to somebody: status, ETag, body.
    async fn ofrep(&self, path: &str, who: &str, tag: Option<&str>, body: &str) -> (u16, String, Value) {
        let url = format!("{}/ofrep/v1/evaluate/flags{path}", self.url);
        let call = self.http.call(Method::POST, url).header(AUTHORIZATION, who);
        let call = match tag {
            Some(tag) => call.header(IF_NONE_MATCH, tag),
            None => call,
        };
        let answer = call
            .body("application/json", body.to_owned())
            .send()
            .await
            .unwrap();
        let tag = answer
            .headers
            .get(ETAG)
            .map(|tag| tag.to_str().unwrap().to_owned());
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status.as_u16(), tag.unwrap_or_default(), body)
    }

    /// A brick on the SDK that follows this control.
    fn brick(&self, name: &str) -> Brick {
        let (token, incarnation) = self.process(name, &["bus"]);
        let vars = [
            ("BRICK_NAME", name.to_owned()),
            ("BRICK_SYSTEM", "shop".to_owned()),
            ("BRICK_INSTANCE", format!("{name}/1")),
            ("BRICK_INCARNATION", incarnation.to_string()),
            ("BRICK_CONTROL_URL", self.url.clone()),
            ("FLAG_LOCAL", "true".to_owned()),
        ];
        let vars: Vec<_> = vars
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Brick::from_parts(Parts {
            contract: Contract::read(&vars, name).unwrap(),
            vars,
            args: Vec::new(),
            watch: None,
            own_token: Some(OwnToken::fixed(token)),
            log: LogTarget::Memory,
            package_version: String::new(),
            api_version: "v1".to_owned(),
            body_bytes_max: 1 << 20,
        })
    }
}

#[tokio::test]
async fn an_override_tells_how_many_instances_have_applied_it() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest_with(flags()).await;
    let on = async || {
        let body = json!({ "defaultVariant": "on" });
        control.flag(Method::PUT, EXPRESS, None, Some(body)).await.1
    };
    let told = on().await;
    assert_eq!((&told["applied"], &told["of"]), (&json!(0), &json!(0)), "{told}");

    let order = control.brick("order");
    let one = json!({ "addr": "127.0.0.1:1", "ttl_ms": 600_000 });
    let incarnation = order.contract().incarnation;
    assert_eq!(control.register("order", 2, incarnation, one).await.status, 200);
    let express = order.flag("express", false);
    eventually("the override", async || express.get()).await;
    let off = json!({ "defaultVariant": "off" });
    let (status, told) = control.flag(Method::PUT, EXPRESS, None, Some(off)).await;
    assert_eq!((status, &told["defaultVariant"]), (200, &json!("off")), "{told}");
    assert_eq!((&told["applied"], &told["of"]), (&json!(1), &json!(1)), "{told}");
    let heard = &told["instances"][0];
    assert_eq!(
        (&heard["instance"], &heard["applied"]),
        (&json!("order/2"), &json!(true))
    );
    assert!(!express.get(), "who has applied it evaluates it");
    control.stop().await;
}

#[tokio::test]
async fn a_brick_evaluates_what_the_manifest_and_operators_say_and_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest_with(flags()).await;
    let order = control.brick("order");
    let express = order.flag("express", true);
    eventually("the manifest's default", async || !express.get()).await;
    let info = |key: &str| serde_json::to_value(&order.telemetry().info().flags[key]).unwrap();
    assert_eq!(
        info("express"),
        json!({ "state": "ENABLED", "defaultVariant": "off", "default": false, "targeted": false })
    );
    let payment = control.brick("payment");
    assert!(
        payment.flag("express", true).get(),
        "payment does not see it: its code counts"
    );
    assert!(
        order.flag("local", false).get(),
        "what nobody defines is of the environment"
    );
    assert_eq!(info("local")["state"], "UNDEFINED");

    let (status, on) = control
        .flag(
            Method::PUT,
            EXPRESS,
            None,
            Some(json!({ "defaultVariant": "on" })),
        )
        .await;
    assert_eq!(
        (status, &on["origin"], &on["below"]["origin"]),
        (200, &json!("live"), &json!("manifest")),
        "{on}"
    );
    eventually("the override", async || express.get()).await;

    let half = json!({ "shares": { "on": 50, "off": 50 } });
    let (status, split) = control
        .flag(Method::PUT, EXPRESS, on["tag"].as_str(), Some(half))
        .await;
    assert_eq!((status, &split["shares"]["on"]), (200, &json!(50.0)), "{split}");
    let users: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    let chosen = || {
        users
            .iter()
            .filter(|user| express.get_for(user))
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    eventually("half of the users", async || (60..140).contains(&chosen().len())).await;
    assert_eq!(chosen(), chosen(), "it sticks to the user");
    assert_eq!(info("express")["targeted"], true);

    let (status, stale) = control
        .flag(
            Method::PUT,
            EXPRESS,
            on["tag"].as_str(),
            Some(json!({ "state": "DISABLED" })),
        )
        .await;
    assert_eq!(
        (status, &stale["code"]),
        (412, &json!("changed_meanwhile")),
        "{stale}"
    );
    let (status, _) = control
        .flag(Method::PUT, EXPRESS, None, Some(json!({ "state": "DISABLED" })))
        .await;
    assert_eq!(status, 200);
    eventually("the default in code", async || {
        express.get() && chosen().len() == 200
    })
    .await;
    assert_eq!(express.evaluate(&FlagContext::of("ann")).reason, "DISABLED");
    let gone = async |tag: &Value| control.flag(Method::DELETE, EXPRESS, tag.as_str(), None).await.0;
    assert_eq!(gone(&on["tag"]).await, 412, "it is another by now");
    assert_eq!(control.flag(Method::DELETE, EXPRESS, None, None).await.0, 204);
    eventually("the manifest again", async || !express.get()).await;
    assert_eq!(gone(&on["tag"]).await, 412, "there is none any more");
    let nothing = control.flag(Method::GET, EXPRESS, None, None).await.1;
    assert_eq!(gone(&nothing["tag"]).await, 204, "nothing is there, as was read");
    let metrics = order.telemetry().metrics().encode();
    assert!(metrics.contains(
        "brick_flag_evaluations_total{flag=\"express\",variant=\"on\",reason=\"TARGETING_MATCH\"}"
    ));

    let admin = control.operator(&["admin"]).await;
    let trail = control
        .call(Method::GET, "/api/audit/v1?action=flags", &admin, None)
        .await;
    let trail: Value = trail.json().unwrap();
    let items = trail["items"].as_array().unwrap();
    let told: Vec<_> = items
        .iter()
        .map(|item| item["action"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["flags.reset", "flags.set", "flags.set", "flags.set"]);
    let first = &items[3];
    assert_eq!(
        (&first["target"], &first["why"], &first["who"]),
        (&json!("flags/express"), &json!("a try"), &json!("ann"))
    );
    assert_eq!(
        (
            &first["before"]["defaultVariant"],
            &first["after"]["defaultVariant"]
        ),
        (&json!("off"), &json!("on"))
    );
    control.stop().await;
}

#[tokio::test]
async fn an_override_outlives_a_restart_counts_in_configurations_and_is_changed_in_one_way() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest_with(flags()).await;
    let (status, body) = first
        .flag(
            Method::PUT,
            EXPRESS,
            None,
            Some(json!({ "defaultVariant": "on" })),
        )
        .await;
    assert_eq!(status, 200, "{body}");
    first.stop().await;
    let control = control(folder.path()).await;
    let who = control.process("order", &["bus"]);
    let mut order = subscribe(&control.url, who, &["flags/order", "config/order"], None);
    order.until("both", |state| state.resources.len() == 2).await;
    let of = |name: &str| order.watch.get(name).unwrap().value.clone();
    assert_eq!(of("flags/order")["flags"]["express"]["defaultVariant"], "on");
    assert_eq!(
        of("config/order")["flag"]["express"],
        true,
        "for who reads the value alone"
    );
    assert_eq!(of("config/order")["$meta"]["origins"]["flag.express"], "live");
    let who = control.process("payment", &["bus"]);
    let mut payment = subscribe(&control.url, who, &["flags/*", "config/payment"], None);
    payment
        .until("its own alone", |state| {
            state.resources.contains_key("config/payment")
        })
        .await;
    assert!(
        payment.watch.get("flags/order").is_none(),
        "flags of others are not seen"
    );

    let config = "/api/config/v1/order";
    let (status, refused) = control
        .flag(
            Method::PATCH,
            config,
            None,
            Some(json!({ "values": { "flag.express": false } })),
        )
        .await;
    assert_eq!((status, &refused["code"]), (422, &json!("config_invalid")));
    assert!(
        refused["detail"].as_str().unwrap().contains("brick flag set"),
        "{refused}"
    );
    for (path, body, status, code) in [
        (
            "/api/flags/v1/nowhere",
            json!({ "state": "DISABLED" }),
            404,
            "flag_unknown",
        ),
        (EXPRESS, json!({ "defaultVariant": "of" }), 422, "flag_invalid"),
        (
            EXPRESS,
            json!({ "targeting": { "eval": [] } }),
            422,
            "flag_invalid",
        ),
        (EXPRESS, json!({}), 422, "flag_invalid"),
    ] {
        let (found, answer) = control.flag(Method::PUT, path, None, Some(body)).await;
        assert_eq!((found, &answer["code"]), (status, &json!(code)), "{answer}");
    }
    order.stop().await;
    payment.stop().await;
    control.stop().await;
}

/// What the repository of these tests holds.
const FILE: &str = r#"{
  "$evaluators": { "acme": { "==": [{ "var": "tenant" }, "acme"] } },
  "flags": {
    "express": { "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "on" },
    "button": {
      "state": "ENABLED", "variants": { "grey": "888", "green": "0a0" }, "defaultVariant": "grey",
      "targeting": { "if": [{ "$ref": "acme" }, "green"] }
    },
    "split": {
      "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off",
      "targeting": { "fractional": [["on", 25], ["off", 75]] }
    },
    "retired": { "state": "DISABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off" }
  }
}"#;

#[tokio::test]
async fn flags_of_the_repository_count_between_manifest_and_overrides_and_a_broken_file_keeps_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    let first = repo.commit(&[("flags.json", Some(FILE))]);
    let control = with_tables(folder.path(), None, json!({}), flags()).await;
    let list = async || control.flag(Method::GET, "/api/flags/v1", None, None).await.1;
    let found = list().await;
    assert_eq!(found["items"].as_array().unwrap().len(), 4, "{found}");
    let origin = format!("repository flags.json@{}", &first[..7]);
    let (_, express) = control.flag(Method::GET, EXPRESS, None, None).await;
    assert_eq!(
        (&express["origin"], &express["defaultVariant"]),
        (&json!(origin), &json!("on"))
    );

    repo.commit(&[("flags.json", Some(&FILE.replace("\"grey\",", "\"gray\",")))]);
    let status = control.refresh().await;
    let why = "flags.json: flags.button.defaultVariant: expected one of the variants";
    assert!(
        status["flags_problem"].as_str().unwrap().starts_with(why),
        "{status}"
    );
    let found = list().await;
    assert!(found["problem"].as_str().unwrap().starts_with(why), "{found}");
    assert_eq!(found["items"].as_array().unwrap().len(), 4, "the old flags stay");

    let eu = r#"{"flags":{"express":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off"}}}"#;
    repo.commit(&[("flags.json", None), ("flags-eu.json", Some(eu))]);
    control.refresh().await;
    let found = list().await;
    let items = found["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["defaultVariant"]),
        (1, &json!("off")),
        "{found}"
    );
    assert!(found.get("problem").is_none());
    let admin = control.operator(&["admin"]).await;
    let trail = control
        .call(Method::GET, "/api/audit/v1?action=flags", &admin, None)
        .await;
    let trail: Value = trail.json().unwrap();
    assert_eq!(
        (&trail["items"][0]["action"], &trail["items"][0]["who"]),
        (&json!("flags.repository"), &json!("repository")),
        "{trail}"
    );
    control.stop().await;
}

#[tokio::test]
async fn ofrep_answers_each_reader_in_the_protocols_words() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    repo.commit(&[("flags.json", Some(FILE))]);
    let control = with_tables(folder.path(), None, json!({}), flags()).await;
    let reader = basic(&control.client("reader", &["flags:read"]).await);
    let acme = r#"{"context":{"targetingKey":"ann","tenant":"acme"}}"#;
    let (status, _, green) = control.ofrep("/button", &reader, None, acme).await;
    assert_eq!(
        (status, green),
        (
            200,
            json!({ "key": "button", "value": "0a0", "variant": "green", "reason": "TARGETING_MATCH", "metadata": {} })
        )
    );
    for (path, body, status, code) in [
        ("/nowhere", acme, 404, "FLAG_NOT_FOUND"),
        ("/retired", acme, 404, "FLAG_NOT_FOUND"),
        ("/button", "{", 400, "PARSE_ERROR"),
        ("/button", "{\"context\":1}", 400, "INVALID_CONTEXT"),
        ("", "{\"context\":{\"targetingKey\":1}}", 400, "INVALID_CONTEXT"),
    ] {
        let (found, _, answer) = control.ofrep(path, &reader, None, body).await;
        assert_eq!(
            (found, &answer["errorCode"]),
            (status, &json!(code)),
            "{path} {answer}"
        );
    }
    let (status, tag, all) = control.ofrep("", &reader, None, acme).await;
    let keys = |all: &Value| -> Vec<String> {
        let flags = all["flags"].as_array().unwrap();
        flags
            .iter()
            .map(|flag| flag["key"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (status, keys(&all)),
        (200, ["button", "express", "split"].map(str::to_owned).to_vec())
    );
    assert_eq!(control.ofrep("", &reader, Some(&tag), acme).await.0, 304);
    let other = control.ofrep("", &reader, Some(&tag), "{}").await;
    assert_eq!(other.0, 200, "another context is another answer");

    let payment = format!("Bearer {}", control.process("payment", &["bus"]).0);
    let (_, _, seen) = control.ofrep("", &payment, None, acme).await;
    assert_eq!(
        keys(&seen),
        ["button", "split"],
        "what the manifest gives to order is order's"
    );
    assert_eq!(control.ofrep("/express", &payment, None, acme).await.0, 404);
    let nobody = basic(&control.client("nobody", &["config:read"]).await);
    assert_eq!(control.ofrep("", &nobody, None, acme).await.0, 403);
    assert_eq!(control.ofrep("", "Basic x", None, acme).await.0, 401);
    let long = format!("{{\"context\":{{\"a\":\"{}\"}}}}", "x".repeat(70_000));
    assert_eq!(control.ofrep("", &reader, None, &long).await.0, 413);
    control.stop().await;
}

#[tokio::test]
async fn openfeatures_own_client_evaluates_flags() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new(folder.path());
    repo.commit(&[("flags.json", Some(FILE))]);
    let control = with_repository(folder.path(), None, json!({})).await;
    let reader = basic(&control.client("front", &["flags:read"]).await);
    let mut node = Command::new("node");
    node.args(["openfeature.mjs", &control.url, &reader]);
    let found = printed(node).await;
    let of = |name: &str| {
        let found = &found[name];
        (
            found["value"].clone(),
            found["reason"].clone(),
            found["errorCode"].clone(),
        )
    };
    assert_eq!(
        of("plain"),
        (json!(true), json!("STATIC"), Value::Null),
        "{found}"
    );
    assert_eq!(
        of("targeted"),
        (json!("0a0"), json!("TARGETING_MATCH"), Value::Null)
    );
    assert_eq!(of("other"), (json!("888"), json!("DEFAULT"), Value::Null));
    assert_eq!(of("mistyped"), (json!(7), json!("ERROR"), json!("TYPE_MISMATCH")));
    assert_eq!(
        of("unknown"),
        (json!(true), json!("ERROR"), json!("FLAG_NOT_FOUND"))
    );
    assert_eq!(
        of("disabled"),
        (json!(true), json!("ERROR"), json!("FLAG_NOT_FOUND"))
    );
    // What a brick evaluates in its own process is what a client of control gets.
    let order = control.brick("order");
    let split = order.flag("split", false);
    eventually("the flags", async || {
        split.evaluate(&FlagContext::of("x")).variant.is_some()
    })
    .await;
    let users = (0..200).map(|n| format!("user-{n}"));
    let own: Vec<String> = users.filter(|user| split.get_for(user)).collect();
    assert!((20..85).contains(&own.len()), "{}", own.len());
    assert_eq!(found["split"], json!(own));
    control.stop().await;
}
