//! The one module with `unsafe` code, and its tests.

#![allow(dead_code, unused_imports)]

#[path = "../../../src/bytes/trusted.rs"]
pub(crate) mod trusted;
