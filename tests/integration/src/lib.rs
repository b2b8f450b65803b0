//! Shared harness of these tests.
