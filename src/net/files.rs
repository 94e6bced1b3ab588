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
        // Without these flags the open of a FIFO waits for a writer, and that of some devices for a
        // line or a medium; a terminal may become ours. Only then is the kind looked at, of the file
        // that is open: another file may have the name by now.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = File::from(open(path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok((Box::new(file), metadata.len()))
    }
}
