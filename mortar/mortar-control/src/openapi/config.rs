//! Operations of configuration.

use brick_http::openapi::{Document, Operation};

use crate::api::config::{
    ChangeBody, CipherView, ConfigQuery, ConfigView, DiffQuery, DiffView, HistoryView, PlainBody,
    RollbackBody,
};
use crate::api::levels::{LevelBody, LevelQuery, LevelsView};
use crate::api::repository::Push;
use crate::config::change::Report;
use crate::config::repository::Status;
use crate::config::spring::Environment;

/// Adds them.
pub(super) fn operations(document: Document) -> Document {
    spring(levels(
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
    ))
}

fn spring(document: Document) -> Document {
    let under = |path: &str, summary: &str| {
        Operation::get(path)
            .summary(summary)
            .access("admin")
            .problem(401, "nobody showed who they are")
            .problem(403, "they may not read this application")
            .problem(
                503,
                "the repository was not fetched yet, or a file cannot be read",
            )
    };
    repository(document)
        .operation(
            under(
                "/config/{first}/{second}",
                "Spring Cloud Config, by token or by name and secret of a registered client: `APPLICATION/PROFILES`, or `LABEL/APPLICATION-PROFILES.yml`, .json, .properties",
            )
            .answer::<Environment>(200, "the sources, highest first; of the second form the values as one text"),
        )
        .operation(
            under("/config/{application}/{profiles}/{label}", "The same at a branch, tag or revision")
                .answer::<Environment>(200, "the sources, highest first")
                .problem(404, "no such label"),
        )
        .operation(
            under("/config/{file}", "`APPLICATION-PROFILES.yml`, .json, .properties: the values as one text")
                .empty(200, "the text"),
        )
        .operation(
            under("/config/{application}/{profiles}/{label}/{path}", "A file as it is, placeholders opened")
                .empty(200, "the file")
                .problem(404, "no such label or file"),
        )
        .operation(
            Operation::post("/config/encrypt/{application}/{key}")
                .summary("Encrypts the body for one key; the answer has no prefix, as Spring's")
                .access("admin")
                .empty(200, "the text")
                .problem(422, "control has no master key"),
        )
        .operation(
            Operation::post("/config/decrypt/{application}/{key}")
                .summary("What encrypted text stands for; scope config:secrets, or the application itself")
                .access("admin")
                .empty(200, "the text")
                .problem(422, "it does not decrypt"),
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

fn repository(document: Document) -> Document {
    document
        .operation(
            Operation::get("/api/config-repository/v1")
                .summary("How the configuration repository was found last")
                .access("admin")
                .answer::<Status>(200, "revision, what is refused and why")
                .problem(404, "the system has none"),
        )
        .operation(
            Operation::post("/api/config-repository/v1/refresh")
                .summary("Looks now; answers when what was found was made, or was refused")
                .access("admin")
                .answer::<Status>(200, "revision, what is refused and why")
                .problem(404, "the system has none"),
        )
        .operation(
            Operation::post("/config/monitor")
                .summary("Takes a forge's word that somebody pushed: GitHub's and GitLab's payloads, with their secret")
                .access("public")
                .body::<Push>()
                .answer::<Vec<String>>(202, "applications that it is about; * is all")
                .problem(401, "the secret is not known")
                .problem(403, "the manifest has no secret for it"),
        )
}
