//! A file of flagd: `{"flags": {…}, "$evaluators": {…}, "metadata": {…}}`.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::{Definition, Error, FLAGS_MAX, Flag, NODES_MAX, short};

/// How deep evaluators may name each other.
const REFERENCES_MAX: usize = 8;

/// The flags of a file, checked, each with the evaluators that it names put in their place and what is said of all
/// flags said of it.
pub fn read(document: &Value) -> Result<BTreeMap<String, Definition>, Error> {
    let top = document
        .as_object()
        .ok_or_else(|| Error::new("flags", "expected an object with flags"))?;
    let known = ["$schema", "flags", "$evaluators", "metadata"];
    if let Some(odd) = top.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Error::new(short(odd), "expected flags, $evaluators or metadata"));
    }
    let object = |name: &str| match top.get(name) {
        None => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object.clone()),
        Some(_) => Err(Error::new(name, "expected an object")),
    };
    let (flags, evaluators, metadata) = (object("flags")?, object("$evaluators")?, object("metadata")?);
    if flags.len() > FLAGS_MAX {
        let what = format!("expected at most {FLAGS_MAX} flags, found {}", flags.len());
        return Err(Error::new("flags", what));
    }
    let mut all = BTreeMap::new();
    for (key, value) in flags {
        let at = |error: Error| Error::new(format!("flags.{}.{}", short(&key), error.path), error.what);
        let mut definition = Definition::deserialize(&value)
            .map_err(|error| Error::new(format!("flags.{}", short(&key)), error.to_string()))?;
        if let Some(targeting) = definition.targeting.take() {
            let mut opener = Opener {
                evaluators: &evaluators,
                nodes: 0,
            };
            definition.targeting = Some(opener.opened(&targeting, 0).map_err(at)?);
        }
        for (name, value) in &metadata {
            definition
                .metadata
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
        Flag::compile(&key, &definition).map_err(at)?;
        all.insert(key, definition);
    }
    Ok(all)
}

/// Puts evaluators in the place of their names.
struct Opener<'e> {
    evaluators: &'e Map<String, Value>,
    nodes: usize,
}

impl Opener<'_> {
    fn opened(&mut self, value: &Value, references: usize) -> Result<Value, Error> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let what = format!("expected at most {NODES_MAX} values and operators");
            return Err(Error::new("targeting", what));
        }
        match value {
            Value::Object(object) => match object.get("$ref") {
                Some(named) if object.len() == 1 => self.referred(named, references),
                _ => {
                    let each = object.iter();
                    let each = each.map(|(key, value)| Ok((key.clone(), self.opened(value, references)?)));
                    each.collect::<Result<Map<_, _>, Error>>().map(Value::Object)
                }
            },
            Value::Array(list) => {
                let each = list.iter().map(|value| self.opened(value, references));
                each.collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            other => Ok(other.clone()),
        }
    }

    fn referred(&mut self, named: &Value, references: usize) -> Result<Value, Error> {
        let name = named.as_str().unwrap_or_default();
        if references >= REFERENCES_MAX {
            let what = format!("expected evaluators that name each other at most {REFERENCES_MAX} deep");
            return Err(Error::new("targeting.$ref", what));
        }
        let evaluators = self.evaluators;
        match evaluators.get(name) {
            Some(evaluator) => self.opened(evaluator, references + 1),
            None => {
                let what = format!("$evaluators has no \"{}\"", short(name));
                Err(Error::new("targeting.$ref", what))
            }
        }
    }
}
