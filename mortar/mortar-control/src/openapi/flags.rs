//! Operations of feature flags.

use brick_http::openapi::{Document, Operation};
use serde_json::Value;

use crate::api::flags::{FlagBody, FlagList, FlagSet, FlagView};

/// Adds them.
pub(super) fn operations(document: Document) -> Document {
    const FLAG: &str = "/api/flags/v1/{key}";
    evaluation(
        document
            .operation(
                Operation::get("/api/flags/v1")
                    .summary("Every feature flag with where it comes from")
                    .access("admin")
                    .answer::<FlagList>(200, "by key"),
            )
            .operation(
                Operation::get(FLAG)
                    .summary("A flag: what counts, in flagd's words, and what stands below an override")
                    .access("admin")
                    .answer::<FlagView>(200, "the flag")
                    .problem(404, "nobody says anything of it"),
            )
            .operation(
                Operation::put(FLAG)
                    .summary("Overrides a flag while the system runs; kept until it is removed")
                    .access("admin")
                    .header("If-Match", "tag of the override that it is to replace")
                    .body::<FlagBody>()
                    .answer::<FlagSet>(200, "it counts; who has applied it and when")
                    .problem(404, "nobody says anything of it")
                    .problem(412, "somebody else changed it meanwhile")
                    .problem(422, "it cannot be evaluated"),
            )
            .operation(
                Operation::delete(FLAG)
                    .summary("Takes the override back")
                    .access("admin")
                    .header("If-Match", "tag of the override that it is to take back")
                    .empty(204, "what the manifest or the repository says counts")
                    .problem(404, "nobody says anything of it")
                    .problem(412, "somebody else changed it meanwhile"),
            ),
    )
}

fn evaluation(document: Document) -> Document {
    let ofrep = |path: &str, summary: &str| {
        Operation::post(path)
            .summary(summary)
            .access("admin")
            .body::<Value>()
            .empty(
                400,
                "the question or the flag makes no sense: errorCode, errorDetails",
            )
            .problem(401, "nobody showed who they are")
            .problem(403, "they may not read flags")
    };
    document
        .operation(
            ofrep(
                "/ofrep/v1/evaluate/flags/{key}",
                "OpenFeature Remote Evaluation: a flag for a context, by token or by name and secret of a registered client",
            )
            .answer::<Value>(200, "value, variant and reason")
            .empty(404, "no such flag, or it is disabled"),
        )
        .operation(
            ofrep("/ofrep/v1/evaluate/flags", "The same of all flags that whoever asks may see")
                .answer::<Value>(200, "each with value, variant and reason")
                .empty(304, "nothing changed since the answer with this ETag"),
        )
}
