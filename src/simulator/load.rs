//! Generated load.
