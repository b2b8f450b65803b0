use brick_test::{TestAnswer, TestBrick};
use brickwork::serde_json::json;

use super::*;

async fn start(step_ms: &str) -> TestBrick {
    TestBrick::builder("shipping")
        .env("STEP_MS", step_ms)
        .start(app)
        .await
}

async fn ask(brick: &TestBrick, order: &str) -> TestAnswer {
    let request = json!({ "order_id": order, "recipient": "Ann", "address": "1 Kiln Lane" });
    brick
        .post("/shipments")
        .as_brick("order")
        .json(&request)
        .send()
        .await
}

async fn cancel_order(brick: &TestBrick, order: &str) -> TestAnswer {
    brick
        .delete(&format!("/shipments/of/{order}"))
        .as_brick("order")
        .send()
        .await
}

#[tokio::test]
async fn a_request_is_accepted_with_a_ticket_that_can_be_asked() {
    let brick = start("60000").await;
    let answer = ask(&brick, "o1").await.expect(202);
    let shipment: Shipment = answer.json();
    assert_eq!(shipment.status, "accepted");
    let place = answer.header("location");
    assert_eq!(place, format!("/shipments/{}", shipment.ticket));
    for path in [place, "/shipments/of/o1"] {
        assert_eq!(
            brick
                .get(path)
                .as_brick("order")
                .send()
                .await
                .expect(200)
                .json::<Shipment>(),
            shipment
        );
    }
    assert_eq!(ask(&brick, "o1").await.expect(202).json::<Shipment>(), shipment);
    brick
        .get("/shipments/none")
        .as_brick("order")
        .send()
        .await
        .expect(404);
    brick.get(place).as_user("ann").send().await.expect(401);
}

#[tokio::test]
async fn a_parcel_is_accepted_then_packed_then_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}/shipping.db", folder.path().display());
    let brick = TestBrick::builder("shipping")
        .env("DATABASE_URL", &url)
        .env("STEP_MS", "60000")
        .start(app)
        .await;
    let ticket = ask(&brick, "o1").await.expect(202).json::<Shipment>().ticket;
    let database = Database::open(brickwork::state::Options::new(url, MIGRATIONS))
        .await
        .expect("the database");
    for (status, sent) in [("packed", 0), ("sent", 1), ("sent", 0)] {
        let done = advance(&database, Duration::ZERO).await.expect("a round");
        let path = format!("/shipments/{ticket}");
        let shipment: Shipment = brick.get(&path).as_brick("order").send().await.expect(200).json();
        assert_eq!(
            (shipment.status.as_str(), done.sent, done.next.is_some()),
            (status, sent, status == "packed")
        );
    }
}

#[tokio::test]
async fn the_warehouse_works_by_itself() {
    let brick = start("1").await;
    ask(&brick, "o1").await.expect(202);
    brick
        .eventually("a parcel that left", || {
            brick.metric("shop_parcels_sent_total").filter(|sent| *sent > 0.0)
        })
        .await;
    assert_eq!(
        cancel_order(&brick, "o1").await.expect(409).problem().code,
        "sent"
    );
}

#[tokio::test]
async fn a_cancelled_shipment_stays_cancelled_even_where_it_was_asked_for_later() {
    let brick = start("60000").await;
    ask(&brick, "o1").await.expect(202);
    for order in ["o1", "late"] {
        cancel_order(&brick, order).await.expect(204);
        cancel_order(&brick, order).await.expect(204);
        assert_eq!(ask(&brick, order).await.expect(409).problem().code, "cancelled");
    }
}
