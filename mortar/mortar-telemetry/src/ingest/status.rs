//! `google.rpc.Status`, the body of every OTLP/HTTP error (OTLP specification 1.7, "Failures").

/// The part of `google.rpc.Status` that OTLP asks for.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Status {
    /// Canonical code, `google.rpc.Code`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What a developer reads.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// `INVALID_ARGUMENT`.
pub const INVALID_ARGUMENT: i32 = 3;
/// `UNAVAILABLE`.
pub const UNAVAILABLE: i32 = 14;
