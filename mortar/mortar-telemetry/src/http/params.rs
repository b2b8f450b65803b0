//! Query strings, read into types that also describe them in the OpenAPI document. An unknown or repeated parameter is
//! an error that names those that exist.

use std::fmt::Display;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use brick_core::duration::Span;
use brick_http::Problem;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::query::heatmap::{COLUMNS, COLUMNS_MAX};
use crate::query::metrics::{Function, Query};
use crate::query::{logs, traces};
use crate::record::{Level, parse_trace_id};
use crate::store::{LogFilter, LogKey, Synthetic, TraceFilter, TraceKey};
use crate::tail::RequestFilter;

/// Longest time that a rate is taken over: nothing older is kept.
const WINDOW_MS_MAX: u64 = 3_600_000;
/// Records on each side of one.
const CONTEXT_MAX: usize = 200;

/// Items of one page at most.
const LIMIT_MAX: usize = 1_000;

/// Parameters that may be repeated.
const LISTS: [&str; 3] = ["attr", "label", "by"];

/// Reads the pairs of a query string.
pub(crate) fn read<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, Problem> {
    let bad = |detail: String| Problem::bad_request("invalid_parameter", detail);
    let mut map = Map::new();
    for (name, value) in pairs {
        if LISTS.contains(&name.as_str()) {
            if let Value::Array(values) = map.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                values.push(value.into());
            }
        } else if value.is_empty() {
            // `error=` in a form that was not filled in says nothing; the name must still exist.
            map.entry(name).or_insert(Value::Null);
        } else if map.get(&name).is_some_and(|known| !known.is_null()) {
            return Err(bad(format!("the parameter \"{name}\" is given twice")));
        } else {
            map.insert(name, value.into());
        }
    }
    serde_json::from_value(Value::Object(map)).map_err(|error| bad(error.to_string()))
}

/// Parameters of a search for traces.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Traces {
    /// A span of this service took part.
    service: Option<String>,
    /// A span of this name took part.
    operation: Option<String>,
    /// `true`: some span failed; `false`: none did.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<bool>")]
    error: Option<bool>,
    /// Shortest duration in milliseconds.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<f64>")]
    min_duration_ms: Option<f64>,
    /// Longest duration in milliseconds.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<f64>")]
    max_duration_ms: Option<f64>,
    /// `key=value`, may be repeated: a span carries it.
    attr: Vec<String>,
    /// A duration (`15m`), an RFC 3339 time or Unix seconds.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    since: Option<Moment>,
    /// The same; ended before it.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    until: Option<Moment>,
    /// `false`: without traces of test suites; `only`: them alone. `true` unless said.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    synthetic: Option<Synthetic>,
    /// Items of a page, 20 unless said, at most 1,000.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<usize>")]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Parameters of a search for log records, and of a tail.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Logs {
    /// Of this brick.
    brick: Option<String>,
    /// Of this slot (`order/1`) or incarnation.
    instance: Option<String>,
    /// Of this version.
    version: Option<String>,
    /// At least as severe: `trace`, `debug`, `info`, `warn`, `error`.
    level: Option<String>,
    /// The message or a field holds this text, without regard to case.
    q: Option<String>,
    /// Of this trace.
    trace: Option<String>,
    /// A duration (`15m`), an RFC 3339 time or Unix seconds.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    since: Option<Moment>,
    /// The same; before it.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    until: Option<Moment>,
    /// Items of a page, 100 unless said, at most 1,000.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<usize>")]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Parameters of a tail of requests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Requests {
    /// Served by this brick.
    brick: Option<String>,
    /// Served by this slot (`order/1`) or incarnation.
    instance: Option<String>,
    /// Sent by this brick; `gateway` for what came through the edge.
    caller: Option<String>,
    /// Route or path holds this text.
    route: Option<String>,
    /// `true`: those that failed; `false`: those that did not.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<bool>")]
    error: Option<bool>,
    /// Shortest duration in milliseconds.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<f64>")]
    min_duration_ms: Option<f64>,
}

/// Parameters of a metric over time.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Range {
    /// Name of the metric.
    name: String,
    /// `key=value`, may be repeated: the series carries it.
    label: Vec<String>,
    /// A duration ago (`15m`), an RFC 3339 time or Unix seconds; 15 minutes ago unless said.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    from: Option<Moment>,
    /// The same; now unless said.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    to: Option<Moment>,
    /// Distance of the points, `5s` or seconds; such that there are about 180 points unless said.
    step: Option<String>,
    /// Time that rates and percentiles are taken over, `60s` or seconds, at most an hour; a step, and at least `20s`,
    /// unless said.
    window: Option<String>,
    /// `raw`, `rate`, `p50`, `p90` or `p99`; `raw` unless said.
    #[serde(rename = "fn")]
    function: Option<String>,
    /// Labels to sum by, comma-separated or repeated; given but empty: all in one. Series stay apart unless said.
    by: Option<Vec<String>>,
}

/// Parameters of the graph.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Graph {
    /// How far back, `60s` unless said, at most 15 minutes.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    window: Option<Span>,
    /// `true`: with traffic of test suites; `only`: it alone. `false` unless said.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<String>")]
    pub(crate) synthetic: Option<Synthetic>,
}

/// Parameters of the heat map: those of a search for traces, and how many columns.
#[derive(Debug, JsonSchema)]
pub(crate) struct Heatmap {
    #[schemars(flatten)]
    _filter: Traces,
    /// Columns, 60 unless said, at most 240.
    #[schemars(with = "Option<usize>")]
    _columns: usize,
}

/// Parameters of what surrounds a log record.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogContext {
    /// Records before it, 20 unless said, at most 200.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<usize>")]
    before: Option<usize>,
    /// Records behind it, 20 unless said, at most 200.
    #[serde(deserialize_with = "parsed")]
    #[schemars(with = "Option<usize>")]
    after: Option<usize>,
}

impl FromStr for Synthetic {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "true" => Ok(Self::With),
            "false" => Ok(Self::Without),
            "only" => Ok(Self::Only),
            _ => Err("expected true, false or only"),
        }
    }
}

/// A point in time, nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ago) = text.parse::<Span>() {
            let ago = u64::try_from(ago.0.as_nanos()).unwrap_or(u64::MAX);
            return Ok(Self(now_ns().saturating_sub(ago)));
        }
        if let Ok(seconds) = text.parse::<f64>()
            && (0.0..1e10).contains(&seconds)
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked"
            )]
            return Ok(Self((seconds * 1e9) as u64));
        }
        let at: Timestamp = text
            .parse()
            .map_err(|_| "expected a duration such as 15m, an RFC 3339 time or Unix seconds".to_owned())?;
        // Before 1970 is all of it, after 2554 none.
        Ok(Self(u64::try_from(at.as_nanosecond().max(0)).unwrap_or(u64::MAX)))
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn parsed<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| {
        text.parse()
            .map_err(|error| D::Error::custom(format!("\"{text}\": {error}")))
    })
    .transpose()
}

fn bad(name: &str, expected: &str, found: &str) -> Problem {
    Problem::bad_request(
        "invalid_parameter",
        format!("{name}: expected {expected}, found \"{found}\""),
    )
}

fn pairs(name: &str, texts: &[String]) -> Result<Vec<(String, String)>, Problem> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(bad(name, "key=value", text)),
    };
    texts.iter().filter(|text| !text.is_empty()).map(pair).collect()
}

fn limit(asked: Option<usize>, default: usize) -> usize {
    asked.unwrap_or(default).clamp(1, LIMIT_MAX)
}

fn cursor<T>(text: Option<&String>, parse: fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    parse(text)
        .map(Some)
        .ok_or_else(|| bad("cursor", "the \"next\" of the page before", text))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is out of range saturates"
)]
fn nanoseconds(ms: f64) -> u64 {
    (ms * 1e6) as u64
}

impl Traces {
    pub(crate) fn into_parts(self) -> Result<(TraceFilter, usize, Option<TraceKey>), Problem> {
        let after = cursor(self.cursor.as_ref(), traces::parse_cursor)?;
        let filter = TraceFilter {
            attributes: pairs("attr", &self.attr)?,
            service: self.service,
            operation: self.operation,
            error: self.error,
            min_ns: self.min_duration_ms.map_or(0, nanoseconds),
            max_ns: self.max_duration_ms.map(nanoseconds),
            since_ns: self.since.map_or(0, |at| at.0),
            until_ns: self.until.map(|at| at.0),
            synthetic: self.synthetic.unwrap_or_default(),
        };
        Ok((filter, limit(self.limit, 20), after))
    }
}

impl Logs {
    pub(crate) fn into_parts(self) -> Result<(LogFilter, usize, Option<LogKey>), Problem> {
        let after = cursor(self.cursor.as_ref(), logs::parse_cursor)?;
        let level = |text: String| {
            Level::parse(&text).ok_or_else(|| bad("level", "trace, debug, info, warn or error", &text))
        };
        let trace = |text: String| {
            parse_trace_id(&text).ok_or_else(|| bad("trace", "a trace id of 32 hexadecimal digits", &text))
        };
        let filter = LogFilter {
            brick: self.brick,
            instance: self.instance,
            version: self.version,
            level: self.level.map(level).transpose()?,
            text: self.q,
            trace: self.trace.map(trace).transpose()?,
            since_ns: self.since.map_or(0, |at| at.0),
            until_ns: self.until.map(|at| at.0),
        };
        Ok((filter, limit(self.limit, 100), after))
    }
}

impl Requests {
    pub(crate) fn into_filter(self) -> RequestFilter {
        RequestFilter {
            brick: self.brick,
            instance: self.instance,
            caller: self.caller,
            route: self.route,
            error: self.error,
            min_ns: self.min_duration_ms.map_or(0, nanoseconds),
        }
    }
}

impl Heatmap {
    /// The filter and the number of columns.
    pub(crate) fn read(mut pairs: Vec<(String, String)>) -> Result<(TraceFilter, usize), Problem> {
        let mut columns = COLUMNS;
        if let Some(at) = pairs.iter().position(|(name, _)| name == "columns") {
            let (name, text) = pairs.swap_remove(at);
            if !text.is_empty() {
                let expected = format!("a number from 1 to {COLUMNS_MAX}");
                let read: Result<usize, _> = text.parse();
                columns = read.map_err(|_| bad(&name, &expected, &text))?;
            }
        }
        let (filter, ..) = read::<Traces>(pairs)?.into_parts()?;
        Ok((filter, columns))
    }
}

impl LogContext {
    /// How many records before and behind.
    pub(crate) fn lines(&self) -> (usize, usize) {
        let lines = |asked: Option<usize>| asked.unwrap_or(20).min(CONTEXT_MAX);
        (lines(self.before), lines(self.after))
    }
}

impl Range {
    pub(crate) fn into_query(self) -> Result<Query, Problem> {
        const MS: u64 = 1_000_000;
        if self.name.is_empty() {
            return Err(bad("name", "the name of a metric", ""));
        }
        let to_ms = self.to.map_or_else(now_ns, |at| at.0) / MS;
        let from_ms = self.from.map_or(to_ms.saturating_sub(900_000), |at| at.0 / MS);
        if from_ms > to_ms {
            return Err(Problem::bad_request(
                "invalid_parameter",
                "from: expected a time before to",
            ));
        }
        let step_ms = match &self.step {
            Some(text) => step(text).ok_or_else(|| bad("step", "a duration such as 5s, or seconds", text))?,
            None => ((to_ms - from_ms) / 180).max(5_000),
        };
        let window_ms = match &self.window {
            Some(text) => step(text).filter(|ms| *ms <= WINDOW_MS_MAX).ok_or_else(|| {
                bad(
                    "window",
                    "a duration such as 60s, or seconds, at most an hour",
                    text,
                )
            })?,
            None => 0,
        };
        let function = match self.function.as_deref().unwrap_or("raw") {
            "raw" => Function::Raw,
            "rate" => Function::Rate,
            "increase" => Function::Increase,
            "p50" => Function::Quantile(0.50),
            "p90" => Function::Quantile(0.90),
            "p99" => Function::Quantile(0.99),
            other => return Err(bad("fn", "raw, rate, increase, p50, p90 or p99", other)),
        };
        let split = |texts: Vec<String>| {
            let names = texts
                .iter()
                .flat_map(|text| text.split(','))
                .map(str::trim)
                .filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        Ok(Query {
            labels: pairs("label", &self.label)?,
            name: self.name,
            from_ms,
            to_ms,
            step_ms,
            window_ms,
            function,
            by: self.by.map(split),
        })
    }
}

impl Graph {
    pub(crate) fn window_s(&self) -> u64 {
        self.window.map_or(60, |window| window.0.as_secs())
    }
}

fn step(text: &str) -> Option<u64> {
    let span: Span = text.parse().or_else(|_| format!("{text}s").parse()).ok()?;
    u64::try_from(span.0.as_millis()).ok().filter(|ms| *ms > 0)
}

#[cfg(test)]
mod tests;
