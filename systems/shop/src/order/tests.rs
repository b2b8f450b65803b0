use std::time::Duration;

use brick_test::{Builder, TestAnswer, TestBrick};
use brickwork::serde_json::{Value, json};

use super::store::{Begin, Lease};
use super::*;
use crate::tests::Calls;

type Answer = fn(&str, &str) -> (u16, Value);

const PLACING: [&str; 4] = [
    "customer GET /api/customers/ann",
    "product POST /reservations",
    "payment POST /payments key={id}",
    "shipping POST /shipments",
];

fn refusal(status: u16, code: &str) -> (u16, Value) {
    (
        status,
        json!({ "title": "No", "status": status, "code": code, "detail": "because" }),
    )
}

fn customer(_: &str, _: &str) -> (u16, Value) {
    (
        200,
        json!({ "id": "ann", "name": "Ann", "address": "1 Kiln Lane" }),
    )
}

fn product(method: &str, _: &str) -> (u16, Value) {
    let line = json!({ "product_id": "p1", "name": "Lamp", "price_cents": 3_900, "quantity": 2 });
    if method == "DELETE" {
        (204, Value::Null)
    } else {
        (201, json!({ "lines": [line], "total_cents": 7_800 }))
    }
}

fn payment(method: &str, _: &str) -> (u16, Value) {
    if method == "DELETE" {
        (204, Value::Null)
    } else {
        (201, json!({ "id": "pay", "status": "authorised" }))
    }
}

fn shipping(method: &str, _: &str) -> (u16, Value) {
    match method {
        "POST" => (202, json!({ "ticket": "t1", "status": "accepted" })),
        "DELETE" => (204, Value::Null),
        _ => (200, json!({ "ticket": "t1", "status": "packed" })),
    }
}

fn declines(method: &str, path: &str) -> (u16, Value) {
    if method == "POST" {
        refusal(402, "declined")
    } else {
        payment(method, path)
    }
}

/// The order brick among bricks that answer so.
fn shop(calls: &Calls, payment: Answer, shipping: Answer) -> Builder {
    TestBrick::builder("order")
        .needs("customer", calls.mock("customer", customer))
        .needs("product", calls.mock("product", product))
        .needs("payment", calls.mock("payment", payment))
        .needs("shipping", calls.mock("shipping", shipping))
}

async fn order(brick: &TestBrick, key: &str, quantity: i64) -> TestAnswer {
    let wish = json!({ "lines": [{ "product_id": "p1", "quantity": quantity }] });
    brick
        .post("/api/orders")
        .as_user("ann")
        .header("idempotency-key", key)
        .json(&wish)
        .send()
        .await
}

async fn orders(brick: &TestBrick) -> Vec<Order> {
    brick
        .get("/api/orders")
        .as_user("ann")
        .send()
        .await
        .expect(200)
        .json::<Page>()
        .items
}

#[tokio::test]
async fn an_order_asks_customer_product_payment_and_shipping() {
    let calls = Calls::default();
    let brick = shop(&calls, payment, shipping).start(app).await;
    let answer = order(&brick, "k1", 2).await.expect(201);
    let placed: Order = answer.json();
    assert_eq!(calls.all(), PLACING);
    assert_eq!(
        (
            placed.status.as_str(),
            placed.total_cents,
            placed.ticket.as_deref()
        ),
        ("placed", 7_800, Some("t1"))
    );
    assert_eq!(placed.lines[0].name, "Lamp");
    let read: Order = brick
        .get(answer.header("location"))
        .as_user("ann")
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(
        read,
        Order {
            shipment: Some("packed".to_owned()),
            ..placed.clone()
        }
    );
    assert_eq!(orders(&brick).await, [placed]);
    assert_eq!(brick.metric("shop_orders_placed_total"), Some(1.0));
    assert_eq!(brick.metric("shop_revenue_cents_total"), Some(7_800.0));
}

#[tokio::test]
async fn a_declined_payment_undoes_the_order_without_asking_for_shipment() {
    let calls = Calls::default();
    let brick = shop(&calls, declines, shipping).start(app).await;
    assert_eq!(
        order(&brick, "k1", 2).await.expect(402).problem().code,
        "declined"
    );
    for call in [
        "payment DELETE /payments/{id}",
        "product DELETE /reservations/{id}",
    ] {
        assert!(calls.has(call), "{call} in {:?}", calls.all());
    }
    assert!(
        !calls.all().iter().any(|call| call.starts_with("shipping")),
        "{:?}",
        calls.all()
    );
    let refused = &orders(&brick).await[0];
    assert_eq!(
        (refused.status.as_str(), refused.reason.as_deref()),
        ("refused", Some("declined"))
    );
    assert_eq!(
        brick.metric("shop_orders_refused_total{reason=\"declined\"}"),
        Some(1.0)
    );
}

#[tokio::test]
async fn an_order_is_undone_when_shipping_is_dead_and_its_key_may_try_again() {
    let calls = Calls::default();
    let mut brick = shop(&calls, payment, shipping).start(app).await;
    let alive = brick
        .brick()
        .watch()
        .get("endpoints/shipping")
        .expect("an endpoint")
        .value
        .clone();
    brick.take_down("shipping");
    assert_eq!(
        order(&brick, "k1", 2).await.expect(503).problem().code,
        "callee_no_instance"
    );
    assert!(calls.has("payment DELETE /payments/{id}") && calls.has("product DELETE /reservations/{id}"));
    assert_eq!(orders(&brick).await[0].status, "refused");
    brick.publish("endpoints/shipping", alive);
    assert_eq!(
        order(&brick, "k1", 2).await.expect(201).json::<Order>().status,
        "placed"
    );
}

#[tokio::test]
async fn an_order_whose_shipment_fails_is_cancelled_there_too() {
    let calls = Calls::default();
    let fails: Answer = |method, path| {
        if method == "POST" {
            refusal(500, "internal")
        } else {
            shipping(method, path)
        }
    };
    let brick = shop(&calls, payment, fails).start(app).await;
    order(&brick, "k1", 2).await.expect(502);
    assert!(
        calls.has("shipping DELETE /shipments/of/{id}"),
        "{:?}",
        calls.all()
    );
    assert_eq!(orders(&brick).await[0].status, "refused");
}

#[tokio::test]
async fn the_same_key_never_places_two_orders() {
    let calls = Calls::default();
    let brick = shop(&calls, payment, shipping).start(app).await;
    let first: Order = order(&brick, "k1", 2).await.expect(201).json();
    let again: Order = order(&brick, "k1", 2).await.expect(201).json();
    assert_eq!(first, again);
    assert_eq!(calls.all(), PLACING);
    assert_eq!(
        order(&brick, "k1", 3).await.expect(422).problem().code,
        "key_reused"
    );
    assert_ne!(
        order(&brick, "k2", 2).await.expect(201).json::<Order>().id,
        first.id
    );
}

#[tokio::test]
async fn an_order_is_its_customers_alone() {
    let calls = Calls::default();
    let brick = shop(&calls, payment, shipping).start(app).await;
    let placed: Order = order(&brick, "k1", 2).await.expect(201).json();
    let path = format!("/api/orders/{}", placed.id);
    assert_eq!(
        brick
            .get(&path)
            .as_user("eve")
            .send()
            .await
            .expect(404)
            .problem()
            .code,
        "unknown_order"
    );
    assert!(
        brick
            .get("/api/orders")
            .as_user("eve")
            .send()
            .await
            .json::<Page>()
            .items
            .is_empty()
    );
    brick.get(&path).as_brick("storefront").send().await.expect(401);
}

#[tokio::test]
async fn an_order_that_cannot_be_is_refused_before_anybody_is_asked() {
    let calls = Calls::default();
    let brick = shop(&calls, payment, shipping)
        .env("MAX_LINES", "1")
        .start(app)
        .await;
    let line = json!({ "product_id": "p1", "quantity": 1 });
    for lines in [
        json!([]),
        json!([line, line]),
        json!([{ "product_id": "p1", "quantity": 0 }]),
    ] {
        let wish = json!({ "lines": lines });
        brick
            .post("/api/orders")
            .as_user("ann")
            .json(&wish)
            .send()
            .await
            .expect(422);
    }
    assert!(calls.all().is_empty());
}

/// Leaves one order behind: everything was done, nothing could be undone.
async fn leave_behind(calls: &Calls) -> (TestBrick, String) {
    let dies: Answer = |_, _| refusal(500, "internal");
    let first = shop(calls, payment, dies).start(app).await;
    order(&first, "k1", 2).await.expect(502);
    assert_eq!(orders(&first).await[0].status, "placing");
    assert_eq!(
        order(&first, "k1", 2).await.expect(409).problem().code,
        "in_progress"
    );
    let database = format!("sqlite:{}/order.db", first.folder().display());
    (first, database)
}

#[tokio::test]
async fn an_order_left_behind_is_undone_by_another_instance() {
    let (_first, database) = leave_behind(&Calls::default()).await;
    let calls = Calls::default();
    let second = shop(&calls, payment, shipping)
        .env("DATABASE_URL", &database)
        .env("ABANDONED_AFTER_S", "0");
    let second = second.start(app).await;
    let sample = "shop_orders_refused_total{reason=\"abandoned\"}";
    second
        .eventually("an order undone", || {
            second.metric(sample).filter(|undone| *undone == 1.0)
        })
        .await;
    let undone = [
        "shipping DELETE /shipments/of/{id}",
        "payment DELETE /payments/{id}",
        "product DELETE /reservations/{id}",
    ];
    assert!(undone.iter().all(|call| calls.has(call)), "{:?}", calls.all());
    assert_eq!(orders(&second).await[0].reason.as_deref(), Some("abandoned"));
}

#[tokio::test]
async fn orders_are_kept_in_postgresql_as_in_a_file_and_two_instances_share_them() {
    let database = private_postgres::database();
    let calls = Calls::default();
    let start = || {
        shop(&calls, payment, shipping)
            .env("DATABASE_URL", &database)
            .start(app)
    };
    let (first, second) = (start().await, start().await);
    let (one, again) = tokio::join!(order(&first, "k1", 2), order(&second, "k1", 2));
    let (one, again): (Order, Order) = (one.expect(201).json(), again.expect(201).json());
    assert_eq!(one.id, again.id, "one key, one order");
    let (of_first, of_second) = (orders(&first).await, orders(&second).await);
    assert_eq!((of_first.len(), of_second.len()), (1, 1), "one key, one order");
    assert_eq!(of_first[0].status, "placed");
    drop((first, second));
    assert_eq!(orders(&start().await).await[0].id, of_second[0].id);
}

#[tokio::test]
async fn an_order_left_behind_whose_parcel_has_left_is_placed() {
    let (_first, database) = leave_behind(&Calls::default()).await;
    let has_left: Answer = |method, path| {
        if method == "DELETE" {
            refusal(409, "sent")
        } else {
            shipping(method, path)
        }
    };
    let calls = Calls::default();
    let second = shop(&calls, payment, has_left)
        .env("DATABASE_URL", &database)
        .env("ABANDONED_AFTER_S", "0");
    let second = second.start(app).await;
    second
        .eventually("an order placed", || {
            second.metric("shop_orders_placed_total").filter(|n| *n == 1.0)
        })
        .await;
    let placed = &orders(&second).await[0];
    assert_eq!(
        (
            placed.status.as_str(),
            placed.total_cents,
            placed.ticket.as_deref()
        ),
        ("placed", 7_800, Some("t1"))
    );
    assert!(!calls.has("payment DELETE /payments/{id}"), "{:?}", calls.all());
}

/// Begins an order of Ann's under key `k1`, as another instance would that then dies.
async fn begun_by_another(brick: &TestBrick, lasts: Duration) -> Store {
    let store = Store::open(brick.brick()).await.unwrap();
    let line = NewLine {
        product_id: "p1".to_owned(),
        quantity: 2,
    };
    let wish = NewOrder { lines: vec![line] };
    let begun = store.begin(
        "ann".to_owned(),
        Some("k1".to_owned()),
        wish,
        held_for(lasts),
        None,
    );
    assert!(matches!(begun.await.unwrap(), Begin::New(_)));
    store
}

fn held_for(lasts: Duration) -> Lease {
    let holder = "another".to_owned();
    Lease { holder, lasts }
}

const FOR_EVER: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn an_order_begun_by_an_instance_that_is_gone_is_placed_by_the_next_under_the_same_key() {
    let calls = Calls::default();
    let mut brick = shop(&calls, payment, shipping).start(app).await;
    begun_by_another(&brick, FOR_EVER).await;
    let begun = orders(&brick).await[0].id.clone();
    // The bus tells of this instance, and not of the other.
    let own = json!({ "slot": 1, "incarnation": brick.brick().contract().incarnation, "version": "v1", "zone": "a",
        "addr": brick.addr() });
    brick.publish("endpoints/order", json!({ "instances": [own] }));
    let placed: Order = order(&brick, "k1", 2).await.expect(201).json();
    assert_eq!((placed.status.as_str(), placed.id), ("placed", begun));
    assert_eq!(calls.all(), PLACING);
    assert_eq!(brick.metric("shop_orders_taken_over_total"), Some(1.0));
    assert_eq!(orders(&brick).await.len(), 1);
}

#[tokio::test]
async fn an_order_whose_lease_ran_out_is_taken_over_and_a_refusal_then_cancels_the_shipment_too() {
    let calls = Calls::default();
    let brick = shop(&calls, declines, shipping).start(app).await;
    begun_by_another(&brick, Duration::ZERO).await;
    assert_eq!(
        order(&brick, "k1", 2).await.expect(402).problem().code,
        "declined"
    );
    let undone = "shipping DELETE /shipments/of/{id}";
    assert!(
        calls.has(undone),
        "whoever had it may have asked: {:?}",
        calls.all()
    );
}

#[tokio::test]
async fn an_order_claimed_for_undoing_cannot_be_placed_and_ends_once() {
    let calls = Calls::default();
    let brick = shop(&calls, payment, shipping).start(app).await;
    let store = begun_by_another(&brick, FOR_EVER).await;
    let order = orders(&brick).await.remove(0);
    let id = order.id.clone();
    let other = Lease {
        holder: "a third".to_owned(),
        lasts: FOR_EVER,
    };
    assert!(
        store.claim(id.clone(), other).await.unwrap().is_none(),
        "it is held"
    );
    let claim = store.claim(id, held_for(FOR_EVER)).await.unwrap();
    assert!(claim.is_some_and(|claim| !claim.had_others));
    let placed = Order {
        status: "placed".to_owned(),
        ..order.clone()
    };
    assert!(!store.finish(placed.clone(), false).await.unwrap());
    let refused = Order {
        status: "refused".to_owned(),
        ..order
    };
    assert!(store.finish(refused, true).await.unwrap());
    assert!(!store.finish(placed, true).await.unwrap());
}

#[tokio::test]
async fn an_order_left_undone_is_undone_and_placed_anew_by_who_asks_again() {
    let (_first, database) = leave_behind(&Calls::default()).await;
    let calls = Calls::default();
    let second = shop(&calls, payment, shipping).env("DATABASE_URL", &database);
    let second = second.start(app).await;
    let left = orders(&second).await[0].id.clone();
    let placed: Order = order(&second, "k1", 2).await.expect(201).json();
    assert_ne!(placed.id, left);
    let statuses: Vec<String> = orders(&second)
        .await
        .into_iter()
        .map(|order| order.status)
        .collect();
    assert_eq!(statuses, ["placed", "refused"]);
}
