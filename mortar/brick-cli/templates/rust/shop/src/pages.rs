//! The brick pages: what a browser sees.

use brickwork::axum::response::Html;
use brickwork::axum::{Router, routing::get};
use brickwork::{Access, Brick};

const PAGE: &str = include_str!("page.html");

pub(crate) async fn app(_: Brick) -> Result<Access, brickwork::Error> {
    Ok(Access::new().public(Router::new().route("/", get(async || Html(PAGE)))))
}

#[cfg(test)]
mod tests {
    use brick_test::TestBrick;

    use super::*;

    #[tokio::test]
    async fn the_page_is_served() {
        let brick = TestBrick::builder("pages").start(app).await;
        let page = brick.get("/").send().await.expect(200);
        assert!(page.text().contains("/api/products"));
    }
}
