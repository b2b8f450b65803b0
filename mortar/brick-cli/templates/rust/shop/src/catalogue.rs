//! The brick catalogue: what can be bought.

use brickwork::axum::{Router, routing::get};
use brickwork::{Access, Brick, Json, Path, Problem};
use serde::{Deserialize, Serialize};

/// Something to buy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) price_cents: i64,
}

#[derive(Serialize, Deserialize)]
struct Page {
    items: Vec<Product>,
}

pub(crate) async fn app(_: Brick) -> Result<Access, brickwork::Error> {
    let routes = Router::new()
        .route("/api/products", get(list))
        .route("/api/products/{id}", get(read));
    Ok(Access::new().public(routes))
}

fn products() -> Vec<Product> {
    let all = [("kiln", "Kiln", 89_900), ("trowel", "Trowel", 1_950), ("lamp", "Lamp", 3_900)];
    let product = |(id, name, price_cents): (&str, &str, i64)| Product {
        id: id.to_owned(),
        name: name.to_owned(),
        price_cents,
    };
    all.map(product).into()
}

async fn list() -> Json<Page> {
    Json(Page { items: products() })
}

async fn read(Path(id): Path<String>) -> Result<Json<Product>, Problem> {
    let found = products().into_iter().find(|product| product.id == id);
    let missing = || Problem::not_found("unknown_product", format!("there is no product \"{id}\""));
    found.map(Json).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use brick_test::TestBrick;

    use super::*;

    #[tokio::test]
    async fn products_are_listed_and_read() {
        let brick = TestBrick::builder("catalogue").start(app).await;
        let page: Page = brick.get("/api/products").send().await.expect(200).json();
        assert_eq!(page.items.len(), 3);
        let lamp: Product = brick.get("/api/products/lamp").send().await.expect(200).json();
        assert_eq!(lamp.price_cents, 3_900);
        brick.get("/api/products/none").send().await.expect(404);
    }
}
