//! Masks words that nobody wants to read: the filter of stage 3, in Rust on the SDK.
//!
//! What the Python one does by hand is there already: health, metrics, spans and log lines with the trace, typed
//! configuration, and who may call (bricks that need it, and nobody else).

use brickwork::axum::Router;
use brickwork::axum::routing::get;
use brickwork::{Access, Brick, Config, Error, Json, Query};
use serde::{Deserialize, Serialize};

/// `[config.filter]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Words to mask, in lower case.
    rude: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Text {
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let brick = Brick::from_env().await?;
    let access = app(brick.clone()).await?;
    brick.serve(access).await
}

async fn app(brick: Brick) -> Result<Access, Error> {
    let settings: Config<Settings> = brick.config()?;
    let words = brick.metrics().counter("filter_words_total", "Words masked");
    let mask = get(async move |Query(asked): Query<Text>| {
        let (text, masked) = mask(&asked.text, &settings.get().rude);
        words.add(masked);
        brickwork::tracing::info!(masked, "looked through a text");
        Json(Text { text })
    });
    Ok(Access::new().bricks(Router::new().route("/mask", mask)))
}

/// The text with rude words as stars, and how many there were.
fn mask(text: &str, rude: &[String]) -> (String, u64) {
    let mut count = 0;
    let pieces = text.split_inclusive(|c: char| !c.is_alphanumeric()).map(|piece| {
        let word = piece.trim_end_matches(|c: char| !c.is_alphanumeric());
        if !rude.contains(&word.to_lowercase()) {
            return piece.to_owned();
        }
        count += 1;
        format!("{}{}", "*".repeat(word.chars().count()), &piece[word.len()..])
    });
    (pieces.collect(), count)
}

#[cfg(test)]
mod tests {
    use brick_test::TestBrick;

    use super::*;

    #[test]
    fn rude_words_become_stars_and_the_rest_stays() {
        let rude = ["drat".to_owned()];
        assert_eq!(
            mask("Drat! a dratted drat", &rude),
            ("****! a dratted ****".to_owned(), 2)
        );
        assert_eq!(mask("", &rude), (String::new(), 0));
    }

    #[tokio::test]
    async fn bricks_may_ask_and_nobody_else() {
        let brick = TestBrick::builder("filter")
            .env("RUDE", "[\"drat\"]")
            .start(app)
            .await;
        let answer = brick.get("/mask?text=drat%20it").as_brick("wall").send().await;
        assert_eq!(answer.json::<Text>().text, "**** it");
        assert_eq!(brick.metric("filter_words_total"), Some(1.0));
        assert_eq!(brick.get("/mask?text=x").send().await.status.as_u16(), 401);
        brick.stop().await;
    }
}
