//! The head of the last response of a worker, its fields checked and written.
//!
//! Every field of an application is checked before it is written (RFC 9110 §5.1, §5.5), and a few
//! names mean something to the server. But an application has few sets of fields, and answers many
//! requests in a row with the same one. To find out that fields are those of the last response is
//! cheaper than to check them again, and the whole head is at hand then: at most the date and the
//! length are others.
//!
//! Only plain fields are kept: a Date, a Content-Length or anything else that the server acts upon
//! is looked at each time.

use super::date::Prefab;
use super::sender::{Field, write_length_and_empty_line};
use crate::bytes::ascii;

/// Lines longer than this together are not kept (bytes).
const LARGEST: usize = 1024;

/// What stands behind the application's fields in a whole response, up to the number.
pub(super) const LENGTH: &[u8] = b"content-length: ";

/// The head of the last response of a worker, if its status was 200:
///
/// ```text
/// HTTP/1.1 200 OK\r\n                 ┐
/// server: oneport\r\n                 │ the worker's prefab
/// date: Sun, 06 Nov 1994 08:49:37 GMT\r\n
/// content-type: text/plain\r\n        ← fields_at
/// content-length: 13\r\n\r\n
///                 └ length_at
/// ```
#[derive(Debug)]
pub struct Recent {
    head: Vec<u8>,
    fields_at: usize,
    length_at: usize,
    /// The names and values of the fields, one by one: a value that contains a line break must not
    /// pass for two fields. Behind the first `count` is room for more.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    count: usize,
    /// The length of the body.
    length: usize,
    /// The second of the prefab.
    second: Option<u64>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            head: LENGTH.to_vec(),
            fields_at: 0,
            length_at: LENGTH.len(),
            fields: Vec::new(),
            count: 0,
            length: usize::MAX,
            second: None,
        }
    }
}

impl Recent {
    /// The head of a response with status 200, these fields and a body of this length, if the fields
    /// are those that are kept. The prefab is always the same one, refreshed now and then.
    #[inline]
    pub fn head_of(
        &mut self,
        prefab: &Prefab,
        fields: &[Field<'_>],
        length: usize,
    ) -> Option<&[u8]> {
        if fields.len() != self.count {
            return None;
        }
        for (&(name, value), (kept_name, kept_value)) in fields.iter().zip(&self.fields) {
            if !ascii::same(name, kept_name) || !ascii::same(value, kept_value) {
                return None;
            }
        }
        if self.second != Some(prefab.second()) {
            self.renew(prefab);
        }
        if self.length != length {
            self.length = length;
            self.head.truncate(self.length_at);
            write_length_and_empty_line(&mut self.head, length);
        }
        Some(&self.head)
    }

    /// A second has passed.
    #[cold]
    fn renew(&mut self, prefab: &Prefab) {
        self.second = Some(prefab.second());
        self.head.splice(..self.fields_at, prefab.ok().iter().copied());
        self.length_at += prefab.ok().len() - self.fields_at;
        self.fields_at = prefab.ok().len();
    }

    /// Keeps these fields, which were checked and of which none is the server's business, and their
    /// lines.
    pub fn keep(&mut self, fields: &[Field<'_>], lines: &[u8]) {
        self.count = 0;
        self.head.truncate(self.fields_at);
        if lines.len() <= LARGEST {
            self.count = fields.len();
            if self.fields.len() < self.count {
                self.fields.resize_with(self.count, Default::default);
            }
            for ((name, value), (kept_name, kept_value)) in fields.iter().zip(&mut self.fields) {
                kept_name.clear();
                kept_name.extend_from_slice(name);
                kept_value.clear();
                kept_value.extend_from_slice(value);
            }
            self.head.extend_from_slice(lines);
        }
        self.head.extend_from_slice(LENGTH);
        self.length_at = self.head.len();
        self.length = usize::MAX;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// Without a Server field and a date.
    fn head_of(recent: &mut Recent, fields: &[Field<'_>], length: usize) -> Option<String> {
        let prefab = Prefab::new(None, false);
        let head = recent.head_of(&prefab, fields, length)?.to_vec();
        Some(String::from_utf8(head).unwrap())
    }

    #[test]
    fn the_same_fields_and_no_others_have_the_same_lines() {
        let fields: &[Field<'_>] = &[(b"a", b"1"), (b"bc", b"")];
        let mut recent = Recent::default();
        let plain = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
        assert_eq!(head_of(&mut recent, &[], 7).unwrap(), plain);
        assert_eq!(head_of(&mut recent, fields, 7), None);
        recent.keep(fields, b"a: 1\r\nbc: \r\n");
        for length in [0, 7, 7, 12_345, 12, usize::MAX - 1] {
            let lines = format!("a: 1\r\nbc: \r\ncontent-length: {length}\r\n\r\n");
            let head = head_of(&mut recent, fields, length).unwrap();
            assert_eq!(head, format!("HTTP/1.1 200 OK\r\n{lines}"));
        }
        let others: [&[Field<'_>]; 6] = [
            &[],
            &[(b"a", b"1")],
            &[(b"a", b"2"), (b"bc", b"")],
            &[(b"A", b"1"), (b"bc", b"")],
            &[(b"a", b"1\r\nbc: ")],
            &[(b"a: 1\r\nbc", b""), (b"", b"")],
        ];
        for other in others {
            assert_eq!(head_of(&mut recent, other, 7), None, "{other:?}");
        }
    }

    #[test]
    fn the_date_is_that_of_the_prefab() {
        let mut prefab = Prefab::new(Some("oneport"), true);
        let fields: &[Field<'_>] = &[(b"a", b"1")];
        let mut recent = Recent::default();
        recent.keep(fields, b"a: 1\r\n");
        for second in [0, 0, 784_111_777, 784_111_778] {
            prefab.refresh(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            let head = recent.head_of(&prefab, fields, 1).unwrap();
            assert_eq!(head, [prefab.ok(), b"a: 1\r\ncontent-length: 1\r\n\r\n"].concat());
        }
    }

    #[test]
    fn long_lines_are_not_kept() {
        let value = vec![b'x'; LARGEST];
        let fields: &[Field<'_>] = &[(b"a", &value)];
        let mut recent = Recent::default();
        recent.keep(fields, &[b"a: ", &value[..], b"\r\n"].concat());
        assert_eq!(head_of(&mut recent, fields, 0), None);
        assert!(head_of(&mut recent, &[], 0).is_some());
    }
}
