//! Responses, found and checked in the bytes that come.

use oneport::http::chunked::Decoder;
use oneport::http::head::{FieldSpan, Limits, Version};
use oneport::http::headers::Headers;
use oneport::http::response::{self, ResponseHead};

use super::fault::Fault;

/// Where one connection is in its stream of responses. Bodies are passed over.
#[derive(Debug, Default)]
pub(super) struct Responses {
    body: Option<Body>,
    /// The beginning of a head that has not come whole.
    begun: Vec<u8>,
    fields: Vec<FieldSpan>,
    /// What is wrong with the response whose body comes.
    wrong: Option<Fault>,
    /// No response follows this one (RFC 9112 §9.3).
    last: bool,
}

/// RFC 9112 §6.3: what is left of a body.
#[derive(Debug)]
enum Body {
    Length(u64),
    Chunked(Decoder),
    UntilEnd,
}

impl Responses {
    /// Takes bytes; calls `answered` for each response that is complete. True: it was the last
    /// one of this connection.
    ///
    /// # Errors
    /// What ends the connection.
    pub(super) fn read(
        &mut self,
        mut bytes: &mut [u8],
        answered: &mut impl FnMut(Option<Fault>) -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        loop {
            let (used, complete) = match &mut self.body {
                None if bytes.is_empty() => return Ok(false),
                None => match self.head(bytes)? {
                    Some(used) => (used, false),
                    None => return Ok(false),
                },
                Some(Body::Length(left)) => {
                    let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= used as u64;
                    (used, *left == 0)
                }
                Some(Body::Chunked(decoder)) => {
                    let decoded = decoder.decode(bytes).map_err(|_| Fault::NotHttp)?;
                    (decoded.consumed, decoded.end)
                }
                Some(Body::UntilEnd) => (bytes.len(), false),
            };
            bytes = &mut bytes[used..];
            if complete {
                self.body = None;
                answered(self.wrong.take())?;
                if self.last {
                    return Ok(true);
                }
            } else if bytes.is_empty() && !matches!(self.body, Some(Body::Length(0))) {
                return Ok(false);
            }
        }
    }

    /// The server has ended the connection. RFC 9112 §6.3 no. 8: that may be the end of a body.
    pub(super) fn end(
        &mut self,
        answered: &mut impl FnMut(Option<Fault>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self.body.take() {
            Some(Body::UntilEnd) => answered(self.wrong.take()),
            Some(_) => Err(Fault::Ended),
            None if !self.begun.is_empty() => Err(Fault::Ended),
            None => Ok(()),
        }
    }

    /// Has the server said that this connection ends?
    pub(super) fn is_last(&self) -> bool {
        self.last
    }

    /// Reads a head: how many bytes it took, if it is whole.
    fn head(&mut self, bytes: &mut [u8]) -> Result<Option<usize>, Fault> {
        let limits = Limits::default();
        let had = self.begun.len();
        if had == 0 {
            let parsed = response::parse(bytes, &mut self.fields, limits);
            if let Some(head) = parsed.map_err(|_| Fault::NotHttp)? {
                let (body, last) = decide(head, Headers::new(bytes, &self.fields));
                self.begin(head, body, last);
                return Ok(Some(head.len));
            }
            self.begun.extend_from_slice(bytes);
            return Ok(None);
        }
        self.begun.extend_from_slice(bytes);
        let parsed = response::parse(&mut self.begun, &mut self.fields, limits);
        let Some(head) = parsed.map_err(|_| Fault::NotHttp)? else { return Ok(None) };
        let (body, last) = decide(head, Headers::new(&self.begun, &self.fields));
        self.begin(head, body, last);
        self.begun.clear();
        Ok(Some(head.len - had))
    }

    fn begin(&mut self, head: ResponseHead, body: Body, last: bool) {
        // RFC 9110 §15.2: interim responses are no answers.
        if head.status >= 200 {
            self.body = Some(body);
            self.last = last;
            self.wrong = (head.status >= 300).then_some(Fault::Status(head.status));
        }
    }
}

/// Which body follows, and is it the last one?
fn decide(head: ResponseHead, headers: Headers<'_>) -> (Body, bool) {
    let connection =
        |option: &[u8]| headers.list("connection").any(|it| it.eq_ignore_ascii_case(option));
    let last = match head.version {
        Version::Http10 => !connection(b"keep-alive"),
        _ => connection(b"close"),
    };
    if matches!(head.status, 204 | 304) {
        return (Body::Length(0), last);
    }
    if let Some(coding) = headers.list("transfer-encoding").last() {
        return match coding.eq_ignore_ascii_case(b"chunked") {
            true => (Body::Chunked(Decoder::default()), last),
            false => (Body::UntilEnd, true),
        };
    }
    match headers.get_str("content-length").and_then(|length| length.trim().parse().ok()) {
        Some(length) => (Body::Length(length), last),
        None => (Body::UntilEnd, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers, what reading ended with, and what the end of the connection did.
    type Told = (Vec<Option<Fault>>, Result<bool, Fault>, Result<(), Fault>);

    /// What is told of these bytes, split at every position.
    fn told(text: &str) -> Told {
        let bytes = text.replace('\n', "\r\n").into_bytes();
        let read = |cut: usize| {
            let (mut responses, mut told) = (Responses::default(), Vec::new());
            let mut answered = |wrong| {
                told.push(wrong);
                Ok(())
            };
            let mut bytes = bytes.clone();
            let (front, back) = bytes.split_at_mut(cut);
            let outcome = match responses.read(front, &mut answered) {
                Ok(false) => responses.read(back, &mut answered),
                other => other,
            };
            let end = responses.end(&mut answered);
            (told, outcome, end)
        };
        let whole = read(0);
        for cut in 1..=bytes.len() {
            assert_eq!(read(cut), whole, "{text:?} cut at {cut}");
        }
        whole
    }

    #[test]
    fn responses_are_found_however_they_are_split() {
        let ok = "HTTP/1.1 200 OK\ncontent-length: 2\n\nok";
        assert_eq!(told(&ok.repeat(2)), (vec![None, None], Ok(false), Ok(())));
        let rows = [
            ("HTTP/1.1 204 None\n\n", vec![None], Ok(false), Ok(())),
            ("HTTP/1.1 200 OK\ncontent-length: 0\n\n", vec![None], Ok(false), Ok(())),
            (
                "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nok\n0\n\n",
                vec![None],
                Ok(false),
                Ok(()),
            ),
            ("HTTP/1.1 103 Hints\n\nHTTP/1.1 204 None\n\n", vec![None], Ok(false), Ok(())),
            (
                "HTTP/1.1 404 No\ncontent-length: 1\n\nx",
                vec![Some(Fault::Status(404))],
                Ok(false),
                Ok(()),
            ),
            ("HTTP/1.1 204 None\nconnection: close\n\n", vec![None], Ok(true), Ok(())),
            ("HTTP/1.0 200 OK\ncontent-length: 0\n\n", vec![None], Ok(true), Ok(())),
            ("HTTP/1.1 200 OK\n\nuntil the end", vec![None], Ok(false), Ok(())),
            ("HTTP/1.1 200 OK\ncontent-length: 3\n\nok", vec![], Ok(false), Err(Fault::Ended)),
            ("HTTP/1.1 200 OK\n", vec![], Ok(false), Err(Fault::Ended)),
        ];
        for (text, answers, outcome, end) in rows {
            assert_eq!(told(text), (answers, outcome, end), "{text:?}");
        }
        assert_eq!(told("SSH-2.0-x\n").1, Err(Fault::NotHttp));
    }
}
