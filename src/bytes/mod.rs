//! Floor 0: bytes and nothing else.
//!
//! What every protocol above needs and no protocol owns: byte classes ([`ascii`]), the bytes a
//! peer sent that nobody could use yet ([`input`]), the bytes we have for a peer and could not
//! give yet ([`output`]), buffers that are lent and given back ([`pool`]), those in which
//! large messages gather ([`gather`]), where in a page bytes should lie ([`place`]) and UTF-8 that
//! is checked as it arrives ([`utf8`]). Only `std` and two byte-search crates are known here.

pub mod ascii;
pub mod gather;
pub mod input;
pub mod moment;
pub mod output;
pub mod place;
pub mod pool;
pub(crate) mod trusted;
pub mod utf8;
