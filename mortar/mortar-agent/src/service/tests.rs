//! The agent against a fake platform.
