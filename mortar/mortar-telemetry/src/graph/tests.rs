use super::*;

const NOW_S: u64 = 1_700_000_000;

fn span(id: u64, parent: u64, kind: Kind, ms: u64, attributes: &[(&str, &str)]) -> Span {
    let end_ns = NOW_S * 1_000_000_000;
    Span {
        trace_id: [1; 16],
        span_id: id,
        parent_id: parent,
        name: "x".to_owned(),
        kind,
        status: Status::Unset,
        status_message: String::new(),
        start_ns: end_ns - ms * 1_000_000,
        end_ns,
        attributes: attributes
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Value::Text((*v).to_owned())))
            .collect(),
        events: Vec::new(),
    }
}

fn edges(graph: &api::Graph) -> Vec<(&str, &str)> {
    graph
        .edges
        .iter()
        .map(|edge| (edge.from.as_str(), edge.to.as_str()))
        .collect()
}

fn near(got: f64, expect: f64) -> bool {
    (got - expect).abs() <= expect * 0.04 + 1e-9
}

/// A checkout: gateway → storefront → order → {product, payment (fails), psp (external)}, with SQL in order.
#[test]
fn a_checkout_becomes_its_graph() {
    let graph = Graph::default();
    let add = |service: &str, spans: &[Span]| graph.observe_at(service, spans, NOW_S);
    let peer = |name| [("peer.service", name)];
    add(
        "gateway",
        &[
            span(1, 0, Kind::Server, 100, &[]),
            span(2, 1, Kind::Client, 98, &peer("storefront")),
        ],
    );
    add(
        "storefront",
        &[
            span(3, 2, Kind::Server, 96, &[]),
            span(4, 3, Kind::Client, 90, &peer("order")),
        ],
    );
    let mut declined = span(8, 5, Kind::Client, 20, &peer("payment"));
    declined.status = Status::Error;
    add(
        "order",
        &[
            span(5, 4, Kind::Server, 88, &[]),
            span(6, 5, Kind::Client, 10, &peer("product")),
            declined,
            span(
                10,
                5,
                Kind::Client,
                5,
                &[("db.system.name", "sqlite"), ("server.address", "file")],
            ),
            span(11, 5, Kind::Client, 40, &[("server.address", "psp.example")]),
        ],
    );
    add("product", &[span(7, 6, Kind::Server, 8, &[])]);
    let instances = BTreeMap::from([("order".to_owned(), 2), ("payment".to_owned(), 1)]);
    let answer = graph.query_at(60, Synthetic::Without, &instances, NOW_S + 11);
    assert_eq!(
        edges(&answer),
        [
            ("gateway", "storefront"),
            ("order", "payment"),
            ("order", "product"),
            ("order", "psp.example"),
            ("storefront", "order")
        ]
    );
    let node = |name: &str| answer.nodes.iter().find(|node| node.brick == name).unwrap();
    assert_eq!(node("gateway").kind, api::NodeKind::Edge);
    assert_eq!(
        (node("order").kind, node("order").instances),
        (api::NodeKind::Brick, 2)
    );
    assert_eq!(
        node("payment").kind,
        api::NodeKind::Brick,
        "in the registry, though it sends no spans"
    );
    assert_eq!(node("psp.example").kind, api::NodeKind::External);
    assert!(near(node("order").p99_ms, 88.0), "{:?}", node("order"));
    assert!(near(node("payment").error_rate, 1.0), "what its callers say");
    assert!(
        near(answer.edges[0].rate, 1.0 / 12.0),
        "over its own age of 12 s: {}",
        answer.edges[0].rate
    );
    assert!(near(answer.edges[1].p50_ms, 20.0));
}

#[test]
fn a_call_to_a_bare_address_is_joined_with_its_server_span_whichever_comes_first() {
    for server_first in [true, false] {
        let graph = Graph::default();
        let call = [span(2, 1, Kind::Client, 10, &[("server.address", "127.0.0.1")])];
        let served = [span(3, 2, Kind::Server, 9, &[])];
        let order: [(&str, &[Span]); 2] = if server_first {
            [("b", &served), ("a", &call)]
        } else {
            [("a", &call), ("b", &served)]
        };
        for (service, spans) in order {
            graph.observe_at(service, spans, NOW_S);
        }
        assert_eq!(
            edges(&graph.query_at(60, Synthetic::Without, &BTreeMap::new(), NOW_S + 20)),
            [("a", "b")]
        );
    }
}

#[test]
fn only_the_window_counts() {
    let graph = Graph::default();
    let call = span(2, 1, Kind::Client, 10, &[("peer.service", "b")]);
    graph.observe_at("a", std::slice::from_ref(&call), NOW_S);
    assert_eq!(
        graph
            .query_at(60, Synthetic::Without, &BTreeMap::new(), NOW_S + 59)
            .edges
            .len(),
        1
    );
    assert_eq!(
        graph
            .query_at(60, Synthetic::Without, &BTreeMap::new(), NOW_S + 60)
            .edges
            .len(),
        0
    );
    assert_eq!(
        graph
            .query_at(900, Synthetic::Without, &BTreeMap::new(), NOW_S + 600)
            .edges
            .len(),
        1
    );
    graph.observe_at("a", &[call], NOW_S + 2_000);
    assert_eq!(graph.dropped(), 1, "a span from before all windows");
}

#[test]
fn services_beyond_the_limit_are_dropped_and_counted() {
    let graph = Graph::default();
    for service in 0..=SERVICES_MAX {
        graph.observe_at(&service.to_string(), &[span(1, 0, Kind::Server, 1, &[])], NOW_S);
    }
    assert_eq!(
        graph
            .query_at(60, Synthetic::Without, &BTreeMap::new(), NOW_S)
            .nodes
            .len(),
        SERVICES_MAX
    );
    assert_eq!(graph.dropped(), 1);
}

#[test]
fn processes_of_the_platform_are_no_strangers() {
    let graph = Graph::default();
    let call = |id, peer| span(id, 1, Kind::Client, 10, &[("peer.service", peer)]);
    graph.observe_at(
        "order",
        &[call(2, "control"), call(3, "telemetry"), call(4, "psp")],
        NOW_S,
    );
    let answer = graph.query_at(60, Synthetic::Without, &BTreeMap::new(), NOW_S);
    let kinds: Vec<_> = answer
        .nodes
        .iter()
        .map(|node| (node.brick.as_str(), node.kind))
        .collect();
    use api::NodeKind::{Brick, External, Platform};
    assert_eq!(
        kinds,
        [
            ("control", Platform),
            ("order", Brick),
            ("psp", External),
            ("telemetry", Platform)
        ]
    );
}

#[test]
fn traffic_of_test_suites_is_left_out_unless_asked_for() {
    let graph = Graph::default();
    let suite = ("brick.synthetic", "smoke");
    graph.observe_at(
        "a",
        &[
            span(2, 1, Kind::Client, 10, &[("peer.service", "b")]),
            span(3, 1, Kind::Client, 10, &[("peer.service", "b"), suite]),
            span(4, 1, Kind::Client, 10, &[("peer.service", "c"), suite]),
        ],
        NOW_S,
    );
    for (synthetic, expect) in [
        (Synthetic::Without, vec![("b", 1.0)]),
        (Synthetic::With, vec![("b", 2.0), ("c", 1.0)]),
        (Synthetic::Only, vec![("b", 1.0), ("c", 1.0)]),
    ] {
        let answer = graph.query_at(60, synthetic, &BTreeMap::new(), NOW_S);
        let rates: Vec<_> = answer
            .edges
            .iter()
            .map(|edge| (edge.to.as_str(), edge.rate))
            .collect();
        assert_eq!(rates, expect, "{synthetic:?}");
    }
}

#[test]
fn a_hundred_bricks_of_three_instances_are_all_in_the_graph() {
    let graph = Graph::default();
    for brick in 0..100_u64 {
        for instance in 0..3 {
            let mut spans = vec![span(brick * 10 + instance, 1, Kind::Server, 5, &[])];
            for call in 1..=4 {
                let callee = format!("b{}", (brick + call * 7) % 100);
                spans.push(span(
                    1_000 + brick * 10 + call,
                    1,
                    Kind::Client,
                    7,
                    &[("peer.service", &callee)],
                ));
            }
            graph.observe_at(&format!("b{brick}"), &spans, NOW_S);
        }
    }
    let instances = (0..100).map(|brick| (format!("b{brick}"), 3)).collect();
    let answer = graph.query_at(60, Synthetic::Without, &instances, NOW_S);
    assert_eq!(
        (answer.nodes.len(), answer.edges.len(), graph.dropped()),
        (100, 400, 0)
    );
    assert!(
        answer
            .nodes
            .iter()
            .all(|node| node.instances == 3 && near(node.rate, 3.0))
    );
}

fn with_status(mut span: Span, status: i64) -> Span {
    let code = ("http.response.status_code".to_owned(), Value::Int(status));
    span.attributes.push(code);
    if status >= 500 || (span.kind == Kind::Client && status >= 400) {
        span.status = Status::Error;
    }
    span
}

/// `order` calls `payment`: of each pair what the caller got (0: no answer) and what the callee answered.
fn both_ends(calls: &[(i64, Option<i64>)]) -> Graph {
    let graph = Graph::default();
    for (id, (got, answered)) in (0..).zip(calls) {
        let mut call = span(2 * id + 1, 999, Kind::Client, 300, &[("peer.service", "payment")]);
        match got {
            0 => call.status = Status::Error,
            got => call = with_status(call, *got),
        }
        graph.observe_at("order", &[call], NOW_S);
        if let Some(answered) = answered {
            let served = span(
                2 * id + 2,
                2 * id + 1,
                Kind::Server,
                10,
                &[("brick.caller", "order")],
            );
            graph.observe_at("payment", &[with_status(served, *answered)], NOW_S);
        }
    }
    graph
}

fn edge_of(graph: &Graph, now_s: u64) -> api::Edge {
    let answer = graph.query_at(60, Synthetic::Without, &BTreeMap::new(), now_s);
    answer
        .edges
        .into_iter()
        .find(|edge| edge.to == "payment")
        .unwrap()
}

/// Shares of the caller, of the callee, and lost.
fn shares(calls: &[(i64, Option<i64>)]) -> (f64, f64, f64) {
    let edge = edge_of(&both_ends(calls), NOW_S + 10);
    (
        edge.error_rate,
        edge.callee.unwrap().error_rate,
        edge.lost.unwrap(),
    )
}

#[test]
fn what_fails_for_the_caller_alone_is_lost_on_the_way() {
    let ok = (200, Some(200));
    let check = |calls: [(i64, Option<i64>); 4], expect: (f64, f64, f64)| {
        let got = shares(&calls);
        assert!(
            near(got.0, expect.0) && near(got.1, expect.1) && near(got.2, expect.2),
            "{calls:?}: {got:?}, expected {expect:?}"
        );
    };
    check([ok, ok, ok, ok], (0.0, 0.0, 0.0));
    check([ok, ok, ok, (0, None)], (0.25, 0.0, 0.25));
    check([ok, ok, ok, (0, Some(200))], (0.25, 0.0, 0.25));
    check([ok, ok, ok, (500, Some(500))], (0.25, 0.25, 0.0));
    check([ok, ok, (404, Some(404)), (402, Some(402))], (0.5, 0.5, 0.0));
    check([ok, ok, (0, Some(499)), (0, Some(499))], (0.5, 0.5, 0.0));
    check([ok, ok, (200, Some(503)), ok], (0.0, 0.25, 0.0));
}

#[test]
fn both_ends_have_their_own_times_and_rates() {
    let edge = edge_of(&both_ends(&[(200, Some(200)), (200, None)]), NOW_S + 9);
    let callee = edge.callee.unwrap();
    assert!(
        near(edge.p99_ms, 300.0) && near(callee.p99_ms, 10.0),
        "{callee:?}"
    );
    assert!(near(edge.rate, 0.2) && near(callee.rate, 0.1), "{callee:?}");
}

#[test]
fn what_the_caller_holds_back_was_not_lost() {
    let graph = both_ends(&[(200, Some(200)), (500, Some(500))]);
    let held = [("peer.service", "payment"), ("error.type", "breaker_open")];
    let mut call = span(90, 1, Kind::Client, 0, &held);
    call.status = Status::Error;
    graph.observe_at("order", &[call.clone(), call], NOW_S);
    let edge = edge_of(&graph, NOW_S + 10);
    assert!(near(edge.error_rate, 0.75), "{edge:?}");
    assert!(near(edge.lost.unwrap(), 0.0), "{edge:?}");
}

#[test]
fn nothing_is_called_lost_before_both_ends_had_time_to_tell() {
    let graph = both_ends(&[(200, Some(200)), (0, None)]);
    assert!(near(edge_of(&graph, NOW_S + 3).lost.unwrap(), 0.0));
    assert!(near(edge_of(&graph, NOW_S + 10).lost.unwrap(), 0.5));
}

#[test]
fn a_callee_that_hears_nothing_of_a_caller_any_more_has_figures_of_zero() {
    let graph = both_ends(&[(200, Some(200))]);
    let lost = span(50, 1, Kind::Client, 5, &[("peer.service", "payment")]);
    let mut lost = with_status(lost, 503);
    lost.end_ns += 100 * 1_000_000_000;
    graph.observe_at("order", &[lost], NOW_S + 100);
    let edge = edge_of(&graph, NOW_S + 110);
    assert!(near(edge.callee.unwrap().rate, 0.0));
    assert!(near(edge.lost.unwrap(), 1.0));
}

#[test]
fn who_tells_nothing_is_not_said_to_have_seen_nothing() {
    let graph = Graph::default();
    let call = span(1, 1, Kind::Client, 5, &[("peer.service", "payment")]);
    graph.observe_at("order", &[with_status(call, 503)], NOW_S);
    let edge = edge_of(&graph, NOW_S + 10);
    assert_eq!((edge.callee, edge.lost), (None, None));
}

#[test]
fn the_caller_of_a_brick_that_does_not_say_it_is_found_by_the_call() {
    for server_first in [true, false] {
        let graph = Graph::default();
        // The first tells that it says no callers.
        for id in [10, 20] {
            let call = [span(id, 1, Kind::Client, 8, &[("peer.service", "payment")])];
            let served = [with_status(span(id + 1, id, Kind::Server, 6, &[]), 200)];
            let order: [(&str, &[Span]); 2] = if server_first {
                [("payment", &served), ("order", &call)]
            } else {
                [("order", &call), ("payment", &served)]
            };
            for (service, spans) in order {
                graph.observe_at(service, spans, NOW_S);
            }
        }
        let callee = edge_of(&graph, NOW_S + 9).callee.unwrap();
        let expect = if server_first { 0.2 } else { 0.1 };
        assert!(near(callee.rate, expect), "{server_first}: {callee:?}");
    }
}

#[test]
fn the_edge_does_not_call_a_refusal_a_failure_at_either_end() {
    let graph = Graph::default();
    let mut call = with_status(span(1, 9, Kind::Client, 5, &[("peer.service", "payment")]), 404);
    call.status = Status::Unset;
    graph.observe_at("gateway", &[call], NOW_S);
    let served = span(2, 1, Kind::Server, 4, &[("brick.caller", "gateway")]);
    graph.observe_at("payment", &[with_status(served, 404)], NOW_S);
    let edge = edge_of(&graph, NOW_S + 10);
    let callee = edge.callee.unwrap();
    assert!(
        near(edge.error_rate, 0.0) && near(callee.error_rate, 0.0),
        "{callee:?}"
    );
}
