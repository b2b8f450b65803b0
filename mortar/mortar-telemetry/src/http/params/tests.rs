use super::*;

fn given(text: &str) -> Vec<(String, String)> {
    let pairs = text
        .split('&')
        .filter(|t| !t.is_empty())
        .map(|t| t.split_once('=').unwrap_or((t, "")));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn a_search_is_read_whole() {
    let text =
        "service=order&error=true&min_duration_ms=1.5&attr=a=b=c&attr=d=&since=1700000000&limit=5&operation=";
    let (filter, limit, after) = read::<Traces>(given(text)).unwrap().into_parts().unwrap();
    let expect = TraceFilter {
        service: Some("order".to_owned()),
        error: Some(true),
        min_ns: 1_500_000,
        attributes: vec![
            ("a".to_owned(), "b=c".to_owned()),
            ("d".to_owned(), String::new()),
        ],
        since_ns: 1_700_000_000_000_000_000,
        ..TraceFilter::default()
    };
    assert_eq!((filter, limit, after), (expect, 5, None));
}

#[test]
fn a_metric_range_is_read_whole() {
    let text =
        "name=m&fn=p99&by=a,b&by=c&from=2023-11-14T22:13:20Z&to=1700000600&step=10&window=60s&label=k=v";
    let query = read::<Range>(given(text)).unwrap().into_query().unwrap();
    let expect = Query {
        name: "m".to_owned(),
        labels: vec![("k".to_owned(), "v".to_owned())],
        from_ms: 1_700_000_000_000,
        to_ms: 1_700_000_600_000,
        step_ms: 10_000,
        window_ms: 60_000,
        function: Function::Quantile(0.99),
        by: Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]),
    };
    assert_eq!(query, expect);
    let all = read::<Range>(given("name=m&by=")).unwrap().into_query().unwrap();
    assert_eq!(
        (all.by, all.to_ms - all.from_ms, all.step_ms),
        (Some(Vec::new()), 900_000, 5_000)
    );
}

#[test]
fn what_is_wrong_is_named() {
    let traces = |text: &str| {
        read::<Traces>(given(text))
            .and_then(Traces::into_parts)
            .unwrap_err()
            .detail
    };
    let logs = |text: &str| {
        read::<Logs>(given(text))
            .and_then(Logs::into_parts)
            .unwrap_err()
            .detail
    };
    let heatmap = |text: &str| Heatmap::read(given(text)).unwrap_err().detail;
    let range = |text: &str| {
        read::<Range>(given(text))
            .and_then(Range::into_query)
            .unwrap_err()
            .detail
    };
    for (detail, expect) in [
        (
            traces("servise=x"),
            "unknown field `servise`, expected one of `service`",
        ),
        (traces("servise="), "unknown field `servise`"),
        (traces("synthetic=maybe"), "expected true, false or only"),
        (
            heatmap("columns=many"),
            "columns: expected a number from 1 to 240",
        ),
        (heatmap("colums=3"), "unknown field `colums`"),
        (traces("service=a&service=b"), "\"service\" is given twice"),
        (traces("error=maybe"), "\"maybe\": provided string was not"),
        (traces("attr=x"), "attr: expected key=value, found \"x\""),
        (traces("since=yesterday"), "expected a duration such as 15m"),
        (traces("cursor=x"), "cursor: expected the \"next\""),
        (
            logs("level=loud"),
            "level: expected trace, debug, info, warn or error",
        ),
        (logs("trace=12"), "trace: expected a trace id"),
        (range("fn=rate"), "name: expected the name of a metric"),
        (range("name=m&fn=p42"), "fn: expected raw, rate"),
        (range("name=m&step=x"), "step: expected a duration"),
        (
            range("name=m&from=2000&to=1000"),
            "from: expected a time before to",
        ),
    ] {
        assert!(detail.contains(expect), "{detail} does not say {expect}");
    }
}

#[test]
fn a_heat_map_is_a_search_with_columns() {
    let (filter, columns) =
        Heatmap::read(given("service=order&columns=30&synthetic=only&until=1700000000")).unwrap();
    let expect = TraceFilter {
        service: Some("order".to_owned()),
        synthetic: Synthetic::Only,
        until_ns: Some(1_700_000_000_000_000_000),
        ..TraceFilter::default()
    };
    assert_eq!((filter, columns), (expect, 30));
    assert_eq!(Heatmap::read(given("columns=")).unwrap().1, COLUMNS);
}
