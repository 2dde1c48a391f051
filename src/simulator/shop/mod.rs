//! A small believable shop.
