//! What stands around the brick under test: the bricks that it needs, and control as far as a brick asks it.

use std::net::{Ipv4Addr, SocketAddr};

use brickwork::Problem;
use brickwork::axum::extract::{Form, State};
use brickwork::axum::routing::post;
use brickwork::axum::{self, Json, Router};
use brickwork::bus::{Endpoint, Endpoints, Resource};
use brickwork::core::{Incarnation, Version};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::TestIssuer;

/// Life of the user tokens that the mocked control issues.
const LIFE_S: u64 = 900;

/// Serves a router on a free port until the set of tasks is dropped.
pub(crate) async fn serve(tasks: &mut JoinSet<()>, router: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a free port on loopback");
    let addr = listener.local_addr().expect("a bound listener has an address");
    tasks.spawn(async move {
        // Ends with an error only where the listener does, and then the test sees refused connections.
        let _ = axum::serve(listener, router).await;
    });
    addr
}

/// The set of endpoints of a brick, as the bus carries it.
pub(crate) fn endpoints(brick: &str, revision: u64, addrs: &[SocketAddr]) -> Resource {
    let instances = addrs.iter().zip(1..).map(|(addr, slot)| Endpoint {
        slot,
        incarnation: Incarnation::new(),
        version: Version::default(),
        zone: "a".to_owned(),
        addr: *addr,
        weight: 100,
        concurrent: false,
        protocol: brickwork::bus::Protocol::default(),
        quarantined: false,
    });
    Resource {
        name: format!("endpoints/{brick}"),
        revision,
        value: json!(Endpoints {
            instances: instances.collect()
        }),
    }
}

/// Control's token exchange (RFC 8693), signed by the test's issuer.
pub(crate) fn control(issuer: TestIssuer) -> Router {
    Router::new()
        .route("/identity/token", post(exchange))
        .with_state(issuer)
}

#[derive(Deserialize)]
struct Exchange {
    grant_type: String,
    subject_token: String,
    requested_subject: String,
    #[serde(default)]
    scope: String,
}

async fn exchange(
    State(issuer): State<TestIssuer>,
    Form(asked): Form<Exchange>,
) -> Result<Json<Value>, Problem> {
    if asked.grant_type != "urn:ietf:params:oauth:grant-type:token-exchange" || asked.subject_token.is_empty()
    {
        return Err(Problem::bad_request(
            "invalid_request",
            "expected a token exchange",
        ));
    }
    let scopes: Vec<&str> = asked.scope.split_ascii_whitespace().collect();
    Ok(Json(json!({
        "access_token": issuer.user_token(&asked.requested_subject, &scopes),
        "issued_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_type": "Bearer",
        "expires_in": LIFE_S,
    })))
}
