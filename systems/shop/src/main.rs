//! The shop: one multi-call binary.
fn main() {}
