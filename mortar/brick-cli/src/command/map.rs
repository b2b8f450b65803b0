//! `brick map`: who may call whom (the manifest) and who does (spans, of both ends), as a table or as a diagram.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::ps::text;
use crate::agent::Agent;
use crate::cli;
use crate::failure::Outcome;
use crate::output::{Format, Output, Table, Tone, line, plain};

/// The system as it is drawn.
#[derive(Debug, Default, Serialize)]
struct Map {
    system: String,
    window_s: u64,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

/// A brick, the edge, a platform process or something outside.
#[derive(Debug, Serialize)]
struct Node {
    name: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_rate: Option<f64>,
}

/// One may call the other; figures where there was traffic.
#[derive(Debug, Serialize)]
struct Edge {
    from: String,
    to: String,
    /// Whether the manifest says so (a route or a need).
    declared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Traffic>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Traffic {
    rate: f64,
    error_rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// The same calls as the callee saw them, where it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    callee: Option<Seen>,
    /// Share of the calls that failed for the caller and not for the callee.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<f64>,
    /// Whether that is enough to call it a lossy edge.
    lossy: bool,
}

/// What the callee saw.
#[derive(Debug, Clone, Copy, Serialize)]
struct Seen {
    rate: f64,
    error_rate: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Share of lost calls from which an edge is lossy; the console's map draws the line at the same place.
const LOSSY: f64 = 0.01;

impl Traffic {
    fn read(edge: &Value) -> Self {
        let number = |of: &Value, key: &str| of[key].as_f64().unwrap_or(0.0);
        let callee = edge.get("callee").filter(|callee| callee.is_object());
        let lost = edge["lost"].as_f64();
        Self {
            rate: number(edge, "rate"),
            error_rate: number(edge, "error_rate"),
            p50_ms: number(edge, "p50_ms"),
            p99_ms: number(edge, "p99_ms"),
            callee: callee.map(|callee| Seen {
                rate: number(callee, "rate"),
                error_rate: number(callee, "error_rate"),
                p50_ms: number(callee, "p50_ms"),
                p99_ms: number(callee, "p99_ms"),
            }),
            lost,
            lossy: lost.is_some_and(|lost| lost >= LOSSY),
        }
    }
}

pub(crate) async fn run(agent: &Agent, wish: &cli::Map, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    let system: Value = admin.get("/api/system/v1").await?;
    let window = wish.window.0.as_secs().max(1);
    let graph: Value = admin
        .get(&format!("/api/telemetry/v1/graph?window={window}s"))
        .await?;
    let map = join(&system, &graph);
    match output.format {
        Format::Mermaid => line(mermaid(&map).trim_end()),
        Format::Dot => line(dot(&map).trim_end()),
        _ => output.value(&map, || table(&map).render(output.color_out)),
    }
    Ok(())
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// What the manifest declares: kinds of nodes by name, and who may call whom.
fn declared(system: &Value) -> (BTreeMap<String, String>, BTreeSet<(String, String)>) {
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    let mut links: BTreeSet<(String, String)> = BTreeSet::new();
    for route in list(&system["routes"]) {
        kinds.insert("edge".to_owned(), "edge".to_owned());
        links.insert(("edge".to_owned(), text(&route["to"])));
    }
    for brick in list(&system["bricks"]) {
        let name = text(&brick["name"]);
        let needs = list(&brick["needs"]);
        links.extend(needs.iter().map(|need| (name.clone(), text(need))));
        kinds.insert(name, "brick".to_owned());
    }
    for external in list(&system["externals"]) {
        kinds.insert(text(&external["name"]), "external".to_owned());
    }
    (kinds, links)
}

/// What the manifest declares, with what spans have seen.
fn join(system: &Value, graph: &Value) -> Map {
    let (mut kinds, links) = declared(system);
    let mut rates: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for node in list(&graph["nodes"]) {
        let name = node_name(&node);
        kinds.entry(name.clone()).or_insert_with(|| text(&node["kind"]));
        let number = |key: &str| node[key].as_f64().unwrap_or(0.0);
        rates.insert(name, (number("rate"), number("error_rate")));
    }
    let edge_node = list(&graph["nodes"])
        .into_iter()
        .find(|node| node["kind"] == "edge");
    let edge_name = edge_node.map_or_else(|| "gateway".to_owned(), |node| text(&node["brick"]));
    let alias = |name: String| {
        if name == edge_name {
            "edge".to_owned()
        } else {
            name
        }
    };
    let mut seen: BTreeMap<(String, String), Traffic> = BTreeMap::new();
    for edge in list(&graph["edges"]) {
        let pair = (alias(text(&edge["from"])), alias(text(&edge["to"])));
        seen.insert(pair, Traffic::read(&edge));
    }
    let all: BTreeSet<(String, String)> = links.iter().chain(seen.keys()).cloned().collect();
    Map {
        system: text(&system["name"]),
        window_s: graph["window_s"].as_u64().unwrap_or(0),
        nodes: kinds
            .into_iter()
            .map(|(name, kind)| Node {
                rate: rates.get(&name).map(|(rate, _)| *rate),
                error_rate: rates.get(&name).map(|(_, errors)| *errors),
                name,
                kind,
            })
            .collect(),
        edges: all
            .into_iter()
            .map(|pair| Edge {
                declared: links.contains(&pair),
                traffic: seen.get(&pair).copied(),
                from: pair.0,
                to: pair.1,
            })
            .collect(),
    }
}

/// The gateway's spans are the edge.
fn node_name(node: &Value) -> String {
    if node["kind"] == "edge" {
        "edge".to_owned()
    } else {
        text(&node["brick"])
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn table(map: &Map) -> Table {
    let mut table = Table::new(&[
        "from",
        "to",
        ">rate/s",
        ">errors",
        ">p50 ms",
        ">p99 ms",
        ">callee err",
        ">callee p99",
        ">lost",
        "manifest",
    ]);
    for edge in &map.edges {
        let own = |get: fn(&Traffic) -> String| edge.traffic.as_ref().map(get).unwrap_or_default();
        let callee = edge.traffic.as_ref().and_then(|traffic| traffic.callee);
        let there = |get: fn(&Seen) -> String| callee.as_ref().map(get).unwrap_or_default();
        let tone = |bad: bool| if bad { Tone::Bad } else { Tone::Plain };
        let lossy = edge.traffic.is_some_and(|traffic| traffic.lossy);
        table.row(vec![
            (edge.from.clone(), Tone::Plain),
            (edge.to.clone(), Tone::Plain),
            (own(|t| format!("{:.1}", t.rate)), Tone::Plain),
            (
                own(|t| percent(t.error_rate)),
                tone(edge.traffic.is_some_and(|t| t.error_rate > 0.0)),
            ),
            (own(|t| format!("{:.1}", t.p50_ms)), Tone::Plain),
            (own(|t| format!("{:.1}", t.p99_ms)), Tone::Plain),
            (
                there(|c| percent(c.error_rate)),
                tone(callee.is_some_and(|c| c.error_rate > 0.0)),
            ),
            (there(|c| format!("{:.1}", c.p99_ms)), Tone::Plain),
            (own(|t| t.lost.map(percent).unwrap_or_default()), tone(lossy)),
            if edge.declared {
                ("yes".to_owned(), Tone::Dim)
            } else {
                ("no".to_owned(), Tone::Warn)
            },
        ]);
    }
    table
}

/// What stands on an arrow.
fn label(traffic: &Traffic) -> String {
    let mut label = format!("{:.1}/s, p99 {:.1} ms", traffic.rate, traffic.p99_ms);
    if traffic.error_rate > 0.0 {
        let _ = write!(label, ", {} errors", percent(traffic.error_rate));
    }
    if let Some(lost) = traffic.lost.filter(|_| traffic.lossy) {
        let _ = write!(label, ", {} lost on the way", percent(lost));
    }
    label
}

/// Text inside quotes of a diagram: without what would end them.
fn quoted(text: &str) -> String {
    plain(text).replace(['"', '\\'], "'")
}

fn mermaid(map: &Map) -> String {
    let mut out = "flowchart LR\n".to_owned();
    let number: BTreeMap<&str, usize> = map
        .nodes
        .iter()
        .enumerate()
        .map(|(number, node)| (node.name.as_str(), number))
        .collect();
    for (number, node) in map.nodes.iter().enumerate() {
        let name = quoted(&node.name);
        let shape = match node.kind.as_str() {
            "edge" => format!("([\"{name}\"])"),
            "external" => format!("[/\"{name}\"/]"),
            _ => format!("[\"{name}\"]"),
        };
        let _ = writeln!(out, "  n{number}{shape}");
    }
    for edge in &map.edges {
        let (Some(from), Some(to)) = (number.get(edge.from.as_str()), number.get(edge.to.as_str())) else {
            continue;
        };
        let _ = match &edge.traffic {
            Some(traffic) if traffic.lossy => writeln!(out, "  n{from} --x|\"{}\"| n{to}", label(traffic)),
            Some(traffic) => writeln!(out, "  n{from} -->|\"{}\"| n{to}", label(traffic)),
            None => writeln!(out, "  n{from} -.-> n{to}"),
        };
    }
    out
}

fn dot(map: &Map) -> String {
    let mut out = format!(
        "digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box];\n",
        quoted(&map.system)
    );
    for node in &map.nodes {
        let shape = match node.kind.as_str() {
            "edge" => " [shape=ellipse]",
            "external" => " [shape=parallelogram]",
            _ => "",
        };
        let _ = writeln!(out, "  \"{}\"{shape};", quoted(&node.name));
    }
    for edge in &map.edges {
        let (from, to) = (quoted(&edge.from), quoted(&edge.to));
        let _ = match &edge.traffic {
            Some(traffic) if traffic.error_rate > 0.0 => {
                let style = if traffic.lossy { ", arrowhead=tee" } else { "" };
                writeln!(
                    out,
                    "  \"{from}\" -> \"{to}\" [label=\"{}\", color=red{style}];",
                    label(traffic)
                )
            }
            Some(traffic) => writeln!(out, "  \"{from}\" -> \"{to}\" [label=\"{}\"];", label(traffic)),
            None => writeln!(out, "  \"{from}\" -> \"{to}\" [style=dashed];"),
        };
    }
    out.push_str("}\n");
    out
}
