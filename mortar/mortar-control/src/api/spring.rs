//! Spring Cloud Config's HTTP API under `/config`, for its many clients.
//!
//! Who asks shows a platform token (`Authorization: Bearer`) or the name and secret of a registered client (HTTP
//! Basic). A process reads its own application; scopes `config:read` and `admin` read all, `config:app:NAME` reads one
//! with its secrets, `config:secrets` lets secrets be seen. Encrypted values are opened for who may see secrets.

pub(super) mod reader;

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use brick_http::Problem;
use brick_model::ConfigRepository;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::config::layers::{self, Flat};
use crate::config::repository::layer;
use crate::config::repository::{self, git, git::Git};
use crate::config::spring::{self, Environment, Form, PropertySource};
use crate::config::{change, shown};
use crate::credentials::Refused;
use crate::service::Handle;
use reader::Reader;

/// Profiles of a question at most, and bytes of a name.
const PROFILES_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 100;

/// How a text is wanted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wanted {
    /// Whether `${key}` is opened; so it is unless said.
    resolve_placeholders: Option<bool>,
    /// Of plain text: that the path has no label in it.
    use_default_label: Option<String>,
}

type Answer = Result<Response, Refused>;

/// A question for an application's values.
struct Question {
    application: String,
    profiles: Vec<String>,
    label: Option<String>,
}

/// `/{application}-{profiles}.{form}`
pub(crate) async fn file(
    State(handle): State<Handle>,
    headers: HeaderMap,
    Path(file): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let reader = Reader::of(&handle, &headers, "config").await?;
    match Form::of(&file) {
        Some((application, profiles, form)) => {
            let question = Question::new(application, profiles, None)?;
            text(&handle, &reader, &question, form, &wanted).await
        }
        None => Err(nothing()),
    }
}

/// `/{application}/{profiles}`, and `/{label}/{application}-{profiles}.{form}`
pub(crate) async fn two(
    State(handle): State<Handle>,
    headers: HeaderMap,
    Path((first, second)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let reader = Reader::of(&handle, &headers, "config").await?;
    match Form::of(&second) {
        Some((application, profiles, form)) => {
            let question = Question::new(application, profiles, Some(&first))?;
            text(&handle, &reader, &question, form, &wanted).await
        }
        None => environment(&handle, &reader, &Question::new(&first, &second, None)?).await,
    }
}

/// `/{application}/{profiles}/{label}`, and with `?useDefaultLabel` a file
pub(crate) async fn three(
    State(handle): State<Handle>,
    headers: HeaderMap,
    Path((application, profiles, third)): Path<(String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let reader = Reader::of(&handle, &headers, "config").await?;
    if wanted.use_default_label.is_some() {
        let question = Question::new(&application, &profiles, None)?;
        return plain(&handle, &reader, &question, &third, &wanted).await;
    }
    let question = Question::new(&application, &profiles, Some(&third))?;
    environment(&handle, &reader, &question).await
}

/// `/{application}/{profiles}/{label}/{path}`
pub(crate) async fn below(
    State(handle): State<Handle>,
    headers: HeaderMap,
    Path((application, profiles, label, path)): Path<(String, String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let reader = Reader::of(&handle, &headers, "config").await?;
    if wanted.use_default_label.is_some() {
        let question = Question::new(&application, &profiles, None)?;
        return plain(&handle, &reader, &question, &format!("{label}/{path}"), &wanted).await;
    }
    let question = Question::new(&application, &profiles, Some(&label))?;
    plain(&handle, &reader, &question, &path, &wanted).await
}

/// Encrypts the body for one key of one application: what Spring calls `/encrypt/{name}/{profiles}`.
pub(crate) async fn encrypt(
    State(handle): State<Handle>,
    headers: HeaderMap,
    Path((application, key)): Path<(String, String)>,
    body: String,
) -> Answer {
    Reader::of(&handle, &headers, "config").await?.may(&application)?;
    let state = handle.state();
    let invalid = |why: String| Refused(Problem::unprocessable("cipher_invalid", why));
    let cipher = state.cipher.as_ref();
    let cipher = cipher.ok_or_else(|| invalid("control has no master key".to_owned()))?;
    let sealed = cipher.seal(&application, &key, &Value::from(body));
    let sealed = sealed.map_err(|why| invalid(why.to_string()))?;
    // Spring's answer has no prefix: whoever writes it into a file adds it.
    Ok(sealed.trim_start_matches("{cipher}").to_owned().into_response())
}

/// What encrypted text stands for: for who may see secrets of the application.
pub(crate) async fn decrypt(
    State(handle): State<Handle>,
    headers: HeaderMap,
    Path((application, key)): Path<(String, String)>,
    body: String,
) -> Answer {
    let reader = Reader::of(&handle, &headers, "config").await?;
    if !reader.sees_secrets(&application) {
        let hint = "encrypted values are opened for tokens with scope config:secrets alone";
        return Err(Refused(Problem::forbidden("scope_missing", hint)));
    }
    let state = handle.state();
    let invalid = |why: String| Refused(Problem::unprocessable("cipher_invalid", why));
    let cipher = state.cipher.as_ref();
    let cipher = cipher.ok_or_else(|| invalid("control has no master key".to_owned()))?;
    let text = format!("{{cipher}}{}", body.trim().trim_start_matches("{cipher}"));
    let value = cipher.open(&application, &key, &text);
    let value = value.map_err(|why| invalid(why.to_string()))?;
    Ok(value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
        .into_response())
}

/// Values are bound to their keys; what is bound to none could be copied to any.
pub(crate) async fn unbound() -> Refused {
    let hint =
        "values are bound to their key: POST to /config/encrypt/{application}/{key}, or /config/decrypt/…";
    Refused(Problem::unprocessable("cipher_invalid", hint))
}

impl Question {
    fn new(application: &str, profiles: &str, label: Option<&str>) -> Result<Self, Refused> {
        let name = |text: &str| {
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
            !text.is_empty()
                && text.len() <= NAME_BYTES_MAX
                && text.bytes().all(good)
                && !text.starts_with(['-', '.'])
        };
        let profiles: Vec<String> = profiles.split(',').map(|one| one.trim().to_owned()).collect();
        if !name(application) || profiles.len() > PROFILES_MAX || !profiles.iter().all(|one| name(one)) {
            let hint =
                "expected names of letters, digits, \"_\", \"-\" and \".\" as application and profiles";
            return Err(Refused(Problem::bad_request("name_invalid", hint)));
        }
        // A slash in a label is written so that it is none of the path.
        let label = label.map(|label| label.replace("(_)", "/"));
        Ok(Self {
            application: application.to_owned(),
            profiles,
            label,
        })
    }
}

async fn environment(handle: &Handle, reader: &Reader, question: &Question) -> Answer {
    let (version, sources) = sources(handle, reader, question).await?;
    let property_sources = sources.into_iter().map(|(name, values)| PropertySource {
        name,
        source: spring::bracketed(values.iter()),
    });
    let environment = Environment {
        name: question.application.clone(),
        profiles: question.profiles.clone(),
        label: question.label.clone(),
        version,
        state: None,
        property_sources: property_sources.collect(),
    };
    Ok(axum::Json(environment).into_response())
}

async fn text(handle: &Handle, reader: &Reader, question: &Question, form: Form, wanted: &Wanted) -> Answer {
    let (_, sources) = sources(handle, reader, question).await?;
    let mut values = spring::merged(sources.into_iter().map(|(_, values)| values));
    if wanted.resolve_placeholders != Some(false) {
        values = spring::all_resolved(&values);
    }
    Ok(([(CONTENT_TYPE, form.media_type())], form.write(&values)).into_response())
}

/// A file as it is, with values in place of its placeholders where they are wanted and it is text.
async fn plain(handle: &Handle, reader: &Reader, question: &Question, path: &str, wanted: &Wanted) -> Answer {
    reader.may(&question.application)?;
    reader.may_file(&question.application, path)?;
    let state = handle.state();
    let Some((spec, git)) = copy(handle, &state)? else {
        return Err(nothing());
    };
    let turn = handle.repository().questions().acquire().await;
    let sha = git
        .resolve(question.label.as_deref().unwrap_or(&spec.label))
        .await?;
    let files = git.files(&sha, &spec.folder).await?;
    // A file of its own for a profile comes before the one for all.
    let named = |profile: &str| match path.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem}-{profile}.{ending}"),
        None => format!("{path}-{profile}"),
    };
    let paths = question.profiles.iter().rev().map(|profile| named(profile));
    let own = format!("{}/{path}", question.application);
    let found = paths
        .chain([path.to_owned(), own])
        .find_map(|path| files.iter().find(|file| file.path == path));
    let Some(file) = found else {
        return Err(nothing());
    };
    let content = git.read(&[file]).await?.pop().unwrap_or_default();
    drop(turn);
    let is_open = wanted.resolve_placeholders != Some(false) && content.windows(2).any(|two| two == b"${");
    match String::from_utf8(content) {
        Ok(text) if is_open => {
            let (_, sources) = sources(handle, reader, question).await?;
            let values = spring::merged(sources.into_iter().map(|(_, values)| values));
            let values: BTreeMap<String, Value> = spring::bracketed(values.iter()).into_iter().collect();
            Ok(spring::resolved(&text, &values).into_response())
        }
        Ok(text) => Ok(text.into_response()),
        Err(bytes) => {
            let kind = [(CONTENT_TYPE, "application/octet-stream")];
            Ok((kind, bytes.into_bytes()).into_response())
        }
    }
}

/// The sources of an application, highest first, as the reader may see them; the revision of the files.
async fn sources(
    handle: &Handle,
    reader: &Reader,
    question: &Question,
) -> Result<(Option<String>, Vec<(String, Flat)>), Refused> {
    let application = question.application.as_str();
    reader.may(application)?;
    let state = handle.state();
    let mut secrets = BTreeSet::new();
    let mut all = Vec::new();
    let mut version = None;
    let spec = repository::spec(&state);
    // What operators and the manifest say is about what runs: not about another branch.
    let runs = change::known(&state, application).is_ok()
        && question
            .label
            .as_ref()
            .is_none_or(|label| spec.as_ref().is_some_and(|spec| spec.label == *label));
    if runs {
        secrets = layers::effective(&state, application).secrets;
        all.push(("live".to_owned(), layers::live(&state, application).values));
    }
    if let Some((spec, git)) = copy(handle, &state)? {
        let _turn = handle.repository().questions().acquire().await;
        let sha = git
            .resolve(question.label.as_deref().unwrap_or(&spec.label))
            .await?;
        let wanted = layer::candidates(application, &question.profiles)
            .into_iter()
            .collect();
        let read = repository::contents(&git, &sha, &spec.folder, &wanted).await?;
        let found = layer::sources(&read, application, &question.profiles);
        let found = found.map_err(|why| Refused(Problem::unavailable("file_invalid", why)))?;
        all.extend(
            found
                .into_iter()
                .map(|source| (named(&spec, &source), source.values.into_iter().collect())),
        );
        version = Some(sha);
    } else if let Some(label) = &question.label {
        let hint = format!("there is no configuration repository that could have a label \"{label}\"");
        return Err(Refused(Problem::not_found("label_unknown", hint)));
    }
    if runs && let Some(model) = &state.manifest {
        all.push(("manifest".to_owned(), layers::flat(&model.config_of(application))));
    }
    all.retain(|(_, values)| !values.is_empty());
    for (_, values) in &mut all {
        *values = seen(handle, reader, application, values, &secrets);
    }
    Ok((version, all))
}

/// As the reader may see them: secrets opened or hidden.
fn seen(
    handle: &Handle,
    reader: &Reader,
    application: &str,
    values: &Flat,
    secrets: &BTreeSet<String>,
) -> Flat {
    let state = handle.state();
    let each = values.iter().map(|(key, value)| {
        if !reader.sees_secrets(application) {
            return (key.clone(), shown(key, value, secrets.contains(key)));
        }
        match layers::opened(&state, application, key, value) {
            Ok(value) => (key.clone(), value),
            // As Spring says it.
            Err(_) => (format!("invalid.{key}"), Value::from("<n/a>")),
        }
    });
    each.collect()
}

fn named(spec: &ConfigRepository, source: &layer::Source) -> String {
    let folder = match spec.folder.as_str() {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    let name = format!("{}/{folder}{}", spec.url.trim_end_matches('/'), source.path);
    match source.document {
        Some(at) => format!("{name} (document #{at})"),
        None => name,
    }
}

/// The repository and control's copy of it; none where the system has none.
fn copy(handle: &Handle, state: &crate::state::State) -> Result<Option<(ConfigRepository, Git)>, Refused> {
    let Some(spec) = repository::spec(state) else {
        return Ok(None);
    };
    match handle.repository().copy(&spec) {
        Some(git) => Ok(Some((spec, git))),
        None => {
            let hint = "the configuration repository could not be fetched yet; GET /api/config-repository/v1 says why";
            Err(Refused(Problem::unavailable("repository_away", hint)))
        }
    }
}

fn nothing() -> Refused {
    let hint = "expected /config/APPLICATION/PROFILES[/LABEL[/FILE]] or /config/[LABEL/]APPLICATION-PROFILES.yml, .json, .properties; nothing is there";
    Refused(Problem::not_found("not_found", hint))
}

impl From<git::Error> for Refused {
    fn from(error: git::Error) -> Self {
        let text = error.to_string();
        Self(match error {
            git::Error::Label(_) => Problem::not_found("label_unknown", text),
            git::Error::TooLarge(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "file_too_large", text),
            _ => Problem::unavailable("repository_away", text),
        })
    }
}
