//! Identity: the issuer's keys, JWKS, discovery document, client credentials, a token per process.
