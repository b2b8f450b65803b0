use brick_test::{TestAnswer, TestBrick};
use brickwork::serde_json::json;

use super::*;

async fn start() -> TestBrick {
    TestBrick::builder("payment")
        .env("DECLINE_ABOVE_CENTS", "1000")
        .start(app)
        .await
}

async fn pay(brick: &TestBrick, key: &str, cents: i64) -> TestAnswer {
    let charge = json!({ "order_id": key, "customer_id": "ann", "amount_cents": cents });
    let call = brick
        .post("/payments")
        .as_brick("order")
        .header("idempotency-key", key);
    call.json(&charge).send().await
}

#[tokio::test]
async fn a_payment_is_authorised_up_to_the_limit_and_declined_above() {
    let brick = start().await;
    let paid: Payment = pay(&brick, "a", 1_000).await.expect(201).json();
    assert_eq!((paid.status.as_str(), paid.amount_cents), ("authorised", 1_000));
    assert_eq!(
        pay(&brick, "b", 1_001).await.expect(402).problem().code,
        "declined"
    );
    assert_eq!(
        pay(&brick, "c", 0).await.expect(422).problem().code,
        "invalid_amount"
    );
    let read: Payment = brick
        .get("/payments/a")
        .as_brick("order")
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(read, paid);
    brick
        .get("/payments/c")
        .as_brick("order")
        .send()
        .await
        .expect(404);
}

#[tokio::test]
async fn the_same_key_gets_the_first_decision_again() {
    let mut brick = TestBrick::builder("payment").start(app).await;
    let first: Payment = pay(&brick, "a", 900).await.expect(201).json();
    pay(&brick, "b", 600_000).await.expect(402);
    brick.change_config(json!({ "decline_above_cents": 1_000_000 }));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    for attempt in 0.. {
        if pay(&brick, &format!("c{attempt}"), 600_000).await.status == StatusCode::CREATED {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the live change is not taken over"
        );
    }
    pay(&brick, "b", 600_000).await.expect(402);
    assert_eq!(pay(&brick, "a", 900).await.expect(201).json::<Payment>(), first);
}

#[tokio::test]
async fn a_void_holds_for_payments_before_and_after_it() {
    let brick = start().await;
    pay(&brick, "before", 500).await.expect(201);
    for key in ["before", "late"] {
        brick
            .delete(&format!("/payments/{key}"))
            .as_brick("order")
            .send()
            .await
            .expect(204);
        assert_eq!(pay(&brick, key, 500).await.expect(409).problem().code, "voided");
    }
}

#[tokio::test]
async fn only_bricks_pay_and_only_under_a_key() {
    let brick = start().await;
    let charge = json!({ "order_id": "a", "customer_id": "ann", "amount_cents": 5 });
    brick
        .post("/payments")
        .as_user("ann")
        .json(&charge)
        .send()
        .await
        .expect(401);
    let problem = brick
        .post("/payments")
        .as_brick("order")
        .json(&charge)
        .send()
        .await
        .expect(400)
        .problem();
    assert_eq!(problem.code, "idempotency_key");
}

#[tokio::test]
async fn version_two_is_slow_and_fails_one_time_in_four_without_charging() {
    let brick = TestBrick::builder("payment").start(app_v2).await;
    for round in 0..2 {
        for n in 1..=4 {
            let key = format!("{round}-{n}");
            let asked = tokio::time::Instant::now();
            let answer = pay(&brick, &key, 500).await;
            assert!(asked.elapsed() >= std::time::Duration::from_millis(400), "{key}");
            let read = brick.get(&format!("/payments/{key}")).as_brick("order");
            if n < 4 {
                answer.expect(201);
                read.send().await.expect(200);
            } else {
                assert_eq!(answer.expect(500).problem().code, "ledger_lock");
                read.send().await.expect(404);
            }
        }
    }
}
