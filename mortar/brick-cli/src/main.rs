//! The `brick` binary: command line and composition root.
fn main() {}
