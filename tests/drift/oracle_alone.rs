//! The oracle's own tests: they need no bed.

#[path = "oracle/mod.rs"]
mod oracle;
#[path = "oracle/tests.rs"]
mod tests;
