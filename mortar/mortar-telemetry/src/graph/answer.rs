//! What slots add up to, as the graph is told.

use std::collections::BTreeMap;

use super::cell::Cell;
use super::{EDGE, Inner, Service, Sum, ends};
use crate::api;

/// The other processes of the platform.
const PLATFORM: [&str; 2] = ["control", "telemetry"];

#[expect(clippy::cast_precision_loss, reason = "seconds and counts are small")]
fn rate(cell: &Cell, over_s: u64) -> f64 {
    cell.count() as f64 / over_s as f64
}

impl Inner {
    pub(super) fn answer(
        &self,
        sum: &Sum,
        window_s: u64,
        over_s: u64,
        instances: &BTreeMap<String, u64>,
    ) -> api::Graph {
        let mut calls: BTreeMap<Service, Cell> = BTreeMap::new();
        for ((from, to), cell) in &sum.called {
            calls.entry(*from).or_default();
            calls.entry(*to).or_default().merge(cell);
        }
        for (service, cell) in &sum.served {
            // What a service says of itself goes before what its callers say.
            calls.insert(*service, cell.clone());
        }
        let node = |(service, cell): (Service, Cell)| {
            let brick = self.name(service).to_owned();
            let known = self.senders.contains(&service) || instances.contains_key(&brick);
            api::Node {
                kind: match (brick.as_str(), known) {
                    (EDGE, _) => api::NodeKind::Edge,
                    (name, _) if PLATFORM.contains(&name) => api::NodeKind::Platform,
                    (_, true) => api::NodeKind::Brick,
                    (_, false) => api::NodeKind::External,
                },
                instances: instances.get(&brick).copied().unwrap_or(0),
                rate: rate(&cell, over_s),
                error_rate: cell.error_rate(),
                p50_ms: cell.quantile_ms(0.50),
                p99_ms: cell.quantile_ms(0.99),
                brick,
            }
        };
        let mut nodes: Vec<_> = calls.into_iter().map(node).collect();
        nodes.sort_by(|a, b| a.brick.cmp(&b.brick));
        let mut edges: Vec<_> = sum
            .called
            .iter()
            .map(|(between, cell)| self.edge(sum, *between, cell, over_s))
            .collect();
        edges.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
        api::Graph {
            window_s,
            nodes,
            edges,
        }
    }

    fn edge(&self, sum: &Sum, between: (Service, Service), cell: &Cell, over_s: u64) -> api::Edge {
        let (from, to) = between;
        // A callee that tells who called, and does not tell of this caller, got nothing.
        let tells = self.heard.contains(&to);
        let none = Cell::default();
        let heard = tells.then(|| sum.heard.get(&between).unwrap_or(&none));
        let (caller, callee) = sum.settled.get(&between).copied().unwrap_or_default();
        api::Edge {
            from: self.name(from).to_owned(),
            to: self.name(to).to_owned(),
            rate: rate(cell, over_s),
            error_rate: cell.error_rate(),
            p50_ms: cell.quantile_ms(0.50),
            p99_ms: cell.quantile_ms(0.99),
            callee: heard.map(|cell| api::Callee {
                rate: rate(cell, over_s),
                error_rate: cell.error_rate(),
                p50_ms: cell.quantile_ms(0.50),
                p99_ms: cell.quantile_ms(0.99),
            }),
            lost: tells.then(|| ends::lost(caller, callee)),
        }
    }
}
