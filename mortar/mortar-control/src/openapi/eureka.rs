//! Operations of Eureka's REST API, which clients call with a registered client's name and secret.

use brick_http::openapi::{Document, Operation};
use serde_json::Value;

const ONE: &str = "/eureka/apps/{app}/{id}";
const STATUS: &str = "/eureka/apps/{app}/{id}/status";

/// Adds them.
pub(super) fn operations(document: Document) -> Document {
    let shown = |path: &str, summary: &str| {
        Operation::get(path)
            .summary(&format!(
                "{summary}; as XML unless JSON is accepted; scope registry:read"
            ))
            .access("admin")
            .answer::<Value>(200, "as Eureka shows it")
            .problem(
                401,
                "neither a registered client's name and secret nor a platform token",
            )
    };
    let unknown = "no such instance is registered through this API: the client registers it anew";
    let tell = |operation: Operation, summary: &str| {
        operation
            .summary(&format!("{summary}; scope register:BRICK"))
            .access("admin")
            .empty(200, "it counts")
            .problem(404, unknown)
    };
    document
        .operation(shown("/eureka/apps", "Every application with its instances"))
        .operation(shown(
            "/eureka/apps/delta",
            "What changed in the last three minutes",
        ))
        .operation(
            shown("/eureka/apps/{app}", "One application").problem(404, "no instance of it is registered"),
        )
        .operation(shown(ONE, "One instance").problem(404, "no such instance"))
        .operation(
            shown("/eureka/instances/{id}", "The same by its name alone").problem(404, "no such instance"),
        )
        .operation(shown("/eureka/vips/{name}", "Instances by a virtual address"))
        .operation(shown("/eureka/svips/{name}", "The same by that for TLS"))
        .operation(
            Operation::post("/eureka/apps/{app}")
                .summary("Registers an instance, {\"instance\": {…}} or <instance>; scope register:BRICK")
                .access("admin")
                .body::<Value>()
                .empty(204, "it is registered")
                .problem(400, "it is no instance, or not of this application")
                .problem(
                    409,
                    "not_joinable: the agent alone says where instances of the brick are",
                )
                .problem(422, "a value is out of bounds"),
        )
        .operation(tell(
            Operation::put(ONE),
            "Renews the lease; ?status= says how the instance is",
        ))
        .operation(tell(
            Operation::delete(ONE),
            "Takes the instance out of the registry",
        ))
        .operation(tell(
            Operation::put(STATUS),
            "Has ?value= count, whatever the instance says",
        ))
        .operation(tell(
            Operation::delete(STATUS),
            "Has count again what the instance says",
        ))
        .operation(tell(
            Operation::put("/eureka/apps/{app}/{id}/metadata"),
            "Adds the pairs of the query to the metadata",
        ))
}
