//! Drift on a real cluster.
fn main() {}
