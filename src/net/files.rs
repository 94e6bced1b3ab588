//! The files of the system, opened so that the loop does not stand still.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use crate::asgi::env::Files;

/// The files of the system.
pub(crate) struct RealFiles;

impl Files for RealFiles {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Read + Send>, u64)> {
        // A FIFO would be opened when somebody writes to it, a terminal could become ours, some
        // devices wait for a line or a medium: none of them holds the loop, and none is sent. What
        // is looked at is what was opened, not what has the name a moment before or after.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = File::from(open(path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok((Box::new(file), metadata.len()))
    }
}
