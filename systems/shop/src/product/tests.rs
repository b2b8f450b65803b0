use brick_test::TestBrick;
use brickwork::serde_json::{Value, json};

use super::*;

async fn start(products: &str) -> TestBrick {
    TestBrick::builder("product")
        .env("SEED_PRODUCTS", products)
        .env("SEED_QUANTITY", "5")
        .start(app)
        .await
}

async fn find(brick: &TestBrick, query: &str) -> Page {
    brick
        .get(&format!("/api/products?{query}"))
        .send()
        .await
        .expect(200)
        .json()
}

async fn create(brick: &TestBrick, name: &str, quantity: i64) -> Product {
    let form = json!({ "name": name, "category": "kitchen", "price_cents": 250, "quantity": quantity });
    brick
        .post("/api/products")
        .as_user_with("root", &["admin"])
        .json(&form)
        .send()
        .await
        .expect(201)
        .json()
}

async fn left(brick: &TestBrick, id: &str) -> i64 {
    brick
        .get(&format!("/api/products/{id}"))
        .send()
        .await
        .expect(200)
        .json::<Product>()
        .quantity
}

fn wish(order: &str, lines: &[(&str, i64)]) -> Value {
    let line = |(id, quantity): &(&str, i64)| json!({ "product_id": id, "quantity": quantity });
    json!({ "order_id": order, "lines": lines.iter().map(line).collect::<Vec<_>>() })
}

async fn reserve(brick: &TestBrick, wish: &Value) -> brick_test::TestAnswer {
    brick
        .post("/reservations")
        .as_brick("order")
        .json(wish)
        .send()
        .await
}

async fn release(brick: &TestBrick, order: &str) {
    brick
        .delete(&format!("/reservations/{order}"))
        .as_brick("order")
        .send()
        .await
        .expect(204);
}

#[tokio::test]
async fn a_search_finds_every_word_and_takes_wildcards_as_they_are() {
    let brick = start("200").await;
    for (query, found) in [
        ("q=lamp&limit=100", 20),
        ("q=LAMP%20moss", 1),
        ("q=moss%20lamp", 1),
        ("q=%25&limit=5", 0),
    ] {
        let page = find(&brick, query).await;
        assert_eq!(page.items.len(), found, "{query}");
    }
    create(&brick, "100% wool_cosy!", 1).await;
    for query in ["q=100%25", "q=wool_", "q=cosy!"] {
        assert_eq!(find(&brick, query).await.items.len(), 1, "{query}");
    }
    assert_eq!(find(&brick, "q=wool%25cosy").await.items.len(), 0);
    let garden = find(&brick, "category=garden&limit=100").await;
    assert!(garden.items.len() == 40 && garden.items.iter().all(|product| product.category == "garden"));
}

#[tokio::test]
async fn pages_show_every_product_once_in_order() {
    let brick = start("200").await;
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("limit=37&cursor={}", brickwork::path_segment(&cursor));
        let page = find(&brick, &query).await;
        names.extend(page.items.into_iter().map(|product| product.name));
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert_eq!(names.len(), 200);
    assert!(names.is_sorted_by(|a, b| a < b));
}

#[tokio::test]
async fn only_admins_write_the_catalogue() {
    let brick = start("0").await;
    let product = create(&brick, "Cup", 5).await;
    let path = format!("/api/products/{}", product.id);
    let form = json!({ "name": "Big cup", "category": "kitchen", "price_cents": 300, "quantity": 6 });
    brick
        .put(&path)
        .as_user("ann")
        .json(&form)
        .send()
        .await
        .expect(403);
    brick.delete(&path).send().await.expect(401);
    let admin = ["admin"];
    let put = brick.put(&path).as_user_with("root", &admin).json(&form);
    assert_eq!(put.send().await.expect(200).json::<Product>().name, "Big cup");
    let bad = json!({ "name": "Cup", "category": "kitchen", "price_cents": 0, "quantity": 6 });
    let put = brick.put(&path).as_user_with("root", &admin).json(&bad);
    assert_eq!(put.send().await.expect(422).problem().code, "invalid_number");
    brick
        .delete(&path)
        .as_user_with("root", &admin)
        .send()
        .await
        .expect(204);
    brick.get(&path).send().await.expect(404);
}

#[tokio::test]
async fn a_reservation_takes_all_lines_or_none() {
    let brick = start("0").await;
    let (cup, pot) = (
        create(&brick, "Cup", 5).await.id,
        create(&brick, "Pot", 1).await.id,
    );
    let refused = reserve(&brick, &wish("o1", &[(&cup, 2), (&pot, 2)]))
        .await
        .expect(409)
        .problem();
    assert_eq!(
        (refused.code.as_str(), refused.detail.as_str()),
        ("out_of_stock", "only 1 of \"Pot\" are left")
    );
    assert_eq!((left(&brick, &cup).await, left(&brick, &pot).await), (5, 1));
    let taken: Reservation = reserve(&brick, &wish("o1", &[(&cup, 2), (&pot, 1)]))
        .await
        .expect(201)
        .json();
    assert_eq!((taken.total_cents, taken.lines.len()), (750, 2));
    assert_eq!((left(&brick, &cup).await, left(&brick, &pot).await), (3, 0));
    let unknown = reserve(&brick, &wish("o2", &[(&cup, 1), ("nothing", 1)]))
        .await
        .expect(404)
        .problem();
    assert_eq!(unknown.code, "unknown_product");
    assert_eq!(left(&brick, &cup).await, 3);
    reserve(&brick, &wish("o3", &[])).await.expect(422);
    reserve(&brick, &wish("o3", &[(&cup, 0)])).await.expect(422);
    brick
        .post("/reservations")
        .as_user("ann")
        .json(&wish("o4", &[(&cup, 1)]))
        .send()
        .await
        .expect(401);
}

#[tokio::test]
async fn the_same_order_reserves_once_and_gives_back_once() {
    let brick = start("0").await;
    let cup = create(&brick, "Cup", 5).await.id;
    let first: Reservation = reserve(&brick, &wish("o1", &[(&cup, 1), (&cup, 1)]))
        .await
        .expect(201)
        .json();
    let again: Reservation = reserve(&brick, &wish("o1", &[(&cup, 1), (&cup, 1)]))
        .await
        .expect(201)
        .json();
    assert_eq!(first, again);
    assert_eq!(left(&brick, &cup).await, 3);
    release(&brick, "o1").await;
    release(&brick, "o1").await;
    assert_eq!(left(&brick, &cup).await, 5);
}

#[tokio::test]
async fn a_reservation_that_arrives_after_its_release_takes_nothing() {
    let brick = start("0").await;
    let cup = create(&brick, "Cup", 5).await.id;
    release(&brick, "late").await;
    assert_eq!(
        reserve(&brick, &wish("late", &[(&cup, 1)]))
            .await
            .expect(409)
            .problem()
            .code,
        "released"
    );
    assert_eq!(left(&brick, &cup).await, 5);
}
