//! The shop: the reference system of request-based bricks, one multi-call binary.
//!
//! `shop order` is the brick *order*, `shop product` the brick *product*, and so on; what each one owns and offers is
//! told at the top of its module. `--version v2` starts the second version of one that has two. Bricks share no data and no types: what they say to each other is JSON over HTTP.

mod customer;
mod money;
mod order;
mod payment;
mod product;
mod shipping;
mod storefront;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use brickwork::{Access, Brick, CallError, Error, Problem};

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["customer"] => run(customer::app).await,
        ["order"] => run(order::app).await,
        ["payment"] => run(payment::app).await,
        ["payment", "--version", "v2"] => run(payment::app_v2).await,
        ["product"] => run(product::app).await,
        ["shipping"] => run(shipping::app).await,
        ["storefront"] => run(storefront::app).await,
        _ => {
            eprintln!("usage: shop customer|order|payment [--version v2]|product|shipping|storefront");
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

/// Runs one brick until it is asked to stop; `app` opens what it owns and declares its routes.
async fn run<F: Future<Output = Result<Access, Error>>>(app: impl FnOnce(Brick) -> F) -> Result<(), Error> {
    let brick = Brick::builder()
        .package_version(env!("CARGO_PKG_VERSION"))
        .from_env()
        .await?;
    let access = app(brick.clone()).await?;
    brick.serve(access).await
}

/// What another brick refused for a reason that its caller's caller understands is passed on as it was said; what went
/// wrong between two bricks becomes 502, 503 or 504.
fn passed_on(error: CallError) -> Problem {
    match error.problem() {
        Some(told) if matches!(told.status, 402 | 404 | 409 | 422) => told.clone(),
        _ => error.into(),
    }
}
