//! Evaluation for whoever has no evaluator: the OpenFeature Remote Evaluation Protocol
//! (<https://github.com/open-feature/protocol>). Errors are in its words; who may not ask at all gets a problem.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use brick_flags::{Failure, Flag};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::spring::reader::Reader;
use crate::credentials::Refused;
use crate::flags::{self, Known};
use crate::service::Handle;
use crate::state::tag;

/// Bytes of a question at most.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

type Answer = Result<Response, Refused>;
type Context = Map<String, Value>;

/// One flag.
pub(crate) async fn one(
    State(handle): State<Handle>,
    headers: HeaderMap,
    Path(key): Path<String>,
    body: Bytes,
) -> Answer {
    let reader = Reader::of(&handle, &headers, "flags").await?;
    reader.may_flags()?;
    let context = match context(&body) {
        Ok(context) => context,
        Err((code, details)) => return Ok(error(StatusCode::BAD_REQUEST, Some(&key), code, &details)),
    };
    let known = flags::of(&handle.state(), &key).filter(|known| reader.sees_flag(known));
    let Some(known) = known else {
        let short: String = key.chars().take(60).collect();
        let details = format!("there is no flag \"{short}\"");
        return Ok(error(
            StatusCode::NOT_FOUND,
            Some(&key),
            "FLAG_NOT_FOUND",
            &details,
        ));
    };
    let (status, body) = evaluated(&key, &known, &context);
    Ok((status, axum::Json(body)).into_response())
}

/// All flags that whoever asks may see and that are evaluated.
pub(crate) async fn all(State(handle): State<Handle>, headers: HeaderMap, body: Bytes) -> Answer {
    let reader = Reader::of(&handle, &headers, "flags").await?;
    reader.may_flags()?;
    let context = match context(&body) {
        Ok(context) => context,
        Err((code, details)) => return Ok(error(StatusCode::BAD_REQUEST, None, code, &details)),
    };
    let known = flags::all(&handle.state()).into_iter();
    let seen = known.filter(|(_, known)| {
        reader.sees_flag(known) && known.counts.definition.state == brick_flags::State::Enabled
    });
    let flags: Vec<Value> = seen
        .map(|(key, known)| evaluated(&key, &known, &context).1)
        .collect();
    let body = json!({ "flags": flags });
    let tag = tag(Some(&body));
    let held = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut held = held.flat_map(|value| value.split(',')).map(str::trim);
    if held.any(|held| held == "*" || held.trim_start_matches("W/") == tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    Ok(([(ETAG, tag)], axum::Json(body)).into_response())
}

/// The context of a question; nobody in particular where there is none.
fn context(body: &[u8]) -> Result<Context, (&'static str, String)> {
    let blank = body.iter().all(u8::is_ascii_whitespace);
    let question: Value = match blank {
        true => json!({}),
        false => serde_json::from_slice(body).map_err(|error| ("PARSE_ERROR", error.to_string()))?,
    };
    let invalid = |what: &str| ("INVALID_CONTEXT", what.to_owned());
    let mut question = match question {
        Value::Object(question) => question,
        _ => return Err(invalid("expected an object with the member context")),
    };
    match question.remove("context") {
        None => Ok(Context::new()),
        Some(Value::Object(context)) => match context.get(brick_flags::TARGETING_KEY) {
            None | Some(Value::String(_)) => Ok(context),
            Some(_) => Err(invalid("targetingKey: expected a text")),
        },
        Some(_) => Err(invalid("context: expected an object")),
    }
}

fn evaluated(key: &str, known: &Known, context: &Context) -> (StatusCode, Value) {
    let failed = |status: StatusCode, code: &str, details: String| {
        (
            status,
            json!({ "key": key, "errorCode": code, "errorDetails": details }),
        )
    };
    let definition = &known.counts.definition;
    let flag = match Flag::compile(key, definition) {
        Ok(flag) => flag,
        Err(error) => return failed(StatusCode::BAD_REQUEST, "PARSE_ERROR", error.to_string()),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match flag.evaluate(context, i64::try_from(now.as_secs()).unwrap_or(i64::MAX)) {
        Ok(found) => {
            let body = json!({
                "key": key,
                "value": found.value,
                "variant": found.variant,
                "reason": found.reason.as_str(),
                "metadata": definition.metadata,
            });
            (StatusCode::OK, body)
        }
        Err(Failure::Disabled) => {
            let details = format!("the flag \"{key}\" is disabled");
            failed(StatusCode::NOT_FOUND, "FLAG_NOT_FOUND", details)
        }
        Err(failure) => failed(StatusCode::BAD_REQUEST, "GENERAL", failure.to_string()),
    }
}

fn error(status: StatusCode, key: Option<&str>, code: &str, details: &str) -> Response {
    let mut body = json!({ "errorCode": code, "errorDetails": details });
    if let Some(key) = key {
        body["key"] = key.into();
    }
    (status, axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_who_asks_or_nothing() {
        let code = |body: &str| context(body.as_bytes()).map_err(|(code, _)| code);
        assert_eq!(code(""), Ok(Context::new()));
        assert_eq!(code("{\"more\":1}"), Ok(Context::new()));
        assert_eq!(
            code("{\"context\":{\"targetingKey\":\"ann\"}}").unwrap()["targetingKey"],
            "ann"
        );
        for (body, expect) in [
            ("{", "PARSE_ERROR"),
            ("[]", "INVALID_CONTEXT"),
            ("{\"context\":7}", "INVALID_CONTEXT"),
            ("{\"context\":{\"targetingKey\":7}}", "INVALID_CONTEXT"),
        ] {
            assert_eq!(code(body), Err(expect), "{body}");
        }
    }
}
