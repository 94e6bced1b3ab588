//! The fields of the last response of a worker, checked and written.
//!
//! Every field of an application is checked before it is written (RFC 9110 §5.1, §5.5), and a few
//! names mean something to the server. But an application has few sets of fields, and answers many
//! requests in a row with the same one. To find out that fields are those of the last response is
//! cheaper than to check them again, and their lines are at hand then.
//!
//! Only plain fields are kept: a Date, a Content-Length or anything else that the server acts upon
//! is looked at each time.

use super::sender::Field;

/// Lines longer than this together are not kept (bytes).
const LARGEST: usize = 1024;

/// The fields of the last response.
#[derive(Debug)]
pub struct Recent {
    /// The lengths of their names and values. They are compared, too: bytes alone do not tell where
    /// one field ends, and a value that contains a line break must not pass for two fields.
    lengths: Vec<(usize, usize)>,
    /// Their lines, and the name that follows them in a whole response.
    lines: Vec<u8>,
}

/// What stands behind the application's fields in a whole response, up to the number.
pub(super) const LENGTH: &[u8] = b"content-length: ";

impl Default for Recent {
    fn default() -> Self {
        Self { lengths: Vec::new(), lines: LENGTH.to_vec() }
    }
}

impl Recent {
    /// The lines of these fields, if they are the ones that are kept, and behind them
    /// `content-length: `.
    #[inline]
    pub fn lines_of(&self, fields: &[Field<'_>]) -> Option<&[u8]> {
        if fields.len() != self.lengths.len() {
            return None;
        }
        let mut rest = &self.lines[..];
        for (&(name, value), &lengths) in fields.iter().zip(&self.lengths) {
            if (name.len(), value.len()) != lengths {
                return None;
            }
            // name ": " value CRLF
            let after = rest.strip_prefix(name)?.get(2..)?.strip_prefix(value)?;
            rest = after.get(2..)?;
        }
        Some(&self.lines)
    }

    /// Keeps these fields, which were checked and of which none is the server's business, and their
    /// lines.
    pub fn keep(&mut self, fields: &[Field<'_>], lines: &[u8]) {
        self.lengths.clear();
        self.lines.clear();
        if lines.len() <= LARGEST {
            self.lengths.extend(fields.iter().map(|(name, value)| (name.len(), value.len())));
            self.lines.extend_from_slice(lines);
        }
        self.lines.extend_from_slice(LENGTH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_fields_and_no_others_have_the_same_lines() {
        let fields: &[Field<'_>] = &[(b"a", b"1"), (b"bc", b"")];
        let mut recent = Recent::default();
        assert_eq!(recent.lines_of(&[]), Some(LENGTH));
        assert_eq!(recent.lines_of(fields), None);
        recent.keep(fields, b"a: 1\r\nbc: \r\n");
        assert_eq!(recent.lines_of(fields), Some(&b"a: 1\r\nbc: \r\ncontent-length: "[..]));
        let others: [&[Field<'_>]; 6] = [
            &[],
            &[(b"a", b"1")],
            &[(b"a", b"2"), (b"bc", b"")],
            &[(b"A", b"1"), (b"bc", b"")],
            &[(b"a", b"1\r\nbc: ")],
            &[(b"a: 1\r\nbc", b""), (b"", b"")],
        ];
        for other in others {
            assert_eq!(recent.lines_of(other), None, "{other:?}");
        }
    }

    #[test]
    fn long_lines_are_not_kept() {
        let value = vec![b'x'; LARGEST];
        let fields: &[Field<'_>] = &[(b"a", &value)];
        let mut recent = Recent::default();
        recent.keep(fields, &[b"a: ", &value[..], b"\r\n"].concat());
        assert_eq!(recent.lines_of(fields), None);
        assert_eq!(recent.lines_of(&[]), Some(LENGTH));
    }
}
