//! One binary for all of them.

mod gateway {
    //! The edge gateway on the data plane, over real sockets.
    mod admin;
    mod bulkhead;
    mod edge;
    mod fallbacks;
    mod framing;
    mod functions;
    mod h2spec;
    pub(crate) mod harness;
    mod outside;
    mod protocols;
    mod resilience;
    mod smuggling;
    mod survival;
    mod traffic;
    mod tunnels;
    mod views;
    mod websocket;
}

mod control {
    //! Control and identity behind one listener, over real sockets.
    pub(crate) mod access;
    mod agent;
    mod api;
    mod audit;
    mod bus;
    mod certs;
    mod config;
    mod dns;
    mod eureka;
    mod flags;
    mod harness;
    mod limits;
    mod outsiders;
    mod registry;
    mod repository;
    mod scale;
    mod spring;
    mod versions;
}
mod host {
    //! The host proxy, over real sockets.
    mod calls;
    mod harness;
    mod inbound;
    mod tcp;
}

mod telemetry {
    //! The telemetry role, over real sockets.
    mod harness;
    mod ingest;
    mod query;
    mod scrape;
}
