//! Eureka's REST API below `/eureka`: what Spring Cloud and other clients of Netflix's registry ask of it.
//!
//! An application is a brick by its name in capitals. Bricks of the system are shown as applications; who registers joins
//! a brick as any outsider does. Everybody shows a registered client's name and secret (HTTP Basic in the URL, all that
//! such clients can send) or a platform token: reading takes the scope `registry:read`, `bus`, `admin` or one that
//! registers something, writing `register:<brick>`.
//! <https://github.com/Netflix/eureka/wiki/Eureka-REST-operations>

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, put};
use brick_core::BrickName;
use brick_http::{Path, Problem, Query};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::api::registry::join;
use crate::audit::Entry;
use crate::credentials::{Refused, Shown};
use crate::outsider::{may_register, refused};
use crate::service::Handle;
use crate::state::{Action, Registered, State as Known};
use crate::uses::REGISTRY;
use info::{Status, Told};
use recent::Kind;

pub(crate) mod info;
pub(crate) mod recent;
mod view;
mod xml;

/// Largest instance to register.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Scope that reads the registry and nothing else.
const READ: &str = "registry:read";

type Outcome = Result<Response, Refused>;
type Two = Result<Path<(String, String)>, Problem>;
type One = Result<Path<String>, Problem>;

/// What a client says beside the path.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Said {
    status: Option<String>,
    value: Option<String>,
    #[serde(rename = "lastDirtyTimestamp")]
    dirty: Option<String>,
}

/// The routes, below the path that Spring's clients take for granted and the one that Netflix's do.
pub(crate) fn routes() -> Router<Handle> {
    let mut all = Router::new();
    for below in ["/eureka", "/eureka/v2"] {
        let path = |path: &str| format!("{below}{path}");
        all = all
            .route(&path("/apps"), get(everything))
            .route(&path("/apps/"), get(everything))
            .route(&path("/apps/delta"), get(delta))
            .route(&path("/apps/{app}"), get(one_app).post(register))
            .route(&path("/apps/{app}/{id}"), get(one).put(renew).delete(cancel))
            .route(&path("/apps/{app}/{id}/status"), put(take_over).delete(release))
            .route(&path("/apps/{app}/{id}/metadata"), put(annotate))
            .route(&path("/instances/{id}"), get(anywhere))
            .route(&path("/vips/{name}"), get(by_vip))
            .route(&path("/svips/{name}"), get(by_secure_vip));
    }
    all.layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn everything(State(handle): State<Handle>, headers: HeaderMap) -> Outcome {
    reader(&handle, &headers).await?;
    // The version first: what changes between is told by the next delta.
    let version = handle.recent().version();
    let state = handle.state();
    let all = state.instances.values().map(|one| (Kind::Added, one));
    let shown = view::applications(&handle, &state, version, all);
    Ok(answer(&headers, "applications", shown))
}

async fn delta(State(handle): State<Handle>, headers: HeaderMap) -> Outcome {
    reader(&handle, &headers).await?;
    let (version, changes) = handle.recent().changes();
    let shown = view::applications(&handle, &handle.state(), version, changes.into_iter());
    Ok(answer(&headers, "applications", shown))
}

async fn one_app(State(handle): State<Handle>, headers: HeaderMap, path: One) -> Outcome {
    reader(&handle, &headers).await?;
    let Path(app) = path?;
    let state = handle.state();
    let all = state
        .instances
        .values()
        .filter(|one| view::app(one).eq_ignore_ascii_case(&app));
    let all: Vec<_> = all
        .map(|one| (view::id(one), view::instance(&handle, &state, one, Kind::Added)))
        .collect();
    if all.is_empty() {
        return Err(
            Problem::not_found("app_unknown", format!("no instance of {app:.64} is registered")).into(),
        );
    }
    let shown = view::application(&app.to_ascii_uppercase(), all);
    Ok(answer(&headers, "application", shown))
}

async fn one(State(handle): State<Handle>, headers: HeaderMap, path: Two) -> Outcome {
    reader(&handle, &headers).await?;
    let Path((app, id)) = path?;
    show(&handle, &headers, |one| {
        view::id(one) == id && view::app(one).eq_ignore_ascii_case(&app)
    })
}

async fn anywhere(State(handle): State<Handle>, headers: HeaderMap, path: One) -> Outcome {
    reader(&handle, &headers).await?;
    let Path(id) = path?;
    show(&handle, &headers, |one| view::id(one) == id)
}

fn show(handle: &Handle, headers: &HeaderMap, is: impl Fn(&Registered) -> bool) -> Outcome {
    let state = handle.state();
    let found = state.instances.values().find(|one| is(one));
    let found =
        found.ok_or_else(|| Problem::not_found("instance_unknown", "no such instance is registered"))?;
    let shown = view::instance(handle, &state, found, Kind::Added);
    Ok(answer(headers, "instance", shown))
}

async fn by_vip(State(handle): State<Handle>, headers: HeaderMap, path: One) -> Outcome {
    looked_up(&handle, &headers, path, false).await
}

async fn by_secure_vip(State(handle): State<Handle>, headers: HeaderMap, path: One) -> Outcome {
    looked_up(&handle, &headers, path, true).await
}

async fn looked_up(handle: &Handle, headers: &HeaderMap, path: One, secure: bool) -> Outcome {
    reader(handle, headers).await?;
    let Path(name) = path?;
    let version = handle.recent().version();
    let state = handle.state();
    let named = |one: &Registered| view::vips(one, secure).split(',').any(|vip| vip.trim() == name);
    let all = state.instances.values().filter(|one| named(one));
    let shown = view::applications(handle, &state, version, all.map(|one| (Kind::Added, one)));
    Ok(answer(headers, "applications", shown))
}

async fn register(
    State(handle): State<Handle>,
    headers: HeaderMap,
    path: One,
    body: Result<Bytes, BytesRejection>,
) -> Outcome {
    let shown = Shown::of(&handle, &headers, REGISTRY, true).await?;
    let Path(app) = path?;
    writer(&shown, &info::brick(&app)?)?;
    let body =
        body.map_err(|refused| Problem::new(refused.status(), "body_unreadable", refused.body_text()))?;
    let registered = info::read(&app, &instance_of(&headers, &body)?)?;
    let ttl = registered.ttl();
    let id = registered.details.outsider.clone().unwrap_or_default();
    let (_, joined) = join(&handle, registered, &id).await?;
    handle.leases().renew(joined.instance.incarnation, Some(ttl));
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn renew(
    State(handle): State<Handle>,
    headers: HeaderMap,
    path: Two,
    said: Result<Query<Said>, Problem>,
) -> Outcome {
    let (_, one) = own(&handle, &headers, path).await?;
    let Query(said) = said?;
    let Some(info) = &one.details.eureka else {
        return Err(unknown());
    };
    // A client whose instance changed since it registered is asked to register anew.
    if said.dirty() > info.dirty_ms || !handle.leases().renew(one.instance.incarnation, None) {
        return Err(unknown());
    }
    let status = said.status.as_deref().map(Status::named).transpose()?;
    if !one.supervised || status.is_some_and(|status| status != info.status) {
        tell(&handle, &one, Told::Renewed(status)).await?;
    }
    Ok(StatusCode::OK.into_response())
}

async fn cancel(State(handle): State<Handle>, headers: HeaderMap, path: Two) -> Outcome {
    let (_, one) = own(&handle, &headers, path).await?;
    handle.wish(Action::Remove(one.instance.incarnation)).await?;
    Ok(StatusCode::OK.into_response())
}

async fn take_over(
    State(handle): State<Handle>,
    headers: HeaderMap,
    path: Two,
    said: Result<Query<Said>, Problem>,
) -> Outcome {
    let (who, one) = own(&handle, &headers, path).await?;
    let Query(said) = said?;
    let hint = || {
        Problem::bad_request(
            "status_invalid",
            "expected ?value=OUT_OF_SERVICE or another status",
        )
    };
    let status = Status::named(said.value.as_deref().ok_or_else(hint)?)?;
    let told = Told::Overridden(status, said.dirty());
    overridden(&handle, &who, &one, told, json!({ "status": status.name() })).await
}

async fn release(
    State(handle): State<Handle>,
    headers: HeaderMap,
    path: Two,
    said: Result<Query<Said>, Problem>,
) -> Outcome {
    let (who, one) = own(&handle, &headers, path).await?;
    let Query(said) = said?;
    let status = said.value.as_deref().map(Status::named).transpose()?;
    overridden(
        &handle,
        &who,
        &one,
        Told::Released(status, said.dirty()),
        Value::Null,
    )
    .await
}

/// Changes which status counts, and writes down who did.
async fn overridden(handle: &Handle, who: &Shown, one: &Registered, told: Told, after: Value) -> Outcome {
    let before = one.details.eureka.as_ref().and_then(|info| info.overridden);
    let before = before.map_or(Value::Null, |status| json!({ "status": status.name() }));
    let entry = Entry::new(&who.who, "instance.status", one.instance.slot_name()).turning(before, after);
    let action = Action::Tell(one.instance.incarnation, told);
    handle.change(action, entry).await?;
    Ok(StatusCode::OK.into_response())
}

async fn annotate(
    State(handle): State<Handle>,
    headers: HeaderMap,
    path: Two,
    said: Result<Query<std::collections::BTreeMap<String, String>>, Problem>,
) -> Outcome {
    let (_, one) = own(&handle, &headers, path).await?;
    let Query(mut pairs) = said?;
    pairs.remove("lastDirtyTimestamp");
    let mut details = one.details.clone();
    details.metadata.extend(pairs.clone());
    details.check()?;
    tell(&handle, &one, Told::Metadata(pairs)).await?;
    Ok(StatusCode::OK.into_response())
}

async fn tell(handle: &Handle, one: &Registered, told: Told) -> Result<Arc<Known>, Error> {
    handle.wish(Action::Tell(one.instance.incarnation, told)).await
}

impl Said {
    /// When the client's instance changed last, by its own clock.
    fn dirty(&self) -> i64 {
        self.dirty.as_deref().and_then(|ms| ms.parse().ok()).unwrap_or(0)
    }
}

/// Who may read.
async fn reader(handle: &Handle, headers: &HeaderMap) -> Result<(), Refused> {
    let shown = Shown::of(handle, headers, REGISTRY, false).await?;
    let reads =
        |scope: &str| matches!(scope, READ | "bus" | "admin" | "agent") || scope.starts_with("register:");
    if shown.has(reads) {
        return Ok(());
    }
    let hint = format!(
        "expected scope {READ} or register:BRICK, found \"{}\"",
        shown.scopes
    );
    Err(Problem::forbidden("scope_missing", hint).into())
}

fn writer(shown: &Shown, brick: &BrickName) -> Result<(), Problem> {
    match may_register(&shown.scopes, brick) {
        true => Ok(()),
        false => Err(refused(brick, &shown.scopes)),
    }
}

/// Who speaks, and the instance that they may speak for: one that came through this API.
async fn own(handle: &Handle, headers: &HeaderMap, path: Two) -> Result<(Shown, Arc<Registered>), Refused> {
    let shown = Shown::of(handle, headers, REGISTRY, true).await?;
    let Path((app, id)) = path?;
    let brick = info::brick(&app)?;
    writer(&shown, &brick)?;
    let state = handle.state();
    let found = state
        .outsider(&brick, &id)
        .filter(|one| one.details.eureka.is_some());
    Ok((shown, found.ok_or_else(unknown)?.clone()))
}

/// What has a client register anew.
fn unknown() -> Refused {
    Problem::not_found(
        "instance_unknown",
        "no such instance is registered here; register it",
    )
    .into()
}

/// The instance of a body, as JSON or as XML.
fn instance_of(headers: &HeaderMap, body: &[u8]) -> Result<Value, Problem> {
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|how| how != "identity");
    if encoded {
        let hint = "expected a body that is not compressed";
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "encoding_unknown",
            hint,
        ));
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let malformed = |error: String| Problem::bad_request("instance_malformed", error);
    if kind.contains("xml") {
        let text = std::str::from_utf8(body).map_err(|error| malformed(error.to_string()))?;
        let (name, value) = xml::read(text).map_err(|error| malformed(error.to_string()))?;
        return match name.as_str() {
            "instance" => Ok(value),
            _ => Err(malformed(format!("expected an <instance>, found <{name:.64}>"))),
        };
    }
    let mut value: Value = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    match value.get_mut("instance") {
        Some(instance) if instance.is_object() => Ok(instance.take()),
        _ => Err(malformed("expected {\"instance\": {…}}".to_owned())),
    }
}

/// The answer as the client wants it: XML unless it asks for JSON, as Eureka does.
fn answer(headers: &HeaderMap, name: &str, shown: Value) -> Response {
    let accepts = headers
        .get(ACCEPT)
        .and_then(|kinds| kinds.to_str().ok())
        .unwrap_or_default();
    if accepts.contains("json") {
        return axum::Json(json!({ name: shown })).into_response();
    }
    ([(CONTENT_TYPE, "application/xml")], xml::write(name, &shown)).into_response()
}
