//! Concurrent versions: pools that operators rule, instances in quarantine, canaries that decide by themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brick_core::Incarnation;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::harness::{Control, control, eventually, subscribe};

const POOL: &str = "/api/pools/v1/payment";
const CANARY: &str = "/api/canaries/v1/payment";

/// What an instance says of its calls: each time that it is asked there were 1,000 more.
struct Served {
    addr: SocketAddr,
    asked: Arc<AtomicU64>,
}

/// An instance of which so many of a thousand calls fail, and all take so many milliseconds.
async fn served(errors: u64, ms: u64) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut head = [0; 2048];
                while socket.read(&mut head).await.is_ok_and(|read| read > 0) {
                    let times = counted.fetch_add(1, Ordering::Relaxed) + 1;
                    let body = exposition(times * 1_000, times * errors, ms);
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    if socket.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Served { addr, asked }
}

fn exposition(calls: u64, errors: u64, ms: u64) -> String {
    let name = "http_server_request_duration_seconds";
    let mut text = String::new();
    for (code, count) in [("200", calls - errors), ("500", errors)] {
        let labels = format!("http_route=\"/pay\",http_response_status_code=\"{code}\"");
        for bound in [50, 100, 250, 500, 1_000] {
            let within = if ms <= bound { count } else { 0 };
            text += &format!(
                "{name}_bucket{{{labels},le=\"{}\"}} {within}\n",
                bound as f64 / 1e3
            );
        }
        text += &format!("{name}_count{{{labels}}} {count}\n");
    }
    text
}

async fn payments(control: &Control, base: SocketAddr, other: SocketAddr) -> (Incarnation, Incarnation) {
    let (one, two) = (Incarnation::new(), Incarnation::new());
    let long = json!({ "addr": base, "ttl_ms": 600_000 });
    assert_eq!(control.register("payment", 1, one, long).await.status, 200);
    let v2 = json!({ "version": "v2", "concurrent": true, "addr": other, "ttl_ms": 600_000 });
    assert_eq!(control.register("payment", 1, two, v2).await.status, 200);
    (one, two)
}

async fn get(control: &Control, path: &str) -> Value {
    let admin = control.agent().await;
    control
        .call(Method::GET, path, &admin, None)
        .await
        .json()
        .unwrap()
}

async fn call(control: &Control, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let admin = control.agent().await;
    let answer = control.call(method, path, &admin, body).await;
    (answer.status.as_u16(), answer.json().unwrap_or_default())
}

fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

#[tokio::test]
async fn shares_and_rules_reach_callers_survive_a_restart_and_are_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    payments(&first, nowhere(), nowhere()).await;
    let wanted = json!({ "weights": { "v2": 10 }, "sticky": "user",
        "rules": [{ "when": { "header": { "name": "x-beta", "value": "yes" } }, "to": "v2" }] });
    let preview = format!("{POOL}/preview");
    let (status, moved) = call(&first, Method::POST, &preview, Some(wanted.clone())).await;
    assert_eq!((status, &moved["moved"]), (200, &json!(1_000)));
    assert_eq!(
        get(&first, POOL).await["revision"],
        0,
        "a dry run changes nothing"
    );
    let (status, view) = call(&first, Method::PUT, POOL, Some(wanted.clone())).await;
    assert_eq!(status, 200, "{view}");
    assert_eq!(
        (&view["versions"][0]["share"], &view["versions"][1]["share"]),
        (&json!(90.0), &json!(10.0))
    );
    for (body, code) in [
        (json!({ "weights": { "v3": 10 } }), "version_unknown"),
        (json!({ "weights": { "v2": 200 } }), "pool_invalid"),
        (json!({ "sticky": "moon" }), "pool_invalid"),
    ] {
        let (status, problem) = call(&first, Method::PUT, POOL, Some(body)).await;
        assert_eq!((status, &problem["code"]), (422, &json!(code)));
    }
    let (status, problem) = call(&first, Method::PUT, "/api/pools/v1/nobody", Some(json!({}))).await;
    assert_eq!((status, &problem["code"]), (404, &json!("brick_unknown")));
    first.stop().await;

    let second = control(folder.path()).await;
    let order = second.process("order", &["bus", "call:payment"]);
    let mut order = subscribe(&second.url, order, &["pools/*"], None);
    let shares = |state: &brick_bus::State| {
        let pool = state.resources.get("pools/payment")?;
        Some(pool.value["shares"]["v2"].clone())
    };
    order
        .until("the share", |state| shares(state) == Some(json!(1_000)))
        .await;
    let customer = second.process("customer", &["bus"]);
    let mut customer = subscribe(&second.url, customer, &["pools/*", "trust/bundle"], None);
    customer
        .until("its own view", |state| {
            state.resources.contains_key("trust/bundle")
        })
        .await;
    assert!(
        shares(&customer.watch.state()).is_none(),
        "who does not call payment is told nothing of it"
    );
    assert_eq!(call(&second, Method::DELETE, POOL, None).await.0, 204);
    order.until("nothing said", |state| shares(state).is_none()).await;
    let trail = get(&second, "/api/audit/v1?action=pools").await;
    let actions: Vec<&Value> = trail["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["action"])
        .collect();
    assert_eq!(actions, ["pools.reset", "pools.set"]);
}

#[tokio::test]
async fn of_two_operators_who_read_the_same_versions_the_second_is_told_that_they_changed() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    payments(&control, nowhere(), nowhere()).await;
    let admin = control.agent().await;
    let client = brick_wire::Client::new();
    let url = format!("{}{POOL}", control.url);
    let change = async |method: Method, tag: &Value, body: Option<Value>| {
        let call = client.call(method, &*url).bearer(&admin);
        let call = call.header(http::header::IF_MATCH, tag.as_str().unwrap());
        let call = match &body {
            Some(body) => call.json_body(body),
            None => call,
        };
        let answer = call.send().await.unwrap();
        let code: Value = answer.json().unwrap_or_default();
        (answer.status.as_u16(), code["code"].clone())
    };
    let read = get(&control, POOL).await["tag"].clone();
    let share = |share: u32| Some(json!({ "weights": { "v2": share } }));
    assert_eq!(change(Method::PUT, &read, share(10)).await.0, 200);
    let late = (412, json!("changed_meanwhile"));
    assert_eq!(change(Method::PUT, &read, share(50)).await, late);
    assert_eq!(change(Method::DELETE, &read, None).await, late);
    let view = get(&control, POOL).await;
    assert_eq!(view["weights"], json!({ "v2": 10 }), "the first one's is kept");
    assert_eq!(change(Method::DELETE, &view["tag"], None).await.0, 204);
    assert_eq!(get(&control, POOL).await["tag"], read);
}

#[tokio::test]
async fn a_quarantined_instance_is_told_of_as_such_until_it_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let (one, two) = payments(&first, nowhere(), nowhere()).await;
    let path = |name: &str| {
        format!(
            "/api/registry/v1/instances/{}/quarantine",
            name.replace('/', "%2F")
        )
    };
    let body = Some(json!({ "reason": "it leaks" }));
    let (status, view) = call(&first, Method::POST, &path("payment/1"), body).await;
    assert_eq!(
        (status, &view["incarnation"], &view["own_name"]),
        (200, &json!(one), &json!("payment-1.payment"))
    );
    let (status, view) = call(&first, Method::POST, &path(&two.to_string()), Some(json!({}))).await;
    assert_eq!((status, &view["own_name"]), (200, &json!("payment-v2-1.payment")));
    assert_eq!(
        call(&first, Method::POST, &path("payment/9"), Some(json!({})))
            .await
            .0,
        404
    );
    first.stop().await;

    let second = control(folder.path()).await;
    let order = second.process("order", &["bus", "call:payment"]);
    let mut order = subscribe(&second.url, order, &["endpoints/payment"], None);
    let out = |state: &brick_bus::State| {
        let endpoints = state.resources.get("endpoints/payment");
        let all = endpoints.and_then(|resource| resource.value["instances"].as_array().cloned());
        all.map(|all| all.iter().filter(|one| one["quarantined"] == true).count())
    };
    order
        .until("both out, over a restart", |state| out(state) == Some(2))
        .await;
    let listed = second.instances().await;
    let payment = listed
        .iter()
        .find(|one| one["incarnation"] == json!(one_text(one)))
        .unwrap();
    assert_eq!(payment["state"], "quarantined");
    assert_eq!(
        call(&second, Method::DELETE, &path("payment/1"), None).await.0,
        200
    );
    order.until("one back", |state| out(state) == Some(1)).await;
    let trail = get(&second, "/api/audit/v1?action=quarantine&target=payment%2F1").await;
    assert_eq!(trail["items"][1]["why"], "it leaks");
    assert_eq!(trail["items"][0]["action"], "quarantine.release");
}

fn one_text(one: &Value) -> String {
    one["incarnation"].as_str().unwrap_or_default().to_owned()
}

async fn begin(control: &Control, steps: Value) -> Value {
    let body = json!({ "version": "v2", "steps": steps, "hold_ms": 1_000 });
    let (status, view) = call(control, Method::POST, CANARY, Some(body)).await;
    assert_eq!(status, 200, "{view}");
    view
}

async fn ended(control: &Control) -> Value {
    eventually("the canary's end", || async {
        get(control, CANARY).await["phase"] != "running"
    })
    .await;
    get(control, CANARY).await
}

#[tokio::test]
async fn a_canary_that_fails_more_often_aborts_by_itself_in_its_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let (base, bad) = (served(0, 40).await, served(50, 40).await);
    payments(&control, base.addr, bad.addr).await;
    let view = begin(&control, json!([1, 5, 25, 100])).await;
    assert_eq!((&view["share"], &view["phase"]), (&json!(1), &json!("running")));
    let (status, problem) = call(&control, Method::PUT, POOL, Some(json!({}))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("canary_running")));
    let over = ended(&control).await;
    assert_eq!(
        (&over["phase"], &over["step"], &over["share"]),
        (&json!("aborted"), &json!(0), &json!(0))
    );
    assert!(
        over["reason"].as_str().unwrap().starts_with("5.0 % of "),
        "{over}"
    );
    assert_eq!(
        get(&control, POOL).await["revision"],
        0,
        "what was before is again"
    );
    let trail = get(&control, "/api/audit/v1?action=canary").await;
    assert_eq!(
        (&trail["items"][0]["who"], &trail["items"][0]["action"]),
        (&json!("control"), &json!("canary.abort"))
    );
}

#[tokio::test]
async fn a_canary_that_is_three_times_slower_aborts_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let (base, slow) = (served(0, 90).await, served(0, 270).await);
    payments(&control, base.addr, slow.addr).await;
    begin(&control, json!([1, 100])).await;
    let over = ended(&control).await;
    assert_eq!((&over["phase"], &over["step"]), (&json!("aborted"), &json!(0)));
    assert!(over["reason"].as_str().unwrap().starts_with("p99 of "), "{over}");
}

#[tokio::test]
async fn a_good_canary_goes_on_over_a_restart_and_is_promoted() {
    let folder = tempfile::tempdir().unwrap();
    let first = control(folder.path()).await;
    first.manifest().await;
    let (base, good) = (served(1, 40).await, served(1, 40).await);
    payments(&first, base.addr, good.addr).await;
    begin(&first, json!([1, 50, 100])).await;
    eventually("the second step", || async {
        get(&first, CANARY).await["step"] != 0
    })
    .await;
    first.kill().await;

    let second = control(folder.path()).await;
    let over = ended(&second).await;
    assert_eq!(
        (&over["phase"], &over["share"]),
        (&json!("promoted"), &json!(100)),
        "{over}"
    );
    assert_eq!(get(&second, POOL).await["versions"][1]["share"], 100.0);
    let course = over["course"].as_array().unwrap();
    let steps: Vec<u64> = course.iter().filter_map(|point| point["step"].as_u64()).collect();
    assert!(steps.is_sorted(), "{over}");
    for (step, share) in [(0, 1), (1, 50), (2, 100)] {
        let last = course.iter().rfind(|point| point["step"] == step).unwrap();
        assert_eq!(
            last["share"], share,
            "every step is told of, also over the restart"
        );
        assert!(
            last["own"]["calls"].as_u64() > Some(0) && last["base"]["p99_ms"] == 50.0,
            "{over}"
        );
    }
    let listed = &get(&second, "/api/canaries/v1").await["items"][0]["course"];
    assert_eq!(
        listed.as_array().map(Vec::len),
        Some(3),
        "in a list the end of each step"
    );
    assert!(good.asked.load(Ordering::Relaxed) >= 3 && base.asked.load(Ordering::Relaxed) >= 3);
}

#[tokio::test]
async fn a_canary_is_tried_as_the_manifest_says_unless_somebody_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    let plan = format!("{CANARY}/plan");
    let usual = json!({ "steps": [1, 5, 25, 100], "hold_ms": 30_000,
        "limits": { "error_rate": 0.01, "p99_times": 2.0, "min_calls": 100 } });
    control.manifest().await;
    assert_eq!(get(&control, &plan).await, usual);
    let more = json!({
        "default": { "hold": "5m", "error_rate": 0.02 },
        "payment": { "steps": [2, 100], "error_rate": 0.001 },
    });
    control.manifest_with(json!({ "canary": more })).await;
    let planned = json!({ "steps": [2, 100], "hold_ms": 300_000,
        "limits": { "error_rate": 0.001, "p99_times": 2.0, "min_calls": 100 } });
    assert_eq!(get(&control, &plan).await, planned);
    let of_order = get(&control, "/api/canaries/v1/order/plan").await;
    assert_eq!(
        (&of_order["steps"], &of_order["limits"]["error_rate"]),
        (&usual["steps"], &json!(0.02))
    );
    assert_eq!(
        call(&control, Method::GET, "/api/canaries/v1/nobody/plan", None)
            .await
            .0,
        404
    );

    payments(&control, nowhere(), nowhere()).await;
    let said = |view: &Value| json!({ "steps": view["steps"], "hold_ms": view["hold_ms"], "limits": view["limits"] });
    let (status, begun) = call(&control, Method::POST, CANARY, Some(json!({ "version": "v2" }))).await;
    assert_eq!((status, said(&begun)), (200, planned), "{begun}");
    let abort = format!("{CANARY}/abort");
    assert_eq!(call(&control, Method::POST, &abort, Some(json!({}))).await.0, 200);
    let body = json!({ "version": "v2", "hold_ms": 60_000, "limits": { "min_calls": 7 } });
    let (_, begun) = call(&control, Method::POST, CANARY, Some(body)).await;
    let expected = json!({ "steps": [2, 100], "hold_ms": 60_000,
        "limits": { "error_rate": 0.001, "p99_times": 2.0, "min_calls": 7 } });
    assert_eq!(said(&begun), expected, "{begun}");
    assert_eq!(call(&control, Method::POST, &abort, Some(json!({}))).await.0, 200);

    let wrong = json!({ "version": "v2", "steps": [50, 10], "hold_ms": 10, "limits": { "error_rate": 1.0 } });
    let (status, problem) = call(&control, Method::POST, CANARY, Some(wrong)).await;
    assert_eq!((status, &problem["code"]), (422, &json!("canary_invalid")));
    let detail = problem["detail"].as_str().unwrap();
    for field in [
        "steps: expected",
        "hold_ms: expected 1s to 1d, found 10ms",
        "limits.error_rate: expected",
    ] {
        assert!(detail.contains(field), "{field} of {detail}");
    }
}

#[tokio::test]
async fn a_canary_of_which_nothing_is_known_waits_and_is_ended_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let control = control(folder.path()).await;
    control.manifest().await;
    let base = served(0, 40).await;
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute_at = mute.local_addr().unwrap();
    drop(mute);
    payments(&control, base.addr, mute_at).await;
    begin(&control, json!([1, 100])).await;
    let asked = base.asked.load(Ordering::Relaxed);
    eventually("three looks", || async {
        base.asked.load(Ordering::Relaxed) >= asked + 4
    })
    .await;
    let told = get(&control, CANARY).await;
    assert_eq!(told["step"], 0, "too little is no success");
    let seen = &told["seen"];
    assert_eq!(
        (&seen["step"], &seen["verdict"], &seen["own"]["calls"]),
        (&json!(0), &json!("unknown"), &json!(0)),
        "{told}"
    );
    assert!(seen["base"]["calls"].as_u64() > Some(0), "{told}");
    assert_eq!(seen["because"], "0 of 100 calls", "{told}");
    let (status, over) = call(
        &control,
        Method::POST,
        &format!("{CANARY}/promote"),
        Some(json!({})),
    )
    .await;
    assert_eq!((status, &over["phase"]), (200, &json!("promoted")));
    let (status, problem) = call(
        &control,
        Method::POST,
        &format!("{CANARY}/abort"),
        Some(json!({})),
    )
    .await;
    assert_eq!((status, &problem["code"]), (409, &json!("canary_over")));
}
