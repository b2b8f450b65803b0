//! The test kit: one brick alone in process, everything it needs mocked.
