//! The same names as in `deflate`, for a build without that feature: nothing can be agreed, so
//! none of it can exist, and the compiler removes every path that would need it.

use super::error::Error;
use super::extension::{Deflate, Direction};
use crate::bytes::gather::Gather;

/// A worker has no engines.
#[derive(Debug, Default)]
pub struct Engines {}

impl Engines {
    /// An empty buffer.
    pub fn take_plain(&mut self) -> Gather {
        Gather::default()
    }

    /// Frees the buffer.
    pub fn give_back_plain(&mut self, _plain: Gather) {}

    /// An empty buffer.
    pub fn take_packed(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Frees the buffer.
    pub fn give_back_packed(&mut self, _packed: Vec<u8>) {}
}

/// Cannot exist.
#[derive(Debug)]
pub enum Inflater {}

impl Inflater {
    /// Never called: without the feature nothing is agreed.
    pub fn new(_peer: Direction) -> Self {
        unreachable!("nothing is agreed without the feature `deflate`")
    }

    /// Cannot be called.
    pub fn hold(&mut self, _permit: Option<super::takeover::Permit>) {
        match *self {}
    }

    /// Cannot be called.
    pub fn inflate(
        &mut self,
        _payload: &[u8],
        _limit: usize,
        _engines: &mut Engines,
        _plain: &mut Gather,
        _goes_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<bool, Error> {
        match *self {}
    }

    /// Cannot be called.
    pub fn has_stopped(&self) -> bool {
        match *self {}
    }

    /// Cannot be called.
    pub fn bytes_held(&self) -> usize {
        match *self {}
    }
}

/// Cannot exist.
#[derive(Debug)]
pub enum Deflater {}

impl Deflater {
    /// Never called: without the feature nothing is agreed.
    pub fn new(_ours: Direction, _settings: Deflate) -> Self {
        unreachable!("nothing is agreed without the feature `deflate`")
    }

    /// Cannot be called.
    pub fn deflate(
        &mut self,
        _payload: &[u8],
        _engines: &mut Engines,
        _packed: &mut Vec<u8>,
    ) -> Option<usize> {
        match *self {}
    }

    /// Cannot be called.
    pub fn forget(&mut self) {
        match *self {}
    }

    /// Cannot be called.
    pub fn plan(&self, _len: usize) -> Option<u8> {
        match *self {}
    }

    /// Cannot be called.
    pub fn deflate_alone(
        &self,
        _payload: &[u8],
        _engines: &mut Engines,
        _packed: &mut Vec<u8>,
    ) -> Option<usize> {
        match *self {}
    }

    /// Cannot be called.
    pub fn holds_engine(&self) -> bool {
        match *self {}
    }

    /// Cannot be called.
    pub fn bytes_held(&self) -> usize {
        match *self {}
    }
}
