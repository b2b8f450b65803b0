//! Operations of configuration.

use brick_http::openapi::{Document, Operation};

use crate::api::config::{
    ChangeBody, CipherView, ConfigQuery, ConfigView, DiffQuery, DiffView, HistoryView, PlainBody,
    RollbackBody,
};
use crate::api::levels::{LevelBody, LevelQuery, LevelsView};
use crate::config::change::Report;

/// Adds them.
pub(super) fn operations(document: Document) -> Document {
    levels(
        document
            .operation(
                Operation::get("/api/config/v1/{brick}")
                    .summary("What counts for a brick, with the origin of each value")
                    .access("admin")
                    .query::<ConfigQuery>()
                    .answer::<ConfigView>(200, "the values")
                    .problem(403, "secrets were asked for without scope config:secrets")
                    .problem(404, "no such brick"),
            )
            .operation(change(
                Operation::patch("/api/config/v1/{brick}")
                    .summary("Changes live values in two phases: all instances take them, or none")
                    .body::<ChangeBody>(),
            ))
            .operation(change(
                Operation::put("/api/config/v1/{brick}")
                    .summary("The same, in place of all live values that there were")
                    .body::<ChangeBody>(),
            ))
            .operation(change(
                Operation::post("/api/config/v1/{brick}/rollback")
                    .summary("Makes the values what an earlier change left; a change like any other")
                    .body::<RollbackBody>(),
            ))
            .operation(
                Operation::post("/api/config/v1/{brick}/encrypt")
                    .summary("Encrypts a value for one key of the brick; nothing is stored")
                    .access("admin")
                    .body::<PlainBody>()
                    .answer::<CipherView>(200, "the text to write or to set")
                    .problem(404, "no such brick")
                    .problem(422, "control has no master key, or the value is too large"),
            )
            .operation(
                Operation::get("/api/config/v1/{brick}/history")
                    .summary("What was changed, newest first")
                    .access("admin")
                    .answer::<HistoryView>(200, "the last 50 changes")
                    .problem(404, "no such brick"),
            )
            .operation(
                Operation::get("/api/config/v1/{brick}/diff")
                    .summary("What differs between two changes, or from the manifest")
                    .access("admin")
                    .query::<DiffQuery>()
                    .answer::<DiffView>(200, "every key that differs")
                    .problem(404, "no such brick or change"),
            ),
    )
}

fn change(operation: Operation) -> Operation {
    operation
        .access("admin")
        .answer::<Report>(200, "it counts; who has applied it and when")
        .problem(404, "no such brick or change")
        .problem(
            409,
            "an instance refused or said nothing within 2 s: nothing was changed",
        )
        .problem(422, "a key or a value cannot be")
}

fn levels(document: Document) -> Document {
    let path = "/api/config/v1/{brick}/log";
    document
        .operation(
            Operation::get(path)
                .summary("Levels of log lines that are other than the brick was started with")
                .access("admin")
                .answer::<LevelsView>(200, "the levels with their end")
                .problem(404, "no such brick"),
        )
        .operation(
            Operation::put(path)
                .summary("Sets the level of a brick or of one instance, for a while")
                .access("admin")
                .body::<LevelBody>()
                .answer::<LevelsView>(200, "the levels with their end")
                .problem(404, "no such brick or instance")
                .problem(422, "no level"),
        )
        .operation(
            Operation::delete(path)
                .summary("Takes a level back")
                .access("admin")
                .query::<LevelQuery>()
                .answer::<LevelsView>(200, "the levels that are left"),
        )
}
