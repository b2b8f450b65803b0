//! What a rule gives for a context. Comparisons are JavaScript's, as JsonLogic has them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::rule::{Operator, Rule};
use crate::{TARGETING_KEY, murmur, semver};

/// Bytes of a text that is put together at most; a longer one is nothing.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What a rule may look at.
pub(crate) struct Scope<'s> {
    /// Key of the flag, `$flagd.flagKey`.
    pub(crate) key: &'s str,
    pub(crate) context: &'s Map<String, Value>,
    /// Seconds since 1970, `$flagd.timestamp`.
    pub(crate) now: i64,
}

const NOTHING: Cow<'static, Value> = Cow::Owned(Value::Null);

impl<'s> Scope<'s> {
    /// What the rule gives.
    pub(crate) fn value(&self, rule: &'s Rule) -> Cow<'s, Value> {
        match rule {
            Rule::Value(value) => Cow::Borrowed(value),
            Rule::List(rules) => {
                let each = rules.iter().map(|rule| self.value(rule).into_owned());
                Cow::Owned(Value::Array(each.collect()))
            }
            Rule::Call(operator, rules) => self.call(*operator, rules),
        }
    }

    fn call(&self, operator: Operator, rules: &'s [Rule]) -> Cow<'s, Value> {
        match operator {
            Operator::Var => self.var(rules),
            Operator::If => self.branch(rules),
            Operator::And | Operator::Or => self.first(rules, operator == Operator::Or),
            Operator::Cat => self.cat(rules),
            Operator::Fractional => {
                let values: Vec<_> = rules.iter().map(|rule| self.value(rule)).collect();
                self.fractional(&values).map_or(NOTHING, Cow::Owned)
            }
            Operator::Less | Operator::LessOrEqual if rules.len() == 3 => {
                let holds = |at: usize| self.holds(operator, &rules[at..=at + 1]);
                Cow::Owned(Value::Bool(holds(0) && holds(1)))
            }
            _ => Cow::Owned(Value::Bool(self.holds(operator, rules))),
        }
    }

    /// Operators that say yes or no.
    fn holds(&self, operator: Operator, rules: &'s [Rule]) -> bool {
        let of = |at: usize| rules.get(at).map_or(NOTHING, |rule| self.value(rule));
        let (one, other) = (of(0), of(1));
        let texts = |holds: fn(&str, &str) -> bool| match (&*one, &*other) {
            (Value::String(one), Value::String(other)) => holds(one, other),
            _ => false,
        };
        match operator {
            Operator::Equal => equal(&one, &other),
            Operator::Unequal => !equal(&one, &other),
            Operator::StrictlyEqual => same(&one, &other),
            Operator::StrictlyUnequal => !same(&one, &other),
            Operator::Less => order(&one, &other).is_some_and(|order| order.is_lt()),
            Operator::LessOrEqual => order(&one, &other).is_some_and(|order| order.is_le()),
            Operator::Greater => order(&one, &other).is_some_and(|order| order.is_gt()),
            Operator::GreaterOrEqual => order(&one, &other).is_some_and(|order| order.is_ge()),
            Operator::In => match &*other {
                Value::Array(list) => list.iter().any(|value| same(value, &one)),
                _ => texts(|one, other| other.contains(one)),
            },
            Operator::Not => !truth(&one),
            Operator::Truth => truth(&one),
            Operator::StartsWith => texts(|one, other| one.starts_with(other)),
            Operator::EndsWith => texts(|one, other| one.ends_with(other)),
            Operator::SemVer => match (&*one, &*other, &*of(2)) {
                (Value::String(actual), Value::String(operator), Value::String(target)) => {
                    semver::holds(actual, operator, target)
                }
                _ => false,
            },
            Operator::Var
            | Operator::If
            | Operator::And
            | Operator::Or
            | Operator::Cat
            | Operator::Fractional => false,
        }
    }

    fn var(&self, rules: &'s [Rule]) -> Cow<'s, Value> {
        let path = rules.first().map_or(NOTHING, |rule| self.value(rule));
        let path = match &*path {
            Value::String(path) => Cow::Borrowed(path.as_str()),
            other => Cow::Owned(other.to_string()),
        };
        let found = match path.strip_prefix("$flagd.") {
            Some("flagKey") => Some(Cow::Owned(Value::from(self.key))),
            Some("timestamp") => Some(Cow::Owned(Value::from(self.now))),
            Some(_) => None,
            None => self.at(&path).map(Cow::Borrowed),
        };
        let found = found.filter(|value| !value.is_null());
        found.unwrap_or_else(|| rules.get(1).map_or(NOTHING, |rule| self.value(rule)))
    }

    /// What stands at a dotted path. A name with dots in it counts first.
    fn at(&self, path: &str) -> Option<&'s Value> {
        if let Some(value) = self.context.get(path) {
            return Some(value);
        }
        let mut parts = path.split('.');
        let first = self.context.get(parts.next()?)?;
        parts.try_fold(first, |value, part| match value {
            Value::Object(object) => object.get(part),
            Value::Array(list) => list.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// `[condition, then, condition, then, …, else]`
    fn branch(&self, rules: &'s [Rule]) -> Cow<'s, Value> {
        for pair in rules.chunks(2) {
            match pair {
                [condition, then] if truth(&self.value(condition)) => return self.value(then),
                [otherwise] => return self.value(otherwise),
                _ => {}
            }
        }
        NOTHING
    }

    /// The first that is true (or that is not), else the last.
    fn first(&self, rules: &'s [Rule], wanted: bool) -> Cow<'s, Value> {
        let mut last = NOTHING;
        for rule in rules {
            last = self.value(rule);
            if truth(&last) == wanted {
                break;
            }
        }
        last
    }

    fn cat(&self, rules: &'s [Rule]) -> Cow<'s, Value> {
        let mut whole = String::new();
        for rule in rules {
            match &*self.value(rule) {
                Value::String(text) => whole.push_str(text),
                Value::Null => {}
                other => whole.push_str(&other.to_string()),
            }
            if whole.len() > TEXT_BYTES_MAX {
                return NOTHING;
            }
        }
        Cow::Owned(Value::String(whole))
    }

    /// flagd's split: the key's hash, spread over all parts, falls into the parts of one variant. The key is the first
    /// value where that is a text, else key of the flag and targeting key; without one nobody is split.
    fn fractional(&self, values: &[Cow<'_, Value>]) -> Option<Value> {
        let (key, arms) = match &**values.first()? {
            Value::String(key) => (key.clone(), &values[1..]),
            first => {
                let arms = if first.is_null() { &values[1..] } else { values };
                let own = self.context.get(TARGETING_KEY)?.as_str()?;
                (format!("{}{own}", self.key), arms)
            }
        };
        let arms: Vec<(&Value, u64)> = arms.iter().map(|arm| weighed(arm)).collect::<Option<_>>()?;
        let all: u64 = arms.iter().map(|(_, weight)| weight).sum();
        let all = u32::try_from(all).ok().filter(|all| *all <= i32::MAX as u32)?;
        let point = (u64::from(murmur::hash(key.as_bytes())) * u64::from(all)) >> 32;
        let mut end = 0;
        let found = arms.into_iter().find(|(_, weight)| {
            end += weight;
            point < end
        });
        found.map(|(variant, _)| variant.clone())
    }
}

/// A variant and its parts, one unless said.
fn weighed(arm: &Value) -> Option<(&Value, u64)> {
    match arm.as_array()?.as_slice() {
        [variant] | [variant, Value::Null] => Some((variant, 1)),
        [variant, weight] => {
            let weight = weight.as_f64().filter(|weight| weight.fract() == 0.0)?;
            let fits = (0.0..=f64::from(i32::MAX)).contains(&weight);
            // A whole number between these two is one of u64.
            fits.then_some((variant, weight as u64))
        }
        _ => None,
    }
}

/// What counts as true: not nothing, not zero, not empty.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(_) => true,
    }
}

/// Equal and of one type.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

/// Equal, numbers in texts and truth values counting as numbers.
fn equal(one: &Value, other: &Value) -> bool {
    use Value::{Array, Bool, Null, Number, Object, String};
    match (one, other) {
        (Null, _) | (_, Null) => one == other,
        (String(_), String(_)) | (Bool(_), Bool(_)) | (Number(_), Number(_)) => same(one, other),
        (Array(_) | Object(_), _) | (_, Array(_) | Object(_)) => one == other,
        _ => number(one).is_some_and(|one| Some(one) == number(other)),
    }
}

/// Texts by their characters, else numbers; nothing where one is no number.
fn order(one: &Value, other: &Value) -> Option<std::cmp::Ordering> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        _ => number(one)?.partial_cmp(&number(other)?),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(0.0),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.trim().is_empty() => Some(0.0),
        Value::String(text) => {
            let digits = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
            let text = text.trim();
            text.bytes().all(digits).then(|| text.parse().ok())?
        }
        Value::Array(_) | Value::Object(_) => None,
    }
}
