//! The same names as in `packed`, for a build without the feature `deflate`: nothing is offered.

use oneport::Deflate;
use oneport::ws::extension::Agreed;

use super::fault::Fault;

/// Nothing is compressed.
pub(super) fn pack(_payload: &[u8], _deflate: Deflate) -> Option<Vec<u8>> {
    None
}

/// Nothing was agreed.
pub(super) fn takes(_agreed: Agreed) -> bool {
    false
}

/// Nothing is to be checked.
#[derive(Debug)]
pub(super) struct Unpacker;

impl Unpacker {
    pub(super) fn new() -> Self {
        Self
    }

    /// An echo that is compressed breaks a rule.
    pub(super) fn check(&mut self, _packed: &[u8], _expected: &[u8]) -> Option<Fault> {
        Some(Fault::Compressed)
    }
}
