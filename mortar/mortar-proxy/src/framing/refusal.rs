//! Why a connection's bytes are refused.

use http::StatusCode;

/// A refusal: the answer that the client gets before the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable code of the problem document.
    pub code: &'static str,
    /// What was expected.
    pub detail: &'static str,
}

const fn bad(code: &'static str, detail: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code,
        detail,
    }
}

impl Refusal {
    pub(super) const REQUEST_LINE: Self = bad(
        "invalid_request_line",
        "expected `METHOD SP target SP HTTP/1.1` with single spaces and no control characters (RFC 9112 section 3)",
    );
    pub(super) const VERSION: Self = Self {
        status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        code: "version_not_supported",
        detail: "this listener speaks HTTP/1.1 and HTTP/1.0",
    };
    pub(super) const BARE_LF: Self = bad(
        "bare_line_feed",
        "every line of a head ends with CR LF; a lone LF is refused",
    );
    pub(super) const FOLDED: Self = bad(
        "folded_field",
        "a field line may not start with white space (obs-fold, RFC 9112 section 5.2)",
    );
    pub(super) const FIELD: Self = bad(
        "invalid_field",
        "expected `name: value` without white space before the colon and without control characters (RFC 9112 section 5)",
    );
    pub(super) const CONTENT_LENGTH: Self = bad(
        "invalid_content_length",
        "expected exactly one Content-Length of decimal digits (RFC 9112 section 6.3)",
    );
    pub(super) const TRANSFER_ENCODING: Self = bad(
        "invalid_transfer_encoding",
        "the only Transfer-Encoding taken is exactly one `chunked`, in HTTP/1.1",
    );
    pub(super) const BOTH_LENGTHS: Self = bad(
        "ambiguous_length",
        "a request has Content-Length or Transfer-Encoding, never both",
    );
    pub(super) const CONNECT_BODY: Self = bad(
        "unexpected_body",
        "CONNECT has no body, so neither Content-Length nor Transfer-Encoding (RFC 9110 section 9.3.6)",
    );
    pub(super) const HOST: Self = bad(
        "invalid_host",
        "expected exactly one Host field, of a host and perhaps a port (RFC 9112 section 3.2)",
    );
    pub(super) const TARGET: Self = bad(
        "invalid_target",
        "expected a path, or http://HOST/PATH without a user; HOST:PORT with CONNECT alone, * with OPTIONS alone",
    );
    pub(super) const CHUNK_SIZE: Self = bad(
        "invalid_chunk",
        "expected a chunk size of 1 to 16 hexadecimal digits, then CR LF or an extension (RFC 9112 section 7.1)",
    );
    pub(super) const CHUNK_END: Self = bad("invalid_chunk", "a chunk's data ends with CR LF");
    pub(super) const TRAILER: Self = bad(
        "invalid_trailer",
        "a trailer may not change framing, routing or authentication (RFC 9110 section 6.5.1)",
    );
    pub(super) const HEAD_TOO_LARGE: Self = Self {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        code: "head_too_large",
        detail: "request line and fields are larger than this listener takes",
    };
    /// A head did not arrive in time.
    pub const HEAD_TIMEOUT: Self = Self {
        status: StatusCode::REQUEST_TIMEOUT,
        code: "head_timeout",
        detail: "the request's head did not arrive in time",
    };
}
