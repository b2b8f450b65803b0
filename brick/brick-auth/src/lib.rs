//! Who may call: JWT verification by JWKS, platform identity, the process's own token.
