//! Arguments of the commands about edges: `breaker`, `fault`, `tap`.

use brick_core::duration::Span;
use clap::{Args, Subcommand};

/// `order->payment`: who calls whom; what comes through the edge is `edge->order`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Who calls.
    pub(crate) caller: String,
    /// Who is called.
    pub(crate) callee: String,
}

/// What goes wrong on purpose: an edge, or a route of the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Calls from one to another.
    Edge(Link),
    /// Requests of a route.
    Route(String),
}

/// `brick breaker`
#[derive(Debug, Subcommand)]
pub(crate) enum Breaker {
    /// List the edges with their breakers and figures
    Ls {
        /// Only edges whose name holds this text
        text: Option<String>,
    },
    /// Hold a breaker open: no call passes until it is taken back
    Open {
        /// The edge, quoted: `"order->payment"`
        #[arg(value_name = "CALLER->CALLEE", value_parser = link)]
        edge: Link,
    },
    /// Hold a breaker closed: it does not open by itself
    Close {
        /// The edge, quoted: `"order->payment"`
        #[arg(value_name = "CALLER->CALLEE", value_parser = link)]
        edge: Link,
    },
    /// Take back what was held by hand: the breaker decides by itself
    Auto {
        /// The edge, quoted: `"order->payment"`
        #[arg(value_name = "CALLER->CALLEE", value_parser = link)]
        edge: Link,
    },
}

/// `brick fault`
#[derive(Debug, Subcommand)]
pub(crate) enum Fault {
    /// List the faults that are on, with their end
    Ls,
    /// Make calls of an edge, or requests of a route, go wrong; replaces what was set there
    Set(FaultSet),
    /// End the faults of an edge or a route, or all of them
    Clear {
        /// The edge, quoted, or `route->NAME`; all unless said
        #[arg(value_name = "CALLER->CALLEE")]
        place: Option<Place>,
    },
}

/// `brick fault set`
#[derive(Debug, Args)]
pub(crate) struct FaultSet {
    /// The edge, quoted (`"order->payment"`, `"edge->order"`), or a route: `"route->orders"`
    #[arg(value_name = "CALLER->CALLEE")]
    pub(crate) place: Place,
    /// Wait this long first
    #[arg(long, value_name = "DURATION")]
    pub(crate) delay: Option<Span>,
    /// Answer with this status, 400 to 599; the callee is not called
    #[arg(long, value_name = "STATUS", conflicts_with = "reset")]
    pub(crate) abort: Option<u16>,
    /// Break the connection; the callee is not called
    #[arg(long)]
    pub(crate) reset: bool,
    /// Let the answer's body come no faster than this
    #[arg(long, value_name = "BYTES")]
    pub(crate) bytes_per_second: Option<u64>,
    /// For this share of the calls, 0 to 1; all unless said
    #[arg(long, value_name = "SHARE")]
    pub(crate) share: Option<f64>,
    /// Only for calls that carry this header
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Option<(String, String)>,
    /// End it after this long, at most 24h
    #[arg(long = "for", value_name = "DURATION", default_value = "10m")]
    pub(crate) duration: Span,
}

/// `brick tap`
#[derive(Debug, Args)]
pub(crate) struct Tap {
    /// The brick, or one instance (`order/1`)
    pub(crate) brick: String,
    /// Only requests of this brick; `gateway` for what came through the edge
    #[arg(long, value_name = "BRICK")]
    pub(crate) from: Option<String>,
    /// Only requests whose route or path holds this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) route: Option<String>,
    /// Only requests that failed
    #[arg(long)]
    pub(crate) errors: bool,
    /// Only requests that took at least this long
    #[arg(long, value_name = "DURATION")]
    pub(crate) min: Option<Span>,
    /// End after so many
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}->{}", self.caller, self.callee)
    }
}

fn link(text: &str) -> Result<Link, String> {
    let parts = text.split_once("->").map(|(a, b)| (a.trim(), b.trim()));
    match parts {
        Some((caller, callee)) if !caller.is_empty() && !callee.is_empty() => Ok(Link {
            // On the map and in telemetry the edge is its gateway.
            caller: if caller == "gateway" { "edge" } else { caller }.to_owned(),
            callee: callee.to_owned(),
        }),
        _ => Err(format!(
            "expected CALLER->CALLEE in quotes, such as \"order->payment\" (a shell takes a bare > for itself), found \"{text}\""
        )),
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let link = link(text)?;
        Ok(match link.caller.as_str() {
            "route" => Self::Route(link.callee),
            _ => Self::Edge(link),
        })
    }
}

pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once(':').map(|(a, b)| (a.trim(), b.trim()));
    match parts {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("expected NAME: VALUE, found \"{text}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_two_names_and_an_arrow() {
        let edge = |caller: &str, callee: &str| Link {
            caller: caller.to_owned(),
            callee: callee.to_owned(),
        };
        assert_eq!(link("order->payment"), Ok(edge("order", "payment")));
        assert_eq!(link("gateway -> order"), Ok(edge("edge", "order")));
        for wrong in ["order", "order->", "->payment", "order-payment", ""] {
            assert!(link(wrong).is_err(), "{wrong}");
        }
        assert_eq!("route->orders".parse(), Ok(Place::Route("orders".to_owned())));
        assert_eq!("a->b".parse(), Ok(Place::Edge(edge("a", "b"))));
        assert_eq!(
            header("x-chaos: yes"),
            Ok(("x-chaos".to_owned(), "yes".to_owned()))
        );
        assert!(header("x-chaos").is_err());
    }
}
