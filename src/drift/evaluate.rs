//! From two sides to one report. Pure.
