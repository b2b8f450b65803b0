//! Targeting as a tree: JsonLogic (<https://jsonlogic.com>) as far as flagd defines it, with flagd's own operators.

use serde_json::{Map, Value};

use crate::{DEPTH_MAX, Error, NODES_MAX, semver, short};

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rule {
    /// What it says itself.
    Value(Value),
    /// What each says.
    List(Vec<Rule>),
    /// What an operator makes of what each says.
    Call(Operator, Vec<Rule>),
}

/// What there is to be done with values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Var,
    If,
    Equal,
    StrictlyEqual,
    Unequal,
    StrictlyUnequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    And,
    Or,
    Not,
    Truth,
    Cat,
    StartsWith,
    EndsWith,
    SemVer,
    Fractional,
}

/// Every operator with its name and how many values it takes.
const OPERATORS: [(&str, Operator, usize, usize); 20] = [
    ("var", Operator::Var, 1, 2),
    ("if", Operator::If, 1, usize::MAX),
    ("==", Operator::Equal, 2, 2),
    ("===", Operator::StrictlyEqual, 2, 2),
    ("!=", Operator::Unequal, 2, 2),
    ("!==", Operator::StrictlyUnequal, 2, 2),
    ("<", Operator::Less, 2, 3),
    ("<=", Operator::LessOrEqual, 2, 3),
    (">", Operator::Greater, 2, 2),
    (">=", Operator::GreaterOrEqual, 2, 2),
    ("in", Operator::In, 2, 2),
    ("and", Operator::And, 1, usize::MAX),
    ("or", Operator::Or, 1, usize::MAX),
    ("!", Operator::Not, 1, 1),
    ("!!", Operator::Truth, 1, 1),
    ("cat", Operator::Cat, 1, usize::MAX),
    ("starts_with", Operator::StartsWith, 2, 2),
    ("ends_with", Operator::EndsWith, 2, 2),
    ("sem_ver", Operator::SemVer, 3, 3),
    ("fractional", Operator::Fractional, 2, usize::MAX),
];

impl Rule {
    /// Reads targeting; nothing where it says nothing.
    pub(crate) fn read(targeting: &Value) -> Result<Option<Self>, Error> {
        if targeting.is_null() || targeting.as_object().is_some_and(Map::is_empty) {
            return Ok(None);
        }
        let mut reader = Reader { nodes: 0 };
        reader.rule(targeting, "targeting", 0).map(Some)
    }

    /// Checks the names of variants that it gives, as far as they stand in it.
    pub(crate) fn check(&self, path: &str, is_variant: &impl Fn(&str) -> bool) -> Result<(), Error> {
        match self {
            Self::Value(value) => match crate::flag::name(value) {
                Some(Some(name)) if is_variant(&name) => Ok(()),
                Some(None) => Ok(()),
                _ => {
                    let what = format!(
                        "expected one of the variants, found {}",
                        short(&value.to_string())
                    );
                    Err(Error::new(path, what))
                }
            },
            Self::Call(Operator::If, branches) => {
                for (at, branch) in branches.iter().enumerate() {
                    let is_condition = at % 2 == 0 && at + 1 < branches.len();
                    if !is_condition {
                        branch.check(&format!("{path}.if[{at}]"), is_variant)?;
                    }
                }
                Ok(())
            }
            Self::Call(Operator::Fractional, arms) => {
                for (at, arm) in arms.iter().enumerate() {
                    if let Some(first) = arm.first() {
                        first.check(&format!("{path}.fractional[{at}][0]"), is_variant)?;
                    }
                }
                Ok(())
            }
            Self::List(_) | Self::Call(..) => Ok(()),
        }
    }

    /// The first entry of a list.
    fn first(&self) -> Option<Self> {
        match self {
            Self::List(list) => list.first().cloned(),
            Self::Value(Value::Array(list)) => list.first().cloned().map(Self::Value),
            _ => None,
        }
    }
}

struct Reader {
    nodes: usize,
}

impl Reader {
    fn rule(&mut self, value: &Value, path: &str, depth: usize) -> Result<Rule, Error> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            let what = format!("expected at most {DEPTH_MAX} levels and {NODES_MAX} values and operators");
            return Err(Error::new("targeting", what));
        }
        match value {
            Value::Object(object) => match object.iter().next() {
                Some((name, values)) if object.len() == 1 => self.call(name, values, path, depth),
                None => Ok(Rule::Value(value.clone())),
                Some(_) => {
                    let what = format!("expected one operator, found {}", object.len());
                    Err(Error::new(path, what))
                }
            },
            Value::Array(list) => {
                let rules = self.each(list, path, depth)?;
                match rules.iter().all(|rule| matches!(rule, Rule::Value(_))) {
                    true => Ok(Rule::Value(value.clone())),
                    false => Ok(Rule::List(rules)),
                }
            }
            plain => Ok(Rule::Value(plain.clone())),
        }
    }

    fn each(&mut self, list: &[Value], path: &str, depth: usize) -> Result<Vec<Rule>, Error> {
        let each = list.iter().enumerate();
        each.map(|(at, value)| self.rule(value, &format!("{path}[{at}]"), depth + 1))
            .collect()
    }

    fn call(&mut self, name: &str, values: &Value, path: &str, depth: usize) -> Result<Rule, Error> {
        let Some((_, operator, least, most)) = OPERATORS.iter().find(|(known, ..)| *known == name) else {
            let known: Vec<&str> = OPERATORS.iter().map(|(known, ..)| *known).collect();
            let what = format!(
                "there is no operator \"{}\", there are {}",
                short(name),
                known.join(", ")
            );
            return Err(Error::new(path, what));
        };
        let path = format!("{path}.{name}");
        let rules = match values {
            Value::Array(list) => self.each(list, &path, depth)?,
            single => vec![self.rule(single, &path, depth + 1)?],
        };
        if rules.len() < *least || rules.len() > *most {
            let wanted = match (*least, *most) {
                (least, most) if least == most => format!("{least}"),
                (least, usize::MAX) => format!("at least {least}"),
                (least, most) => format!("{least} to {most}"),
            };
            let what = format!("expected {wanted} values, found {}", rules.len());
            return Err(Error::new(path, what));
        }
        check(*operator, &rules, &path)?;
        Ok(Rule::Call(*operator, rules))
    }
}

/// What can be said of values that stand in the definition itself.
fn check(operator: Operator, rules: &[Rule], path: &str) -> Result<(), Error> {
    match operator {
        Operator::SemVer => match &rules[1] {
            Rule::Value(Value::String(found)) if semver::OPERATORS.contains(&found.as_str()) => Ok(()),
            _ => {
                let what = format!("expected one of {}", semver::OPERATORS.join(" "));
                Err(Error::new(format!("{path}[1]"), what))
            }
        },
        Operator::Fractional => {
            for (at, rule) in rules.iter().enumerate() {
                if let Rule::Value(Value::Array(arm)) = rule {
                    let good = match arm.as_slice() {
                        [_] => true,
                        [_, weight] => weight.as_u64().is_some_and(|weight| weight <= i32::MAX as u64),
                        _ => false,
                    };
                    if !good {
                        let what = "expected a variant and its whole number of parts, such as [\"on\", 10]";
                        return Err(Error::new(format!("{path}[{at}]"), what));
                    }
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
