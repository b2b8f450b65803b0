//! The test kit: one brick alone in process, everything it needs mocked.
//!
//! [`TestBrick`] runs a brick as `main` would, on a real socket with a database of its own, but without agent and
//! control: the bricks it needs are axum routers, tokens come from a [`TestIssuer`], spans and log lines are kept for
//! the test to look at. Nothing is shared between two tests, and nothing waits for the clock.
//!
//! Write `#[tokio::test]` without `flavor = "multi_thread"`: spans and log lines are caught on the test's own thread.
//!
//! ```
//! use brick_test::TestBrick;
//! use brickwork::axum::{Json, Router, routing::get};
//! use brickwork::{Access, Brick, Error, Problem};
//!
//! async fn app(brick: Brick) -> Result<Access, Error> {
//!     let price = async move || {
//!         let price: u32 = brick.client("product").get("/price").fetch().await?;
//!         Ok::<_, Problem>(Json(price * 2))
//!     };
//!     Ok(Access::new().users(Router::new().route("/double", get(price))))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let product = Router::new().route("/price", get(async || Json(21)));
//! let brick = TestBrick::builder("order").needs("product", product).start(app).await;
//! let answer = brick.get("/double").as_user("ann").send().await;
//! assert_eq!((answer.status.as_u16(), answer.json::<u32>()), (200, 42));
//! assert_eq!(brick.get("/double").send().await.problem().code, "token_missing");
//! brick.stop().await;
//! # }
//! ```

mod answer;
mod issuer;
mod mocks;
mod request;
mod test_brick;

pub use answer::TestAnswer;
pub use issuer::TestIssuer;
pub use request::TestRequest;
pub use test_brick::{Builder, TestBrick};
