//! Field lines as an application sees them: a view into the bytes that were read.

use super::head::FieldSpan;
use crate::bytes::ascii;

/// The fields of a request, in the order sent, repeated ones kept apart.
///
/// A view: names and values borrow from the bytes that were read. Names are in lower case,
/// values are raw bytes without the white space around them (RFC 9110 §5.5 lets them hold any
/// byte but control bytes; in practice they are ASCII).
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    fields: &'a [FieldSpan],
}

impl<'a> Headers<'a> {
    /// A view of `fields`, whose spans point into `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8], fields: &'a [FieldSpan]) -> Self {
        Self { bytes, fields }
    }

    /// The number of field lines.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Are there no fields?
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// All fields as (name, value).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.fields.iter().map(move |field| (field.name.of(bytes), field.value.of(bytes)))
    }

    /// The value of the first field with this name (given in lower case).
    ///
    /// Linear in the number of fields, which is limited to 100 by default.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// As [`Headers::get`], if the value is UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// The values of all fields with this name (given in lower case), in order.
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        debug_assert!(name.bytes().all(|b| !b.is_ascii_uppercase()), "names are in lower case");
        self.iter().filter(move |(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }

    /// The elements of a list field: all lines of that name, split at commas, without the white
    /// space around them and without empty ones (RFC 9110 §5.6.1.2).
    ///
    /// For lists of tokens. A quoted string that contains a comma would be split too.
    pub fn list<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.get_all(name).flat_map(list_elements)
    }
}

/// The elements of one list value (RFC 9110 §5.6.1.2: empty elements are ignored).
pub fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    // [9110-5.6.1.2-1]
    value.split(|&byte| byte == b',').map(ascii::trim_ows).filter(|element| !element.is_empty())
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| {
                (String::from_utf8_lossy(name), String::from_utf8_lossy(value))
            }))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Limits, Progress, parse};

    // [9110-5.6.1.2-1]
    #[test]
    fn lists_are_joined_over_lines_and_lose_their_empty_elements() {
        let mut bytes =
            b"GET / HTTP/1.1\r\nTE: gzip;q=0.5, trailers\r\nA: 1\r\nTe: ,\t,deflate,\r\n\r\n"
                .to_vec();
        let mut fields = Vec::new();
        parse(&mut bytes, &mut Progress::default(), &mut fields, Limits::default())
            .unwrap()
            .unwrap();
        let headers = Headers::new(&bytes, &fields);
        let list: Vec<_> = headers.list("te").collect();
        assert_eq!(list, [b"gzip;q=0.5".as_slice(), b"trailers", b"deflate"]);
        assert_eq!(headers.get("a"), Some(b"1".as_slice()));
        assert_eq!(headers.get("b"), None);
        assert_eq!(headers.get_all("te").count(), 2);
        assert_eq!(headers.len(), 3);
    }
}
