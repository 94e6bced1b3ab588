//! The beginning that nearly every response shares, made once a second.
//!
//! ```text
//! HTTP/1.1 200 OK\r\n
//! server: oneport\r\n
//! date: Sun, 06 Nov 1994 08:49:37 GMT\r\n
//! ```
//!
//! RFC 9110 §6.6.1 asks a server with a clock for a Date field; formatting one costs more than
//! all the rest of a small answer. So each worker keeps the whole beginning ready and an answer
//! with status 200 starts as one copy of it.

use std::time::{Duration, SystemTime};

const STATUS_200: &[u8] = b"HTTP/1.1 200 OK\r\n";
const DATE_LEN: usize = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".len();

/// The prefabricated beginning of a response.
#[derive(Debug, Clone)]
pub struct Prefab {
    /// Status line, then Server, then Date: each of the latter may be switched off.
    bytes: Vec<u8>,
    /// Where the Server field ends and the Date field begins.
    date: usize,
    /// The second for which the Date field is right.
    second: u64,
}

impl Prefab {
    /// With these fields; a server name of `None` leaves the Server field out.
    ///
    /// The date is that of the beginning of time until [`Prefab::refresh`] is called.
    pub fn new(server: Option<&str>, date: bool) -> Self {
        let mut bytes = STATUS_200.to_vec();
        if let Some(name) = server {
            bytes.extend_from_slice(b"server: ");
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let date_at = bytes.len();
        if date {
            bytes.extend_from_slice(&[b' '; DATE_LEN]);
        }
        let mut prefab = Self { bytes, date: date_at, second: u64::MAX };
        prefab.refresh(SystemTime::UNIX_EPOCH);
        prefab
    }

    /// Makes the date right for `wall`; cheap within one second.
    #[inline]
    pub fn refresh(&mut self, wall: SystemTime) {
        let second = wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second {
            self.format(second);
        }
    }

    #[cold]
    fn format(&mut self, second: u64) {
        self.second = second;
        if self.date == self.bytes.len() {
            return;
        }
        self.bytes.truncate(self.date);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        // RFC 9110 §5.6.7: IMF-fixdate, always 29 bytes.
        // [9110-5.6.7-2] [9110-5.6.7-3] [9110-6.6.1-1]
        let text = httpdate::fmt_http_date(wall);
        self.bytes.extend_from_slice(b"date: ");
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The second for which the date is right, as seconds of Unix time.
    #[inline]
    pub fn second(&self) -> u64 {
        self.second
    }

    /// Status line of a 200, Server and Date.
    #[inline]
    pub fn ok(&self) -> &[u8] {
        &self.bytes
    }

    /// The Server field line, or nothing.
    pub fn server(&self) -> &[u8] {
        &self.bytes[STATUS_200.len()..self.date]
    }

    /// The Date field line, or nothing.
    pub fn date(&self) -> &[u8] {
        &self.bytes[self.date..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [9110-5.6.7-2] [9110-5.6.7-3] [9110-6.6.1-1]
    #[test]
    fn the_date_is_that_of_rfc_9110_section_5_6_7() {
        let mut prefab = Prefab::new(Some("x"), true);
        prefab.refresh(SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_999));
        assert_eq!(
            prefab.ok(),
            b"HTTP/1.1 200 OK\r\nserver: x\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        );
        assert_eq!(prefab.server(), b"server: x\r\n");
        assert_eq!(prefab.date(), b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    }

    #[test]
    fn both_fields_can_be_switched_off() {
        let mut prefab = Prefab::new(None, false);
        prefab.refresh(SystemTime::now());
        assert_eq!(prefab.ok(), b"HTTP/1.1 200 OK\r\n");
    }
}
