//! Each brick's OpenAPI document is the one that is checked in; `UPDATE_API=1` rewrites it.

use brick_test::TestBrick;
use brickwork::serde_json::Value;
use brickwork::{Access, Brick, Error};

async fn check<F: Future<Output = Result<Access, Error>>>(name: &str, app: impl FnOnce(Brick) -> F) {
    let brick = TestBrick::builder(name)
        .env("SEED_CUSTOMERS", "0")
        .env("SEED_PRODUCTS", "0")
        .start(app)
        .await;
    let document: Value = brick.get("/openapi.json").send().await.expect(200).json();
    let text = format!("{document:#}\n");
    let path = format!("{}/api/{name}.openapi.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_API").is_some() {
        std::fs::write(&path, &text).expect("a folder that can be written to");
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == text,
        "{path} is not what the brick says; look at the change, then run with UPDATE_API=1"
    );
}

#[tokio::test]
async fn the_documents_are_those_that_are_checked_in() {
    check("customer", crate::customer::app).await;
    check("order", crate::order::app).await;
    check("payment", crate::payment::app).await;
    check("product", crate::product::app).await;
    check("shipping", crate::shipping::app).await;
    check("storefront", crate::storefront::app).await;
}
