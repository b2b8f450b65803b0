//! A brick with everything in it, run by the kit: what the facade promises, seen from outside.

use std::sync::Arc;
use std::time::Duration;

use brickwork::axum::routing::{get, post};
use brickwork::telemetry::span::{Kind, SpanRecord};
use brickwork::{Caller, Error, Json, Migration, Path, Problem, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Notify;

use super::*;

const SCHEMA: &[Migration] = &[Migration {
    version: 1,
    name: "orders",
    sql: "create table placed (id integer primary key, customer text not null, price integer not null)",
}];

#[derive(Serialize, Deserialize)]
struct Settings {
    max_price: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_price: 100 }
    }
}

/// Places orders: asks the price, keeps the order, counts it.
async fn order(brick: Brick) -> Result<Access, Error> {
    let config = brick.config_checked::<Settings>(|settings| match settings.max_price {
        0 => Err("max_price: expected at least 1, found 0".to_owned()),
        _ => Ok(()),
    })?;
    let db = brick.state(SCHEMA).await?;
    let placed = brick
        .metrics()
        .counter("shop_orders_placed_total", "orders placed");
    let product = brick.client("product");
    let place = async move |caller: Caller, Path(item): Path<String>| {
        let customer = caller.user().map(|user| user.sub.clone()).unwrap_or_default();
        let price: u32 = product.get(format!("/price/{item}")).fetch().await?;
        if price > config.get().max_price {
            return Err(Problem::unprocessable("too_dear", "the price is over the limit"));
        }
        let id = db
            .write(move |tx| {
                let sql = "insert into placed (customer, price) values ($1, $2) returning id";
                tx.query_one(sql, &[customer.into(), price.into()], |row| row.get::<i64>(0))
            })
            .await?;
        placed.inc();
        brickwork::tracing::info!(item, "order placed");
        Ok(Json(id))
    };
    Ok(Access::new().users(Router::new().route("/orders/{item}", post(place))))
}

async fn running() -> TestBrick {
    let price = async |Path(item): Path<String>| Json(item.len() as u32 * 10);
    let product = Router::new().route("/price/{item}", get(price));
    TestBrick::builder("order")
        .needs("product", product)
        .start(order)
        .await
}

#[tokio::test]
async fn one_request_gives_one_trace_with_its_calls_its_sql_and_its_log_lines() {
    let brick = running().await;
    let answer = brick.post("/orders/lamp").as_user("ann").send().await.expect(200);
    assert_eq!(answer.json::<i64>(), 1);
    let server = brick.span("POST /orders/{item}").await;
    let all = brick.spans();
    let in_trace = |wanted: &dyn Fn(&SpanRecord) -> bool| {
        let mut found = all
            .iter()
            .filter(|span| span.context.trace_id == server.context.trace_id);
        found.find(|span| wanted(span)).cloned()
    };
    let sql = in_trace(&|span| span.name == "INSERT placed").expect("a span of the statement");
    assert_eq!(sql.parent, Some(server.context.span_id));
    assert!(in_trace(&|span| span.kind == Kind::Client && span.name == "GET").is_some());
    let line = brick
        .logs()
        .into_iter()
        .find(|line| line["msg"] == "order placed")
        .unwrap();
    assert_eq!(line["trace_id"], server.context.trace_id.to_string());
    assert_eq!(brick.metric("shop_orders_placed_total"), Some(1.0));
    assert_eq!(brick.metric("brick_state_writes_total"), Some(1.0));
    brick.stop().await;
}

#[tokio::test]
async fn every_bad_token_is_refused_for_its_own_reason() {
    let brick = running().await;
    let issuer = brick.issuer().clone();
    for (token, expect) in [
        (issuer.expired("ann"), "token_expired"),
        (issuer.for_other_audience("ann"), "token_audience"),
        (issuer.none("ann"), "token_algorithm"),
        (issuer.foreign_key("ann"), "token_signature"),
    ] {
        let answer = brick.post("/orders/lamp").bearer(&token).send().await.expect(401);
        assert_eq!(answer.problem().code, expect);
    }
    brick
        .post("/orders/lamp")
        .as_brick("storefront")
        .send()
        .await
        .expect(401);
}

#[tokio::test]
async fn a_live_change_counts_at_once_and_a_refused_one_never() {
    let mut brick = running().await;
    brick.post("/orders/lamp").as_user("ann").send().await.expect(200);
    brick.change_config(json!({ "max_price": 5 }));
    let refused = brick.eventually_refused("/orders/lamp").await;
    assert_eq!(refused.code, "too_dear");
    brick.change_config(json!({ "max_price": 0 }));
    brick.publish("config/another", json!({}));
    brick
        .eventually("a line about the refusal", || {
            brick
                .logs()
                .into_iter()
                .find(|line| line.to_string().contains("expected at least 1"))
        })
        .await;
    brick.post("/orders/lamp").as_user("ann").send().await.expect(422);
}

impl TestBrick {
    async fn eventually_refused(&self, path: &str) -> Problem {
        loop {
            let answer = self.post(path).as_user("ann").send().await;
            if answer.status.is_client_error() {
                return answer.problem();
            }
        }
    }
}

#[tokio::test]
async fn a_needed_brick_that_is_down_is_an_answer_with_a_code_and_the_brick_stays_ready() {
    let mut brick = running().await;
    brick.take_down("product");
    let answer = brick.post("/orders/lamp").as_user("ann").send().await;
    assert!(answer.status.is_server_error(), "{}", answer.text());
    assert!(answer.problem().trace_id.is_some());
    brick.get("/health/ready").send().await.expect(200);
}

#[tokio::test]
async fn a_user_signed_in_by_token_exchange_is_believed_and_a_session_remembers() {
    let app = async |brick: Brick| {
        let db = brick.state(&[]).await?;
        let sessions = brick.sessions(&db, Duration::from_secs(60)).await?;
        let kept = sessions.clone();
        let sign_in = async move |Path(user): Path<String>| {
            let token = brick.issue_user_token(&user, &["customer"]).await?;
            let session = kept.create(&token.token).await?;
            Ok::<_, Problem>(Json((token.token, session.as_str().to_owned())))
        };
        let token_of = async move |Path(id): Path<String>| {
            let id: SessionId = id
                .parse()
                .map_err(|_| Problem::not_found("no_session", "no such session"))?;
            let token: Option<String> = sessions.load(&id).await?;
            Ok::<_, Problem>(Json(token))
        };
        let open = Router::new()
            .route("/sign-in/{user}", post(sign_in))
            .route("/sessions/{id}", get(token_of));
        let me = async |caller: Caller| Json(caller.user().map(|user| user.sub.clone()));
        Ok::<_, Error>(
            Access::new()
                .public(open)
                .users(Router::new().route("/me", get(me))),
        )
    };
    let brick = TestBrick::builder("storefront").start(app).await;
    let (token, session): (String, String) = brick.post("/sign-in/ann").send().await.expect(200).json();
    let me = brick.get("/me").bearer(&token).send().await.expect(200);
    assert_eq!(me.json::<Option<String>>().as_deref(), Some("ann"));
    let found = brick
        .get(&format!("/sessions/{session}"))
        .send()
        .await
        .expect(200);
    assert_eq!(found.json::<Option<String>>(), Some(token));
}

#[tokio::test]
async fn a_stopped_brick_finishes_what_it_began() {
    let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, awaited) = (Arc::clone(&begun), Arc::clone(&finish));
    let app = async move |_: Brick| {
        let slow = async move || {
            told.notify_one();
            awaited.notified().await;
            "done"
        };
        Ok::<_, Error>(Access::new().public(Router::new().route("/slow", get(slow))))
    };
    let brick = TestBrick::builder("slow").start(app).await;
    let request = tokio::spawn(brick.get("/slow").send());
    begun.notified().await;
    brick.brick().stop();
    finish.notify_one();
    assert_eq!(request.await.unwrap().expect(200).text(), "done");
    brick.stop().await;
}

#[tokio::test]
async fn a_brick_alone_serves_its_public_routes_and_says_what_is_missing() {
    let contract = Contract::read(&[], "/usr/bin/hello").unwrap();
    let brick = Brick::from_parts(Parts {
        contract,
        vars: Vec::new(),
        args: Vec::new(),
        watch: None,
        own_token: None,
        log: LogTarget::Memory,
        package_version: String::new(),
        api_version: "v1".to_owned(),
        body_bytes_max: 1024,
    });
    let told = brick.state(SCHEMA).await.unwrap_err().to_string();
    assert!(told.contains("DATABASE_URL=sqlite:hello.db"), "{told}");
    let told = brick.issue_user_token("ann", &[]).await.unwrap_err().to_string();
    assert!(told.contains("runs alone"), "{told}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let hello = Router::new().route("/hello", get(async || "hello"));
    let secret = Router::new().route("/secret", get(async || "secret"));
    let serving = tokio::spawn(
        brick
            .clone()
            .serve_on(listener, Access::new().public(hello).users(secret)),
    );
    let client = brick_wire::Client::new();
    let status = async |path: &str| {
        let answer = client.get(format!("{base}{path}")).bearer("a.b.c").send().await;
        answer.unwrap().status.as_u16()
    };
    assert_eq!((status("/hello").await, status("/secret").await), (200, 503));
    brick.stop();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_failing_statement_is_told_to_the_log_and_not_to_the_caller() {
    let app = async |brick: Brick| {
        let db = brick.state(SCHEMA).await?;
        let broken = async move || {
            let done = db.write(|tx| tx.execute("drop table missing", &[])).await;
            Ok::<_, Problem>(Json(done?))
        };
        Ok::<_, Error>(Access::new().public(Router::new().route("/broken", get(broken))))
    };
    let brick = TestBrick::builder("order").start(app).await;
    brick.get("/health/ready").send().await.expect(200);
    let problem = brick.get("/broken").send().await.expect(500).problem();
    assert_eq!(problem.code, "internal");
    assert!(!problem.detail.contains("missing"));
    let line = brick
        .logs()
        .into_iter()
        .find(|line| line.to_string().contains("no such table"));
    assert_eq!(line.expect("a line about it")["level"], "error");
}

/// Keeps its limit in its own database.
async fn configured(brick: Brick) -> Result<Access, Error> {
    let config = brick.config::<Settings>()?;
    let db = brick.state(SCHEMA).await?;
    brick.config_table(&db).await?;
    let set = async move |Path(price): Path<String>| {
        let sql = "insert into brick_config (key, value) values ('max_price', $1)
                   on conflict (key) do update set value = excluded.value";
        db.write(move |tx| tx.execute(sql, &[price.into()])).await?;
        Ok::<_, Problem>(())
    };
    let read = async move || Json(config.get().max_price);
    let router = Router::new()
        .route("/limit/{price}", post(set))
        .route("/limit", get(read));
    Ok(Access::new().users(router))
}

#[tokio::test]
async fn a_row_of_the_bricks_own_table_counts_while_it_runs() {
    let brick = TestBrick::builder("order").start(configured).await;
    let limit = async || {
        brick
            .get("/limit")
            .as_user("ann")
            .send()
            .await
            .expect(200)
            .json::<u32>()
    };
    assert_eq!(limit().await, 100);
    brick.post("/limit/7").as_user("ann").send().await.expect(200);
    let counts = async {
        while limit().await != 7 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), counts)
        .await
        .unwrap();
}
