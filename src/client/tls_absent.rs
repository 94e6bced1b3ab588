//! The same names as in `tls`, for a build without that feature: a session cannot exist.

use std::io::{self, IoSlice};
use std::net::TcpStream;

use super::error::Error;

/// Nobody is trusted.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {}

/// Cannot exist.
pub(super) enum Session {}

impl Session {
    pub(super) fn new(host: &str, _roots: &Roots) -> Result<Self, Error> {
        let source = "this program was built without the feature `tls` of oneport".into();
        Err(Error::Tls { host: host.to_string(), source })
    }

    pub(super) fn shake_hands(&mut self, _stream: &TcpStream) -> io::Result<bool> {
        match *self {}
    }

    pub(super) fn write_out(&mut self, _stream: &TcpStream) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn held(&self) -> usize {
        match *self {}
    }

    pub(super) fn sent(&self) -> u64 {
        match *self {}
    }

    pub(super) fn wants_write(&self) -> bool {
        match *self {}
    }

    pub(super) fn read(&mut self, _stream: &TcpStream, _buffer: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn write(
        &mut self,
        _stream: &TcpStream,
        _parts: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn end(&mut self, _stream: &TcpStream) {
        match *self {}
    }
}
