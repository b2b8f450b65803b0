//! The agent: builds, starts, watches, restarts and adopts the processes of a system.
