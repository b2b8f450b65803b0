//! `brick check`: the manifest, offline.

use std::path::Path;

use brick_core::ExitCode;
use brick_model::{Loaded, Model};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone, count, line};

pub(crate) fn run(dir: &Path, output: Output) -> Outcome {
    let loaded = load(dir, output).inspect_err(|failure| {
        if let Some(findings) = failure.findings.as_ref().filter(|_| output.format.is_data()) {
            line(&json!({ "valid": false, "errors": findings }).to_string());
        }
    })?;
    let (bricks, routes) = (loaded.model.bricks.len(), loaded.model.routes.len());
    let answer =
        json!({ "valid": true, "system": loaded.model.system.name, "bricks": bricks, "routes": routes });
    output.value(&answer, || {
        let good = output.out(Tone::Good, "valid");
        format!(
            "{good}: {} with {} and {}",
            loaded.model.system.name,
            count(bricks, "brick"),
            count(routes, "route")
        )
    });
    Ok(())
}

/// Reads the manifest of a folder. What is wrong is shown (all of it at once), exit code 3; in JSON it is part of
/// the error.
pub(crate) fn load(dir: &Path, output: Output) -> Outcome<Loaded> {
    let path = dir.join("brick.toml");
    if !path.exists() {
        let message = format!("there is no {}", path.display());
        return Err(Failure::new(ExitCode::Invalid, message)
            .hint("name the folder of a system, one with a brick.toml"));
    }
    Model::load(&path).map_err(|invalid| {
        let errors = invalid.errors().len();
        if !output.format.is_data() {
            eprintln!("{}", invalid.render(output.color_err).trim_end());
        }
        let message = format!("{} has {}", path.display(), count(errors, "error"));
        Failure {
            findings: Some(Box::new(json!(invalid.errors()))),
            ..Failure::new(ExitCode::Invalid, message).hint("`brick schema` prints what a manifest may hold")
        }
    })
}
