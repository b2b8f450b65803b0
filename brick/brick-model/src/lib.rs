//! The one app model: parses and validates brick.toml, prints its JSON schema.
