//! What is taken of the parts' answers, and what is said of them.

use brick_model::load::template;
use serde_json::{Map, Value};

use super::{Part, Say};

/// What a part takes of an answer; none where the list that it names is not there.
pub(super) fn taken(part: &Part, mut answer: Value) -> Option<Value> {
    let Some(each) = &part.each else {
        return Some(fields(part, answer));
    };
    let entries = match each.find(&answer)? {
        Value::Array(entries) => entries.iter().take(part.limit).cloned().collect::<Vec<_>>(),
        _ => return None,
    };
    answer = Value::Null;
    drop(answer);
    Some(entries.into_iter().map(|entry| fields(part, entry)).collect())
}

/// The named fields of a value, null where one is not there; all of it where none is named.
fn fields(part: &Part, value: Value) -> Value {
    if part.fields.is_empty() {
        return value;
    }
    let field = |(name, path): &(String, _)| {
        let path: &brick_model::load::path::JsonPath = path;
        (name.clone(), path.find(&value).cloned().unwrap_or_default())
    };
    Value::Object(part.fields.iter().map(field).collect::<Map<_, _>>())
}

/// The sentence, or what is said where a word of it is missing.
pub(super) fn sentence(say: &Say, parts: &Value) -> String {
    let word = |name: &str| {
        let path = say.words.get(name)?;
        let found = path.find(parts).filter(|value| !value.is_null());
        found.and_then(|_| path.text(parts))
    };
    template::fill(&say.text, word).unwrap_or_else(|_| say.otherwise.clone())
}
