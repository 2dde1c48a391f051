//! Which room may use which.

fn main() {}
