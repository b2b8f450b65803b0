//! Semantic versions (<https://semver.org>), as flagd's `sem_ver` reads them: with or without a `v`, minor and patch
//! left out at will, build metadata passed over.

use std::cmp::Ordering;

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version<'t> {
    numbers: [&'t str; 3],
    before: Option<&'t str>,
}

/// The comparisons that there are.
pub(crate) const OPERATORS: [&str; 8] = ["=", "!=", "<", "<=", ">", ">=", "~", "^"];

/// Whether the comparison holds; not where one is no version, or there is no such comparison.
pub(crate) fn holds(actual: &str, operator: &str, target: &str) -> bool {
    let (Some(actual), Some(target)) = (parse(actual), parse(target)) else {
        return false;
    };
    let order = actual.order(&target);
    match operator {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "~" => actual.numbers[..2] == target.numbers[..2],
        "^" => actual.numbers[0] == target.numbers[0],
        _ => false,
    }
}

fn parse(text: &str) -> Option<Version<'_>> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text
        .split_once('+')
        .map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, before) = text
        .split_once('-')
        .map_or((text, None), |(core, before)| (core, Some(before)));
    let mut numbers = ["0"; 3];
    let mut count = 0;
    for part in core.split('.') {
        *numbers.get_mut(count)? = number(part)?;
        count += 1;
    }
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let named = |text: &str, numeric: bool| {
        text.split('.').all(|part| {
            let digits = part.bytes().all(|b| b.is_ascii_digit());
            word(part) && !(numeric && digits && number(part).is_none())
        })
    };
    let whole = count == 3 || (before.is_none() && build.is_none());
    let good =
        before.is_none_or(|before| named(before, true)) && build.is_none_or(|build| named(build, false));
    (whole && good).then_some(Version { numbers, before })
}

/// Digits without a zero before them.
fn number(part: &str) -> Option<&str> {
    let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (digits && (part == "0" || !part.starts_with('0'))).then_some(part)
}

/// Numbers of any length: the longer is the greater.
fn numeric(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

impl Version<'_> {
    fn order(&self, other: &Self) -> Ordering {
        let each = self.numbers.iter().zip(other.numbers);
        let core = each.fold(Ordering::Equal, |order, (one, other)| {
            order.then_with(|| numeric(one, other))
        });
        core.then_with(|| match (self.before, other.before) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => before(one, other),
        })
    }
}

/// Precedence of pre-releases: <https://semver.org/#spec-item-11>.
fn before(one: &str, other: &str) -> Ordering {
    let (mut ones, mut others) = (one.split('.'), other.split('.'));
    loop {
        let order = match (ones.next(), others.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) => match (number(one), number(other)) {
                (Some(one), Some(other)) => numeric(one, other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => one.cmp(other),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_the_standard_has_it() {
        let rising = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.2",
            "1.10.0",
            "2",
            "10.0.0",
        ];
        for pair in rising.windows(2) {
            assert!(holds(pair[0], "<", pair[1]), "{pair:?}");
            assert!(
                holds(pair[1], ">", pair[0]) && holds(pair[0], "!=", pair[1]),
                "{pair:?}"
            );
            assert!(
                holds(pair[0], "<=", pair[0]) && holds(pair[0], ">=", pair[0]),
                "{pair:?}"
            );
        }
        for (actual, operator, target) in [
            ("v1.2.3", "=", "1.2.3+build.7"),
            ("1.2.9", "~", "1.2.0"),
            ("1.9.0", "^", "1.2.0"),
            ("1", "=", "1.0.0"),
        ] {
            assert!(holds(actual, operator, target), "{actual} {operator} {target}");
        }
        for (actual, operator, target) in [
            ("1.3.0", "~", "1.2.0"),
            ("2.0.0", "^", "1.2.0"),
            ("01.0.0", "=", "1.0.0"),
            ("1.0.0.0", "=", "1.0.0"),
            ("1.0-rc", "=", "1.0-rc"),
            ("", "=", ""),
            ("1.0.0", "==", "1.0.0"),
        ] {
            assert!(!holds(actual, operator, target), "{actual} {operator} {target}");
        }
    }
}
