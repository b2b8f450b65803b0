//! Paths as a tree of segments. A walk goes down once, as far as the path leads, then up again over the prefixes on its
//! way, so it costs the path's length however many routes there are.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::{Conditions, Error, Rank, Route};

const ROOT: usize = 0;

/// The routes of one host.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, usize>,
    /// Routes of this path alone, most specific first.
    exact: Vec<Entry>,
    /// Routes of this path and below, with parameters or with `/**`.
    below: Vec<Entry>,
    /// The nearest node above that has routes of the latter kind.
    up: Option<usize>,
}

#[derive(Debug)]
struct Entry {
    rank: Rank,
    /// Segments behind the node: a text, or none for a parameter.
    parameters: Option<Box<[Option<Box<str>>]>>,
    route: Arc<Route>,
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl Trie {
    pub(super) fn add(&mut self, route: Route) -> Result<(), Error> {
        let pattern = Arc::clone(&route.pattern);
        let wrong = || Error::Pattern {
            pattern: pattern.to_string(),
        };
        let (base, rest) = match (pattern.strip_suffix("/**"), pattern.find("/{")) {
            (Some(base), None) => (base, None),
            (None, Some(at)) => (&pattern[..at], Some(&pattern[at + 1..])),
            (None, None) => (&*pattern, None),
            (Some(_), Some(_)) => return Err(wrong()),
        };
        let plain = base.is_empty() || base.starts_with('/');
        if !pattern.starts_with('/') || !plain || base.contains(['*', '?', '#', '%', '\\', '{', '}']) {
            return Err(wrong());
        }
        let parameters = rest.map(parameters).transpose().map_err(|()| wrong())?;
        let is_exact = parameters.is_none() && base.len() == pattern.len();
        let entry = Entry {
            rank: Rank::new(&pattern, &route.conditions),
            parameters,
            route: Arc::new(route),
        };
        let node = self.node(base);
        let entries = if is_exact {
            &mut node.exact
        } else {
            &mut node.below
        };
        let same = |other: &Entry| {
            other.parameters == entry.parameters && other.route.conditions == entry.route.conditions
        };
        if entries.iter().any(same) {
            return Err(Error::Twice {
                pattern: pattern.to_string(),
            });
        }
        entries.push(entry);
        Ok(())
    }

    /// Puts everything in order; to be called once all routes are there.
    pub(super) fn finish(&mut self) {
        let mut todo = vec![(ROOT, None)];
        while let Some((at, up)) = todo.pop() {
            let node = &mut self.nodes[at];
            node.exact.sort_by_key(|entry| Reverse(entry.rank));
            node.below.sort_by_key(|entry| Reverse(entry.rank));
            node.up = up;
            let up = if node.below.is_empty() { up } else { Some(at) };
            todo.extend(node.children.values().map(|child| (*child, up)));
        }
    }

    /// Goes through the routes that cover the path, most specific first, until `stop` says so; whether it did.
    pub(super) fn walk<'r>(
        &'r self,
        path: &str,
        stop: &mut impl FnMut(&'r Arc<Route>, &'r Conditions) -> bool,
    ) -> bool {
        // `*` of OPTIONS is no path.
        let Some(mut rest) = path.strip_prefix('/') else {
            return false;
        };
        let mut node = &self.nodes[ROOT];
        let whole = loop {
            let (segment, tail) = match memchr::memchr(b'/', rest.as_bytes()) {
                Some(at) => (&rest[..at], Some(&rest[at + 1..])),
                None => (rest, None),
            };
            let Some(child) = node.children.get(segment) else {
                break false;
            };
            node = &self.nodes[*child];
            match tail {
                Some(tail) => rest = tail,
                None => break true,
            }
        };
        if whole
            && node
                .exact
                .iter()
                .any(|entry| stop(&entry.route, &entry.route.conditions))
        {
            return true;
        }
        loop {
            for entry in &node.below {
                let covers = entry
                    .parameters
                    .as_ref()
                    .is_none_or(|wanted| fit(wanted, path, entry.rank.segments));
                if covers && stop(&entry.route, &entry.route.conditions) {
                    return true;
                }
            }
            match node.up {
                Some(up) => node = &self.nodes[up],
                None => return false,
            }
        }
    }

    fn node(&mut self, base: &str) -> &mut Node {
        let mut at = ROOT;
        for segment in base.split('/').skip(1) {
            let next = self.nodes.len();
            let child = *self.nodes[at].children.entry(segment.into()).or_insert(next);
            if child == next {
                self.nodes.push(Node::default());
            }
            at = child;
        }
        &mut self.nodes[at]
    }
}

fn parameters(rest: &str) -> Result<Box<[Option<Box<str>>]>, ()> {
    let segment = |segment: &str| match segment.strip_prefix('{').map(|inner| inner.strip_suffix('}')) {
        Some(Some(name)) if !name.is_empty() => Ok(None),
        None if !segment.is_empty() && !segment.contains(['*', '?', '#', '%', '\\', '}']) => {
            Ok(Some(segment.into()))
        }
        _ => Err(()),
    };
    rest.split('/').map(segment).collect()
}

/// Whether the segments of the path behind the first few are the wanted ones; a parameter is not empty.
fn fit(wanted: &[Option<Box<str>>], path: &str, behind: usize) -> bool {
    let mut found = path.split('/').skip(1 + behind);
    let all = wanted.iter().all(|wanted| match (wanted, found.next()) {
        (Some(wanted), Some(found)) => **wanted == *found,
        (None, Some(found)) => !found.is_empty(),
        (_, None) => false,
    });
    all && found.next().is_none()
}
