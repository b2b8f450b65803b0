//! {{name}}: work that happens later. One program, two bricks: `{{name}} orders`, `{{name}} mailer`.

mod mailer;
mod orders;

use std::process::ExitCode;

use brickwork::{Access, Brick};

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("orders") => run(orders::app).await,
        Some("mailer") => run(mailer::app).await,
        _ => {
            eprintln!("usage: {{name}} orders|mailer");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", brickwork::core::chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run<F>(app: impl FnOnce(Brick) -> F) -> Result<(), brickwork::Error>
where
    F: Future<Output = Result<Access, brickwork::Error>>,
{
    let brick = Brick::from_env().await?;
    let access = app(brick.clone()).await?;
    brick.serve(access).await
}
