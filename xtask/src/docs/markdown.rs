//! As much of Markdown as links and headings need: code is passed over, anchors are made as mdBook and GitHub make them.

use std::collections::BTreeMap;

/// A link with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Line, from 1.
    pub(super) line: usize,
    /// Where it leads, as written.
    pub(super) target: String,
}

/// The links of a page, images included.
pub(super) fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        each_target(&line, |target| {
            links.push(Link {
                line: number,
                target: target.to_owned(),
            });
            None
        });
    }
    links
}

/// The page with every link target that `to` answers replaced.
pub(super) fn rewritten(text: &str, mut to: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut fence = Fence::default();
    for line in text.lines() {
        if fence.is_code(line) {
            out.push_str(line);
        } else {
            out.push_str(&each_target(line, &mut to));
        }
        out.push('\n');
    }
    out
}

/// The anchors of a page's headings; the second of the same name ends in `-1`, and so on.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut fence = Fence::default();
    let headings = text
        .lines()
        .filter(|line| !fence.is_code(line))
        .filter_map(|line| {
            let rest = line.trim_start_matches('#');
            let level = line.len() - rest.len();
            ((1..=6).contains(&level) && rest.starts_with(' ')).then(|| anchor(rest.trim()))
        });
    headings
        .map(|name| {
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            match *count {
                1 => name,
                more => format!("{name}-{}", more - 1),
            }
        })
        .collect()
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    // A link counts with its text alone.
    while let Some(open) = rest.find("](") {
        text.push_str(&rest[..open]);
        rest = rest[open..].split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let kept = text.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_lowercase().next().unwrap_or(c)),
        ' ' => Some('-'),
        _ => None,
    });
    kept.collect()
}

/// Follows code fences.
#[derive(Debug, Default)]
struct Fence(Option<usize>);

impl Fence {
    /// Whether the line is code, or begins or ends it.
    fn is_code(&mut self, line: &str) -> bool {
        let ticks = line.trim_start().bytes().take_while(|b| *b == b'`').count();
        match self.0 {
            None if ticks >= 3 => self.0 = Some(ticks),
            None => return false,
            Some(open) if ticks >= open => self.0 = None,
            Some(_) => {}
        }
        true
    }
}

/// The lines that are no code.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fence = Fence::default();
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !fence.is_code(line))
        .map(|(at, line)| (at + 1, line.to_owned()))
        .collect()
}

/// Walks over `](target)` outside code spans; what `to` answers takes the target's place.
fn each_target(line: &str, mut to: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut code = false;
    while let Some(at) = rest.find(['`', ']']) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('`') {
            code = !code;
            out.push('`');
            rest = tail;
        } else if let (false, Some((target, tail))) = (code, target(after)) {
            let title = target.find(" \"").unwrap_or(target.len());
            let (target, title) = target.split_at(title);
            let new = to(target);
            out.push_str("](");
            out.push_str(new.as_deref().unwrap_or(target));
            out.push_str(title);
            out.push(')');
            rest = tail;
        } else {
            out.push(']');
            rest = &after[1..];
        }
    }
    out.push_str(rest);
    out
}

fn target(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("](")?.split_once(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text =
            "[a](b.md#c) and `[x](y)`\n```sh\n[no](no)\n```\n![i](p.png \"t\") [`[test.NAME]`](m.md)\n";
        let found: Vec<(usize, String)> = links(text)
            .into_iter()
            .map(|link| (link.line, link.target))
            .collect();
        let expect = [(1, "b.md#c"), (5, "p.png"), (5, "m.md")];
        assert_eq!(found, expect.map(|(line, target)| (line, target.to_owned())));
    }

    #[test]
    fn a_rewritten_page_differs_in_its_links_alone() {
        let text = "[a](b.md) `[x](b.md)` ](\n```\n[n](b.md)\n```\n";
        let page = rewritten(text, |target| (target == "b.md").then(|| "c.md".to_owned()));
        assert_eq!(page, "[a](c.md) `[x](b.md)` ](\n```\n[n](b.md)\n```\n");
    }

    #[test]
    fn anchors_are_those_of_the_book() {
        let text = "# The tour\n## [test.NAME]\n```sh\n# no heading\n```\n## A `x` & [b](c.md)\n## The tour\n#nothing\n";
        assert_eq!(anchors(text), ["the-tour", "testname", "a-x--b", "the-tour-1"]);
    }
}
