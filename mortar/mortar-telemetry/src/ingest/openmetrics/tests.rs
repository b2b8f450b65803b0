use proptest::prelude::*;

use super::*;

type Line<'a> = (&'a str, &'a [(&'a str, &'a str)], f64, Option<u64>, bool);

fn check(text: &str, dialect: Dialect, expect: &[Line<'_>]) {
    let exposition = parse(text, dialect).unwrap_or_else(|error| panic!("{error} in {text}"));
    let got: Vec<_> = exposition
        .samples
        .iter()
        .map(|s| {
            let labels: Vec<_> = s.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            (s.name.as_str(), labels, s.value, s.time_ms, s.cumulative)
        })
        .collect();
    let expect: Vec<_> = expect
        .iter()
        .map(|(n, l, v, t, c)| (*n, l.to_vec(), *v, *t, *c))
        .collect();
    assert_eq!(got, expect, "{text}");
}

#[test]
fn counters_gauges_and_what_has_no_type_are_read() {
    check(
        "# TYPE hits counter\n# HELP hits Number of hits.\nhits_total{code=\"200\"} 12\nhits_created 1.5\n# EOF\n",
        Dialect::OpenMetrics,
        &[
            ("hits_total", &[("code", "200")], 12.0, None, true),
            ("hits_created", &[], 1.5, None, false),
        ],
    );
    check(
        "# TYPE temp gauge\n# UNIT temp celsius\ntemp -3.5\nother +Inf\nodd NaN\n# EOF",
        Dialect::OpenMetrics,
        &[
            ("temp", &[], -3.5, None, false),
            ("other", &[], f64::INFINITY, None, false),
        ],
    );
}

#[test]
fn histograms_and_exemplars_are_read() {
    check(
        "# TYPE d_seconds histogram\n\
         d_seconds_bucket{le=\"0.1\"} 8 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.067 1520879607.789\n\
         d_seconds_bucket{le=\"+Inf\"} 9 # {} 1\n\
         d_seconds_count 9\nd_seconds_sum 3.25\n# EOF\n",
        Dialect::OpenMetrics,
        &[
            ("d_seconds_bucket", &[("le", "0.1")], 8.0, None, true),
            ("d_seconds_bucket", &[("le", "+Inf")], 9.0, None, true),
            ("d_seconds_count", &[], 9.0, None, true),
            ("d_seconds_sum", &[], 3.25, None, true),
        ],
    );
}

#[test]
fn escapes_and_hashes_in_label_values_are_read() {
    check(
        "m{a=\"say \\\"hi\\\"\",b=\"C:\\\\x\\ny\",c=\"} # {\",} 1\n# EOF\n",
        Dialect::OpenMetrics,
        &[(
            "m",
            &[("a", "say \"hi\""), ("b", "C:\\x\ny"), ("c", "} # {")],
            1.0,
            None,
            false,
        )],
    );
}

#[test]
fn timestamps_are_seconds_in_one_dialect_and_milliseconds_in_the_other() {
    check(
        "m 1 1520879607.789\n# EOF",
        Dialect::OpenMetrics,
        &[("m", &[], 1.0, Some(1_520_879_607_789), false)],
    );
    check(
        "m 1 1520879607789\n",
        Dialect::Prometheus,
        &[("m", &[], 1.0, Some(1_520_879_607_789), false)],
    );
}

#[test]
fn the_prometheus_text_format_is_read() {
    check(
        "# a comment\n\n# TYPE http_requests_total counter\r\nhttp_requests_total{ method = \"post\" , } 1027\r\n\
         # TYPE rpc summary\nrpc{quantile=\"0.5\"} 4773\nrpc_sum 1.7e+07\n",
        Dialect::Prometheus,
        &[
            ("http_requests_total", &[("method", "post")], 1027.0, None, true),
            ("rpc", &[("quantile", "0.5")], 4773.0, None, false),
            ("rpc_sum", &[], 1.7e7, None, true),
        ],
    );
}

#[test]
fn a_family_carries_the_name_that_its_series_has() {
    let text = "# TYPE hits counter\n# HELP hits All \\n hits.\nhits_total 1\n# TYPE build info\nbuild_info 1\n# EOF";
    let families = parse(text, Dialect::OpenMetrics).unwrap().families;
    let told: Vec<_> = families
        .iter()
        .map(|f| (f.name.as_str(), f.kind, f.help.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("hits_total", MetricKind::Counter, "All \n hits."),
            ("build_info", MetricKind::Info, "")
        ]
    );
}

#[test]
fn garbage_is_refused_with_its_line_and_what_was_expected() {
    for (text, line, expected) in [
        ("m 1\n{} 2\n# EOF", 2, "a metric name"),
        ("m\n# EOF", 1, "a space before the value"),
        ("m x\n# EOF", 1, "a number as the value"),
        ("m 1 x\n# EOF", 1, "a timestamp behind the value"),
        ("m 1 2 3\n# EOF", 1, "nothing behind the timestamp"),
        ("m{a=1} 1\n# EOF", 1, "a quoted label value"),
        ("m{a=\"1} 1\n# EOF", 1, "a closing quote"),
        ("m{a=\"1\" b=\"2\"} 1\n# EOF", 1, "\",\" or \"}\" behind a label"),
        ("m{a=\"1\",a=\"2\"} 1\n# EOF", 1, "each label once"),
        ("m{1=\"1\"} 1\n# EOF", 1, "a label name"),
        (
            "# TYPE m metre\n# EOF",
            1,
            "a type: counter, gauge, histogram, summary, info, stateset or unknown",
        ),
        ("m 1 # nonsense\n# EOF", 1, "labels of an exemplar behind \"#\""),
        ("# EOF\nm 1", 2, "nothing after \"# EOF\""),
        ("m 1\n", 2, "\"# EOF\" as the last line (the answer was cut off)"),
        ("<html>", 1, "a metric name"),
    ] {
        let error = parse(text, Dialect::OpenMetrics).unwrap_err();
        assert_eq!((error.line, error.expected), (line, expected), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(# TYPE |# EOF|m|\\{|\\}|a=|\"|\\\\|,| |\n|1|é|[0-9.e+-]{0,4}|.){0,60}") {
        let _ = parse(&text, Dialect::OpenMetrics);
        let _ = parse(&text, Dialect::Prometheus);
    }

    #[test]
    fn any_label_value_survives(value in ".{0,40}", number in -1e9_f64..1e9) {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        prop_assume!(!value.contains('\r'));
        let text = format!("m{{a=\"{escaped}\"}} {number}\n# EOF\n");
        let read = parse(&text, Dialect::OpenMetrics).unwrap();
        prop_assert_eq!(&read.samples[0].labels, &vec![("a".to_owned(), value)]);
        prop_assert_eq!(read.samples[0].value, number);
    }
}
