//! The HTTP server and client of a brick: drain, access, context propagation, discovery, timeouts, OpenAPI.
