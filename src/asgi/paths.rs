//! Paths for the log: which scope held the loop?
//!
//! A scope does not keep its path: an idle connection must stay small. So the beginning of a path
//! is kept where it costs little: that of the last request in one place of the worker, that of a
//! request which is not answered yet in the room of its exchange, and those of WebSockets in a
//! table in which each stands once.

use std::collections::HashMap;

/// Paths of WebSockets that the table holds; behind these a WebSocket has no name.
const MOST_KNOWN: usize = 1024;

/// The beginning of a path, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PathName {
    len: u8,
    bytes: [u8; Self::MOST],
}

impl PathName {
    /// Bytes that are kept.
    const MOST: usize = 63;

    /// Of this path.
    #[inline(always)]
    pub fn of(path: &[u8]) -> Self {
        let mut name = Self::default();
        name.set(path);
        name
    }

    /// Now of this path.
    #[inline(always)]
    pub fn set(&mut self, path: &[u8]) {
        let len = path.len().min(Self::MOST);
        self.bytes[..len].copy_from_slice(&path[..len]);
        self.len = len as u8;
    }
}

impl Default for PathName {
    fn default() -> Self {
        Self { len: 0, bytes: [0; Self::MOST] }
    }
}

/// Escaped, so that a path cannot forge a line.
impl std::fmt::Display for PathName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len = usize::from(self.len);
        let more = if len == Self::MOST { "..." } else { "" };
        write!(f, "{}{more}", self.bytes[..len].escape_ascii())
    }
}

/// The paths that a worker knows.
#[derive(Debug, Default)]
pub struct Paths {
    /// That of the last request, or of the last scope that ended.
    pub last: PathName,
    numbers: HashMap<PathName, u16>,
    known: Vec<PathName>,
}

impl Paths {
    /// The number of a path, for a scope that lives long.
    pub fn number(&mut self, path: &[u8]) -> u16 {
        let name = PathName::of(path);
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        if self.known.len() < MOST_KNOWN {
            self.numbers.insert(name, self.known.len() as u16);
            self.known.push(name);
            return self.known.len() as u16 - 1;
        }
        u16::MAX
    }

    /// The path with this number.
    pub fn name(&self, number: u16) -> PathName {
        let unnamed = || PathName::of(b"(one of many paths)");
        self.known.get(usize::from(number)).copied().unwrap_or_else(unnamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_its_beginning_and_cannot_forge_a_line() {
        let long = "/x".repeat(100);
        assert_eq!(PathName::of(b"/a\nb").to_string(), "/a\\nb");
        assert_eq!(PathName::of(long.as_bytes()).to_string(), format!("{}...", &long[..63]));
        let mut paths = Paths::default();
        for n in 0..3000 {
            let path = format!("/{n}");
            let number = paths.number(path.as_bytes());
            assert_eq!(paths.number(path.as_bytes()), number);
            let name = if n < MOST_KNOWN { &path } else { "(one of many paths)" };
            assert_eq!(paths.name(number).to_string(), name);
        }
    }
}
