//! The nearest valid name: what a misspelt one was probably meant to be.

/// The candidate that is at most a third of the letters (and at least one) away, if any.
pub fn nearest<'c>(found: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // A name this long is no misspelling, and the distance costs the product of both lengths.
    if found.len() > 100 {
        return None;
    }
    let near = (found.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(found, candidate), candidate))
        .filter(|(distance, _)| (1..=near).contains(distance))
        .min()
        .map(|(_, candidate)| candidate)
}

/// A hint that names the nearest candidate, or all of them where none is near.
pub fn hint<'c>(found: &str, kind: &str, candidates: impl IntoIterator<Item = &'c str> + Clone) -> String {
    if let Some(name) = nearest(found, candidates.clone()) {
        return format!("did you mean \"{name}\"?");
    }
    let all: Vec<&str> = candidates.into_iter().take(40).collect();
    if all.is_empty() {
        format!("there are no {kind}")
    } else {
        format!("{kind}: {}", all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised_and_a_foreign_one_is_not() {
        let names = ["replicas", "run", "needs"];
        for (found, expect) in [
            ("replcas", Some("replicas")),
            ("replicsa", Some("replicas")),
            ("rum", Some("run")),
            ("need", Some("needs")),
            ("colour", None),
            ("run", None),
        ] {
            assert_eq!(nearest(found, names), expect, "{found}");
        }
    }

    #[test]
    fn where_nothing_is_near_all_are_named() {
        assert_eq!(
            hint("x", "bricks", ["order", "product"]),
            "bricks: order, product"
        );
        assert_eq!(hint("x", "bricks", []), "there are no bricks");
    }
}
