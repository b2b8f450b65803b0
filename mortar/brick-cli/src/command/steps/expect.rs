//! Holds an answer against what a step expects, and saves what later steps need.

use brick_model::load::path::JsonPath;
use brick_model::{Expect, Step};
use brick_wire::Response;
use serde_json::Value;

use super::{Miss, Values, expected, fill};

/// Longest piece of a foreign value that a message holds, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// What does not hold; nothing where all does.
pub(super) fn misses(step: &Step, answer: &Response, values: &Values) -> Vec<Miss> {
    let mut misses = Vec::new();
    if !step.accepts(answer.status.as_u16()) {
        misses.push(status(step, answer));
    }
    let Some(expected) = expected(step) else {
        return misses;
    };
    for (name, wanted) in &expected.header {
        let found = answer
            .headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        hold(
            &format!("header {name}"),
            fill(wanted, values),
            found.as_deref(),
            &mut misses,
        );
    }
    if let Some(text) = &expected.contains {
        match fill(text, values) {
            Ok(text) if String::from_utf8_lossy(&answer.body).contains(&text) => {}
            Ok(text) => misses.push(Miss::new(
                "the body does not hold a text",
                format!("expected a body that holds {text:?}"),
            )),
            Err(reason) => misses.push(Miss::same(reason)),
        }
    }
    if !expected.json.is_empty() {
        let body = serde_json::from_slice::<Value>(&answer.body).ok();
        for (path, wanted) in &expected.json {
            misses.extend(json(path, wanted, body.as_ref(), values));
        }
    }
    misses
}

/// Keeps what the step saves; what cannot be found is a miss.
pub(super) fn save(step: &Step, answer: &Response, values: &mut Values) -> Vec<Miss> {
    if step.save.is_empty() {
        return Vec::new();
    }
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return vec![Miss::same(
            "the answer is no JSON, and a value of it is to be saved",
        )];
    };
    let mut misses = Vec::new();
    for (name, path) in &step.save {
        match path.parse::<JsonPath>().ok().and_then(|path| path.text(&body)) {
            Some(text) => drop(values.insert(name.clone(), text)),
            None => misses.push(Miss::same(format!(
                "the answer has nothing at {path} to save as {name}"
            ))),
        }
    }
    misses
}

fn status(step: &Step, answer: &Response) -> Miss {
    let found = answer.status.as_u16();
    let problem = brick_wire::Problem::from_answer(answer.status, &answer.body);
    let wanted = match step.expect.as_ref().and_then(Expect::status) {
        Some(status) => format!("status {status}"),
        None => "a status 2xx".to_owned(),
    };
    let code = if answer.status.is_success() {
        String::new()
    } else {
        format!(" {}", problem.summary())
    };
    Miss::new(
        format!("{found} {}", problem.code),
        format!("expected {wanted}, found {found}{code}"),
    )
}

fn hold(what: &str, wanted: Result<String, String>, found: Option<&str>, misses: &mut Vec<Miss>) {
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(reason) => return misses.push(Miss::same(reason)),
    };
    if found == Some(wanted.as_str()) {
        return;
    }
    let found = found.map_or_else(|| "none".to_owned(), |found| format!("{:?}", short(found)));
    misses.push(Miss::new(
        format!("{what} is not what was expected"),
        format!("expected {what} to be {wanted:?}, found {found}"),
    ));
}

fn json(path: &str, wanted: &Value, body: Option<&Value>, values: &Values) -> Option<Miss> {
    let wanted = match wanted {
        Value::String(text) => match fill(text, values) {
            Ok(text) => Value::String(text),
            Err(reason) => return Some(Miss::same(reason)),
        },
        other => other.clone(),
    };
    let Some(body) = body else {
        return Some(Miss::same("the answer is no JSON, and a value of it is expected"));
    };
    let found = path
        .parse::<JsonPath>()
        .ok()
        .and_then(|path| path.find(body).cloned());
    if found.as_ref().is_some_and(|found| same(found, &wanted)) {
        return None;
    }
    let found = found.map_or_else(|| "nothing".to_owned(), |found| short(&found.to_string()));
    Some(Miss::new(
        format!("{path} is not what was expected"),
        format!("expected {path} to be {wanted}, found {found}"),
    ))
}

/// Equal values; numbers by what they are worth, so that 3 is 3.0.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.as_f64() == b.as_f64() && a.is_f64() != b.is_f64())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_held_against_what_was_expected_and_both_are_told() {
        let values = Values::from([("id".to_owned(), "7".to_owned())]);
        let body = json!({ "id": "7", "total": 3.0, "lines": [{ "n": 1 }] });
        let check = |path: &str, wanted: Value, expect: Option<&str>| {
            let miss = super::json(path, &wanted, Some(&body), &values);
            assert_eq!(miss.map(|miss| miss.told).as_deref(), expect, "{path}");
        };
        check("$.id", json!("{id}"), None);
        check("$.total", json!(3), None);
        check("$.lines", json!([{ "n": 1 }]), None);
        check("$.id", json!("8"), Some("expected $.id to be \"8\", found \"7\""));
        check("$.none", json!(1), Some("expected $.none to be 1, found nothing"));
        check("$.id", json!("{x}"), Some("no step saved a value called x"));
    }

    #[test]
    fn a_header_is_compared_as_a_whole() {
        let mut misses = Vec::new();
        hold("header a", Ok("b".to_owned()), Some("b"), &mut misses);
        assert_eq!(misses, []);
        hold("header a", Ok("b".to_owned()), None, &mut misses);
        assert_eq!(misses[0].told, "expected header a to be \"b\", found none");
    }
}
