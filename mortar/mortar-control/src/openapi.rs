//! Control's part of the platform's OpenAPI document.

mod config;
mod eureka;
mod flags;

use brick_http::openapi::{Document, Operation};
use brick_model::Model;
use serde_json::Value;

use crate::api::agent::{EventQuery, Kill, Roll, Scale};
use crate::api::audit::{AuditBody, AuditList, AuditQuery, UseList, UseQuery};
use crate::api::bus::{AckBatch, AckList, AckQuery, WatchQuery};
use crate::api::canary::{CanaryBody, CanaryList, CanaryView, PlanView};
use crate::api::certs::{CertBody, CertList, CertView};
use crate::api::faults::{FaultsBody, FaultsList, FaultsView};
use crate::api::instance::InstanceView;
use crate::api::limits::LimitsView;
use crate::api::pools::{PoolList, PoolPreview, PoolView};
use crate::api::quarantine::{QuarantineBody, QuarantineView};
use crate::api::registry::{Gone, Granted, Instances, ListQuery, Registration, Renewals, Renewed, Wait};
use crate::api::reports::{EdgesView, ReportBody};
use crate::api::system::{InForce, SystemView};
use crate::pools::Wanted;

/// Control's operations; identity adds its own where it is mounted.
pub fn document() -> Document {
    let document = Document::new("Brickwork control", "1").description(
        "Registry, routes, configuration, bus and identity. Served on control's own listener and, for operators, on \
         the admin listener.",
    );
    let document = eureka::operations(flags::operations(config::operations(system(document))));
    versions(audit(bus(certs(faults(limits(agent(registry(document)))))))).areas(crate::api::AREAS)
}

fn system(document: Document) -> Document {
    document
        .operation(
            Operation::put("/api/system/v1/manifest")
                .summary("Puts a validated manifest into force; scope agent")
                .access("operators:agent")
                .body::<Model>()
                .answer::<InForce>(200, "it is in force")
                .problem(409, "it is the manifest of another system")
                .problem(422, "it is no manifest"),
        )
        .operation(
            Operation::get("/api/system/v1")
                .summary("Bricks with what they need, routes, externals")
                .access("admin")
                .answer::<SystemView>(200, "the system"),
        )
        .operation(
            Operation::get("/api/system/v1/instances/{brick}/{number}")
                .summary("One instance with what it says of itself; a platform process is number 1")
                .access("admin")
                .answer::<InstanceView>(200, "what the instance answers now")
                .problem(404, "no such instance is registered"),
        )
}

fn versions(document: Document) -> Document {
    const QUARANTINE: &str = "/api/registry/v1/instances/{instance}/quarantine";
    let document = canaries(pools(document));
    document
        .operation(
            Operation::post(QUARANTINE)
                .summary("Takes an instance, by slot or incarnation, out of its pool while it runs on")
                .access("admin")
                .body::<QuarantineBody>()
                .answer::<QuarantineView>(200, "it is reachable by its own name")
                .problem(404, "no such instance"),
        )
        .operation(
            Operation::delete(QUARANTINE)
                .summary("Takes an instance back into its pool")
                .access("admin")
                .answer::<QuarantineView>(200, "it takes requests")
                .problem(404, "no such instance"),
        )
}

fn pools(document: Document) -> Document {
    const POOL: &str = "/api/pools/v1/{brick}";
    document
        .operation(
            Operation::get("/api/pools/v1")
                .summary("Bricks of which several versions may run")
                .access("admin")
                .answer::<PoolList>(200, "by name"),
        )
        .operation(
            Operation::get(POOL)
                .summary("Versions of a brick, their shares and rules")
                .access("admin")
                .answer::<PoolView>(200, "the versions")
                .problem(404, "no such brick"),
        )
        .operation(
            Operation::put(POOL)
                .summary("Says which version requests go to; kept until it is removed")
                .access("admin")
                .body::<Wanted>()
                .answer::<PoolView>(200, "it is published")
                .problem(404, "no such brick")
                .problem(409, "a canary moves the shares")
                .problem(412, "`If-Match` names something else than what is wanted by now")
                .problem(422, "nobody could follow it, or no such version"),
        )
        .operation(
            Operation::delete(POOL)
                .summary("Says nothing any more: requests go to any instance")
                .access("admin")
                .empty(204, "nothing is said")
                .problem(409, "a canary moves the shares")
                .problem(412, "`If-Match` names something else than what is wanted by now"),
        )
        .operation(
            Operation::post("/api/pools/v1/{brick}/preview")
                .summary("Counts who would move, and changes nothing")
                .access("admin")
                .body::<Wanted>()
                .answer::<PoolPreview>(200, "keys of 10,000")
                .problem(422, "nobody could follow it"),
        )
}

fn canaries(document: Document) -> Document {
    const CANARY: &str = "/api/canaries/v1/{brick}";
    document
        .operation(
            Operation::get("/api/canaries/v1")
                .summary("Canaries, running and over")
                .access("admin")
                .answer::<CanaryList>(200, "by brick"),
        )
        .operation(
            Operation::get(CANARY)
                .summary("The canary of a brick")
                .access("admin")
                .answer::<CanaryView>(200, "where it stands")
                .problem(404, "there is none"),
        )
        .operation(
            Operation::post(CANARY)
                .summary("Begins a canary; it goes on, is promoted and is aborted by itself")
                .access("admin")
                .body::<CanaryBody>()
                .answer::<CanaryView>(200, "it has its first share")
                .problem(409, "one runs already, or the version is not up")
                .problem(422, "steps or limits make no sense"),
        )
        .operation(
            Operation::get("/api/canaries/v1/{brick}/plan")
                .summary("How a version of the brick is tried where whoever begins says nothing")
                .access("admin")
                .answer::<PlanView>(
                    200,
                    "what the manifest says of it, else of all, else what is usual",
                )
                .problem(404, "no such brick"),
        )
        .operation(
            Operation::post("/api/canaries/v1/{brick}/promote")
                .summary("Gives the version everything now")
                .access("admin")
                .answer::<CanaryView>(200, "it is over")
                .problem(409, "it was over before"),
        )
        .operation(
            Operation::post("/api/canaries/v1/{brick}/abort")
                .summary("Goes back to what was before")
                .access("admin")
                .answer::<CanaryView>(200, "it is over")
                .problem(409, "it was over before"),
        )
}

fn audit(document: Document) -> Document {
    document
        .operation(
            Operation::get("/api/audit/v1")
                .summary("Changes with who made them, what was there before and after, why; newest first")
                .access("admin")
                .query::<AuditQuery>()
                .answer::<AuditList>(200, "the entries")
                .problem(400, "a parameter cannot be read"),
        )
        .operation(
            Operation::get("/api/audit/v1/use")
                .summary("How often each client used which area of the APIs")
                .access("admin")
                .query::<UseQuery>()
                .answer::<UseList>(200, "by client and area, most first")
                .problem(400, "a parameter cannot be read"),
        )
        .operation(
            Operation::post("/api/audit/v1/entries")
                .summary("Adds what an operator had the agent do over its socket; scope agent")
                .access("operators:agent")
                .body::<AuditBody>()
                .empty(204, "it is written down"),
        )
}

fn registry(document: Document) -> Document {
    document
        .operation(
            Operation::post("/api/registry/v1/instances")
                .summary(
                    "Registers an instance; scope agent, or register:BRICK for an outsider, which gets its slot. A newer \
                     start replaces the older one in its slot",
                )
                .access("operators:agent")
                .query::<Wait>()
                .body::<Registration>()
                .answer::<Granted>(200, "the lease")
                .problem(409, "fenced: a newer start has the slot; not_joinable; or too many instances")
                .problem(422, "a value is out of bounds"),
        )
        .operation(
            Operation::get("/api/registry/v1/instances")
                .summary("All instances with state and lease; scope admin or bus")
                .access("admin")
                .query::<ListQuery>()
                .answer::<Instances>(200, "by brick and slot"),
        )
        .operation(
            Operation::delete("/api/registry/v1/instances/{incarnation}")
                .summary(
                    "Deregisters an instance; answers when every connected subscriber was told; scope agent or \
                     register:BRICK",
                )
                .access("operators:agent")
                .query::<Wait>()
                .answer::<Gone>(200, "it is gone"),
        )
        .operation(
            Operation::post("/api/registry/v1/leases")
                .summary("Renews leases; scope agent or register:BRICK. Instances that are not ready leave their pool")
                .access("operators:agent")
                .body::<Renewals>()
                .answer::<Renewed>(200, "who has to register anew"),
        )
}

fn agent(document: Document) -> Document {
    let ask = |path: &str, summary: &str| {
        Operation::get(path)
            .summary(summary)
            .access("admin")
            .problem(503, "the agent is away")
    };
    let tell = |path: &str, summary: &str| {
        Operation::post(path)
            .summary(summary)
            .access("admin")
            .problem(415, "the body is not said to be JSON")
            .problem(
                422,
                "the agent cannot do that, or the body is not what was expected",
            )
            .problem(503, "the agent is away")
    };
    document
        .operation(
            ask("/api/agent/v1/ps", "Every process with its state, platform first")
                .answer::<Vec<Value>>(200, "as the agent's socket answers /v1/ps"),
        )
        .operation(
            ask(
                "/api/agent/v1/status",
                "The system as a whole: addresses, ports, problems, counters",
            )
            .answer::<Value>(200, "as the agent's socket answers /v1/status"),
        )
        .operation(
            ask(
                "/api/agent/v1/events",
                "What happens, as server-sent events `event`",
            )
            .query::<EventQuery>()
            .empty(200, "text/event-stream"),
        )
        .operation(
            tell("/api/agent/v1/scale", "Gives a brick as many instances as said")
                .body::<Scale>()
                .answer::<Value>(200, "what is being changed: `{changes}`"),
        )
        .operation(
            tell(
                "/api/agent/v1/roll",
                "Replaces a brick's instances one after the other; answers when done",
            )
            .body::<Roll>()
            .answer::<Value>(200, "what was replaced: `{brick, replaced}`"),
        )
        .operation(
            tell("/api/agent/v1/kill", "Sends an instance a signal")
                .body::<Kill>()
                .answer::<Value>(200, "who got which signal: `{instance, pid, signal}`"),
        )
}

fn limits(document: Document) -> Document {
    const PATH: &str = "/api/limits/v1/{caller}/{callee}";
    document
        .operation(
            Operation::get("/api/limits/v1/edges")
                .summary("Breakers and bulkheads of all edges, as their callers report them")
                .access("admin")
                .answer::<EdgesView>(200, "by name, each with its callers"),
        )
        .operation(
            Operation::get(PATH)
                .summary("How a caller treats a callee: manifest, override, what is in force")
                .access("admin")
                .answer::<LimitsView>(200, "the limits")
                .problem(404, "no such edge"),
        )
        .operation(
            Operation::put(PATH)
                .summary("Overrides limits by a JSON merge patch (RFC 7396); kept until it is removed")
                .access("admin")
                .body::<Value>()
                .answer::<LimitsView>(200, "what is in force now")
                .problem(404, "no such edge")
                .problem(412, "`If-Match` names another override than the one there is")
                .problem(422, "no caller could follow these limits"),
        )
        .operation(
            Operation::delete(PATH)
                .summary("Goes back to what the manifest says")
                .access("admin")
                .empty(204, "there is no override")
                .problem(404, "no such edge")
                .problem(412, "`If-Match` names another override than the one there is"),
        )
}

fn faults(document: Document) -> Document {
    let mut document = document.operation(
        Operation::get("/api/faults/v1")
            .summary("Everything that goes wrong on purpose")
            .access("admin")
            .answer::<FaultsList>(200, "by edge"),
    );
    for (path, what) in [
        ("/api/faults/v1/{caller}/{callee}", "calls of one edge"),
        ("/api/faults/v1/routes/{name}", "requests of one route"),
    ] {
        document = document
            .operation(
                Operation::get(path)
                    .summary(&format!("What goes wrong on purpose with {what}"))
                    .access("admin")
                    .answer::<FaultsView>(200, "the rules; none where nothing does")
                    .problem(404, "no such edge or route"),
            )
            .operation(
                Operation::put(path)
                    .summary(&format!(
                        "Lets {what} go wrong; ends after 10 min unless said, after a day at most"
                    ))
                    .access("admin")
                    .body::<FaultsBody>()
                    .answer::<FaultsView>(200, "what goes wrong now")
                    .problem(404, "no such edge or route")
                    .problem(422, "a rule makes no sense"),
            )
            .operation(
                Operation::delete(path)
                    .summary(&format!("Ends what goes wrong on purpose with {what}"))
                    .access("admin")
                    .empty(204, "nothing does"),
            );
    }
    document
}

fn certs(document: Document) -> Document {
    const PATH: &str = "/api/certs/v1/{name}";
    document
        .operation(
            Operation::get("/api/certs/v1")
                .summary("Certificates of the edge that were put here; those of files are the manifest's")
                .access("admin")
                .answer::<CertList>(200, "by name, without their keys"),
        )
        .operation(
            Operation::get(PATH)
                .summary("A certificate of the edge, without its key")
                .access("admin")
                .answer::<CertView>(200, "subject, hosts and expiry")
                .problem(404, "no such certificate"),
        )
        .operation(
            Operation::put(PATH)
                .summary("Shows a certificate at the edge, in the place of what has the name; kept until it is removed")
                .access("admin")
                .body::<CertBody>()
                .answer::<CertView>(200, "it is told to the gateway, which says in `/bus/v1/acks` whether it can show it")
                .problem(422, "it cannot be read"),
        )
        .operation(
            Operation::delete(PATH)
                .summary("Shows the certificate no longer")
                .access("admin")
                .empty(204, "it is gone, with its key"),
        )
}

fn bus(document: Document) -> Document {
    document
        .operation(
            Operation::get("/bus/v1/watch")
                .summary("Streams resources as server-sent events: snapshot, put, delete, reset; scope bus")
                .access("operators:bus")
                .query::<WatchQuery>()
                .header(
                    "Last-Event-ID",
                    "id of the last event that was taken, to go on from there",
                )
                .empty(200, "text/event-stream")
                .problem(503, "too many streams are open"),
        )
        .operation(
            Operation::post("/bus/v1/acks")
                .summary("Tells which revisions were applied or refused; scope bus")
                .access("operators:bus")
                .body::<AckBatch>()
                .empty(204, "taken")
                .problem(403, "for another process"),
        )
        .operation(
            Operation::post("/bus/v1/reports")
                .summary("Tells how the edges of a process are; scope bus")
                .access("operators:bus")
                .body::<ReportBody>()
                .empty(204, "taken")
                .problem(403, "for another process")
                .problem(422, "edges of another caller, or too many"),
        )
        .operation(
            Operation::get("/bus/v1/acks")
                .summary("Who applied which revision")
                .access("admin")
                .query::<AckQuery>()
                .answer::<AckList>(200, "the newest word of each process"),
        )
}
