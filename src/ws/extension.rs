//! The negotiation of permessage-deflate (RFC 6455 §9.1, RFC 7692 §5 and §7.1).
//!
//! ```text
//!  Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; server_max_window_bits=10,
//!                            permessage-deflate            an offer, and one to fall back to
//!  sec-websocket-extensions: permessage-deflate; server_no_context_takeover; ...        the answer
//! ```
//!
//! | parameter | in an offer | in an answer |
//! |---|---|---|
//! | `server_no_context_takeover` | the server is to forget after each message | it will |
//! | `client_no_context_takeover` | the client would forget anyway | the client must |
//! | `server_max_window_bits=8..15` | the server's window must not be larger | it will not be |
//! | `client_max_window_bits[=8..15]` | the client can limit its window | the client must |
//!
//! What is decided here is an [`Agreed`]: for either direction how large the window is and
//! whether it outlives a message. The coding itself is [`super::deflate`].

use std::borrow::Cow;

use crate::bytes::ascii;

/// The name of the extension (RFC 7692 §7).
// [6455-9.1-2]
const NAME: &[u8] = b"permessage-deflate";
/// RFC 7692 §7.1.2: a window has 2^8 to 2^15 bytes.
const BITS: std::ops::RangeInclusive<u8> = 8..=15;
/// The smallest window we compress with: zlib cannot do 8 without a header.
const SMALLEST_BITS: u8 = 9;

/// How messages are compressed, and what is agreed to (RFC 7692).
///
/// ```
/// use oneport::Deflate;
///
/// let small = Deflate::default().level(6).threshold(1024).window_bits(11);
/// # let _ = small;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    pub(crate) level: u8,
    pub(crate) threshold: usize,
    pub(crate) takeover: bool,
    pub(crate) window_bits: u8,
}

impl Default for Deflate {
    fn default() -> Self {
        Self { level: 1, threshold: 128, takeover: false, window_bits: 15 }
    }
}

impl Deflate {
    /// How hard to try: 1 (fast) to 9 (small). Default 1.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// Messages of fewer bytes are sent as they are. Default 128.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// May a message refer to what earlier ones said? Default no: then a connection holds no
    /// memory for compression between messages, and all of a worker share one compressor.
    ///
    /// With takeover many small similar messages shrink much further. It costs up to 32 KiB a
    /// connection for what the peer may refer to, and 371 KiB for a compressor of its own,
    /// which is given back after 10 s without a message to send.
    ///
    /// Measured with `benches/memory.rs`, 10,000 connections that each exchanged a message of
    /// 1 KiB, level 1, per connection: 0.9 KiB without compression, 1.1 KiB with it, 227 KiB with
    /// takeover. Of the latter glibc's allocator kept 135 KiB from the system after all was
    /// given back to it; 2.5 KiB are left with `MALLOC_MMAP_THRESHOLD_=32768` in the environment
    /// of the server (2,000 connections; 315 KiB while in use).
    #[must_use]
    pub fn takeover(mut self, takeover: bool) -> Self {
        self.takeover = takeover;
        self
    }

    /// The window has at most 2^bits bytes, in either direction: 9 to 15. Default 15.
    #[must_use]
    pub fn window_bits(mut self, bits: u8) -> Self {
        self.window_bits = bits.clamp(SMALLEST_BITS, 15);
        self
    }
}

/// What one direction was agreed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    /// Does the window outlive a message?
    pub takeover: bool,
    /// The window has at most 2^this bytes: 8 to 15.
    pub window_bits: u8,
}

/// Parameters of permessage-deflate that both ends agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// What the server sends.
    pub server: Direction,
    /// What the client sends.
    pub client: Direction,
    /// The client asked for a limit of the server's window, so the answer names it.
    server_was_asked: bool,
    /// The client said that it can limit its window, so the server may ask it to.
    client_can_limit: bool,
}

/// The value of Sec-WebSocket-Extensions does not follow the grammar of RFC 6455 §9.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The server's part: takes the first offer that can be kept. `Ok(None)`: there was none.
///
/// # Errors
/// RFC 6455 §9.1: a value outside the grammar fails the handshake.
///
/// ```
/// use oneport::Deflate;
/// use oneport::ws::extension;
///
/// let offers = [b"permessage-deflate; server_max_window_bits=10".as_slice()];
/// let agreed = extension::accept(offers, Deflate::default()).unwrap().unwrap();
/// assert_eq!(agreed.server.window_bits, 10);
/// ```
pub fn accept<'v>(
    values: impl IntoIterator<Item = &'v [u8]>,
    ours: Deflate,
) -> Result<Option<Agreed>, Malformed> {
    let mut taken = None;
    for value in values {
        let mut list = List(value);
        while let Some(extension) = list.next()? {
            // [7692-5-1]
            if taken.is_none() && extension.name.eq_ignore_ascii_case(NAME) {
                // RFC 7692 §5.1: offers are in the client's order of preference.
                taken = parameters(&extension, Side::Offer).and_then(|offer| take(&offer, ours));
            }
        }
    }
    Ok(taken)
}

/// RFC 7692 §7.1: what an offer and our own wishes come to; `None` if the offer asks for what
/// we cannot do.
fn take(offer: &Parameters, ours: Deflate) -> Option<Agreed> {
    let asked = offer.server_max_window_bits.unwrap_or(15);
    // [7692-7-4]
    if asked < SMALLEST_BITS {
        return None;
    }
    // [6455-9-2]
    let client_bits = match offer.client_max_window_bits {
        // [7692-7.1.2.2-3]
        Some(hint) => hint.unwrap_or(15).min(ours.window_bits),
        // §7.1.2.2: who did not say that it can limit its window is not asked to.
        // [7692-7.1.2.2-2]
        None => 15,
    };
    Some(Agreed {
        server: Direction {
            // [7692-7.1.1.1-1] [7692-7.1.1.1-2]
            takeover: ours.takeover && !offer.server_no_context_takeover,
            // [7692-7.1.2.1-2]
            window_bits: asked.min(ours.window_bits),
        },
        client: Direction {
            takeover: ours.takeover && !offer.client_no_context_takeover,
            window_bits: client_bits,
        },
        server_was_asked: offer.server_max_window_bits.is_some(),
        client_can_limit: offer.client_max_window_bits.is_some(),
    })
}

impl Agreed {
    /// Appends the server's answer to the offer that it took (RFC 7692 §7.1).
    pub fn write_answer(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NAME);
        // [7692-7.1.1.1-1]
        if !self.server.takeover {
            out.extend_from_slice(b"; server_no_context_takeover");
        }
        if !self.client.takeover {
            // §7.1.1.2: also if the client did not offer it.
            out.extend_from_slice(b"; client_no_context_takeover");
        }
        // [7692-7.1.2.1-2]
        // §7.1.2.1: who asked is answered, even if the answer is the largest.
        if self.server_was_asked || self.server.window_bits < 15 {
            write_bits(out, b"; server_max_window_bits=", self.server.window_bits);
        }
        // [7692-7.1.2.2-2]
        if self.client_can_limit && self.client.window_bits < 15 {
            write_bits(out, b"; client_max_window_bits=", self.client.window_bits);
        }
    }
}

/// The client's part: appends its offer.
pub fn write_offer(out: &mut Vec<u8>, ours: Deflate) {
    out.extend_from_slice(NAME);
    if !ours.takeover {
        out.extend_from_slice(b"; server_no_context_takeover; client_no_context_takeover");
    }
    if ours.window_bits < 15 {
        write_bits(out, b"; server_max_window_bits=", ours.window_bits);
        write_bits(out, b"; client_max_window_bits=", ours.window_bits);
    } else {
        out.extend_from_slice(b"; client_max_window_bits");
    }
}

fn write_bits(out: &mut Vec<u8>, name: &[u8], bits: u8) {
    out.extend_from_slice(name);
    out.extend_from_slice(bits.to_string().as_bytes());
}

/// Why a client cannot go on with a server's answer (RFC 7692 §5.1, RFC 6455 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unacceptable {
    /// Outside the grammar of RFC 6455 §9.1.
    Malformed,
    /// RFC 6455 §4.1: an extension that was not offered, or one twice.
    NotOffered,
    /// RFC 7692 §7: a parameter that is unknown, twice there, or with a value it cannot have.
    Parameter,
    /// RFC 7692 §7.1: not what was asked for: a larger window or a context that is kept.
    NotAsAsked,
}

impl std::fmt::Display for Unacceptable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unacceptable::Malformed => "is outside the grammar (RFC 6455 §9.1)",
            Unacceptable::NotOffered => "names an extension that was not offered (RFC 6455 §4.1)",
            Unacceptable::Parameter => {
                "has a parameter that permessage-deflate does not know, or a value that it \
                 cannot have (RFC 7692 §7)"
            }
            Unacceptable::NotAsAsked => {
                "does not keep to the offer: a larger window, or a context that is kept \
                 (RFC 7692 §7.1)"
            }
        })
    }
}

/// The client's part: reads the server's answer to the offer of [`write_offer`], if one was
/// made. `Ok(None)`: the server does not compress.
///
/// # Errors
/// Why the client must fail the connection.
pub fn read_answer<'v>(
    values: impl IntoIterator<Item = &'v [u8]>,
    ours: Option<Deflate>,
) -> Result<Option<Agreed>, Unacceptable> {
    let mut agreed = None;
    for value in values {
        let mut list = List(value);
        while let Some(extension) = list.next().map_err(|Malformed| Unacceptable::Malformed)? {
            let Some(ours) = ours.filter(|_| extension.name.eq_ignore_ascii_case(NAME)) else {
                return Err(Unacceptable::NotOffered);
            };
            let answer = parameters(&extension, Side::Answer).ok_or(Unacceptable::Parameter)?;
            if agreed.replace(keep_to(&answer, ours)?).is_some() {
                return Err(Unacceptable::NotOffered);
            }
        }
    }
    Ok(agreed)
}

/// RFC 7692 §7.1: an answer must keep to what was offered.
fn keep_to(answer: &Parameters, ours: Deflate) -> Result<Agreed, Unacceptable> {
    let server_bits = answer.server_max_window_bits.unwrap_or(15);
    let client_bits = answer.client_max_window_bits.flatten().unwrap_or(15);
    if server_bits > ours.window_bits || (!ours.takeover && !answer.server_no_context_takeover) {
        return Err(Unacceptable::NotAsAsked);
    }
    // What zlib cannot do: a window of 8 for our own messages. They go uncompressed then.
    Ok(Agreed {
        server: Direction {
            takeover: !answer.server_no_context_takeover,
            window_bits: server_bits,
        },
        client: Direction {
            takeover: ours.takeover && !answer.client_no_context_takeover,
            window_bits: client_bits.min(ours.window_bits),
        },
        server_was_asked: true,
        client_can_limit: true,
    })
}

/// The four parameters as they were sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// In an offer it may stand without a value.
    client_max_window_bits: Option<Option<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Offer,
    Answer,
}

/// RFC 7692 §7: an unknown parameter, one that is there twice, or a value that it cannot have
/// declines the offer, or fails the answer.
fn parameters(extension: &Extension<'_>, side: Side) -> Option<Parameters> {
    let mut found = Parameters::default();
    for (name, value) in &extension.parameters {
        let value = value.as_deref();
        if name.eq_ignore_ascii_case(b"server_no_context_takeover") {
            flag(&mut found.server_no_context_takeover, value)?;
        } else if name.eq_ignore_ascii_case(b"client_no_context_takeover") {
            flag(&mut found.client_no_context_takeover, value)?;
        } else if name.eq_ignore_ascii_case(b"server_max_window_bits") {
            let bits = window_bits(value?)?;
            // [7692-7-3]
            found.server_max_window_bits.replace(bits).is_none().then_some(())?;
        } else if name.eq_ignore_ascii_case(b"client_max_window_bits") {
            // [7692-7.1.2.2-1]
            let bits = match value {
                None if side == Side::Offer => None,
                None => return None,
                Some(value) => Some(window_bits(value)?),
            };
            found.client_max_window_bits.replace(bits).is_none().then_some(())?;
        } else {
            // [7692-7-1]
            return None;
        }
    }
    Some(found)
}

fn flag(there: &mut bool, value: Option<&[u8]>) -> Option<()> {
    // [7692-7-2] [7692-7-3]
    (value.is_none() && !std::mem::replace(there, true)).then_some(())
}

/// RFC 7692 §7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15".
fn window_bits(value: &[u8]) -> Option<u8> {
    // [7692-7-2] [7692-7.1.2.1-1]
    let bits = match value {
        [one @ b'8'..=b'9'] => one - b'0',
        [b'1', one @ b'0'..=b'5'] => 10 + one - b'0',
        _ => return None,
    };
    BITS.contains(&bits).then_some(bits)
}

/// A parameter: its name, and its value if it has one.
type Parameter<'v> = (&'v [u8], Option<Cow<'v, [u8]>>);

/// One element of the list: a name and its parameters.
struct Extension<'v> {
    name: &'v [u8],
    parameters: Vec<Parameter<'v>>,
}

/// RFC 6455 §9.1: `extension-list = 1#extension`, `extension = token *( ";" extension-param )`,
/// `extension-param = token [ "=" (token | quoted-string) ]`. What is left of one value.
struct List<'v>(&'v [u8]);

impl<'v> List<'v> {
    fn next(&mut self) -> Result<Option<Extension<'v>>, Malformed> {
        // RFC 9110 §5.6.1.2: empty elements are ignored.
        while self.take(b',') {}
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut extension = Extension { name: self.token()?, parameters: Vec::new() };
        while self.take(b';') {
            let name = self.token()?;
            let value = if self.take(b'=') { Some(self.value()?) } else { None };
            extension.parameters.push((name, value));
        }
        if self.0.is_empty() || self.0[0] == b',' { Ok(Some(extension)) } else { Err(Malformed) }
    }

    /// Takes this byte and the white space around it, if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_white_space();
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                self.skip_white_space();
                true
            }
            _ => false,
        }
    }

    fn skip_white_space(&mut self) {
        let end = self.0.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
        self.0 = &self.0[end.unwrap_or(self.0.len())..];
    }

    fn token(&mut self) -> Result<&'v [u8], Malformed> {
        let end = self.0.iter().position(|&byte| !ascii::is_tchar(byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    fn value(&mut self) -> Result<Cow<'v, [u8]>, Malformed> {
        let Some(mut rest) = self.0.strip_prefix(b"\"") else {
            return self.token().map(Cow::Borrowed);
        };
        let mut value = Vec::new();
        loop {
            rest = match rest {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    break;
                }
                // RFC 9110 §5.6.4: a backslash makes the next byte stand for itself.
                [b'\\', byte, rest @ ..] => {
                    value.push(*byte);
                    rest
                }
                [byte, rest @ ..] => {
                    value.push(*byte);
                    rest
                }
                [] => return Err(Malformed),
            };
        }
        // [6455-4.3-1]
        // RFC 6455 §9.1: "the value after quoted-string unescaping MUST conform to the 'token'".
        if ascii::is_token(&value) { Ok(Cow::Owned(value)) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offers: &str, ours: Deflate) -> Option<String> {
        let values = offers.split('\n').map(str::as_bytes);
        accept(values, ours).unwrap().map(|agreed| {
            let mut out = Vec::new();
            agreed.write_answer(&mut out);
            String::from_utf8(out).unwrap()
        })
    }

    // [6455-4.2.2-7] [6455-9-1] [6455-9-2] [6455-9.1-2] [7692-5-1] [7692-7.1.1.1-1] [7692-7.1.1.1-2]
    // [7692-7.1.2.1-2] [7692-7.1.2.2-2] [7692-7.1.2.2-3]
    #[test]
    fn offers_are_answered_as_rfc_7692_wants() {
        const NONE: &str = "; server_no_context_takeover; client_no_context_takeover";
        let plain = Deflate::default();
        let keep = plain.takeover(true);
        let rows: &[(&str, Deflate, &str)] = &[
            ("permessage-deflate", plain, NONE),
            ("permessage-deflate", keep, ""),
            ("Permessage-Deflate", keep, ""),
            ("x-webkit-deflate-frame, permessage-deflate", keep, ""),
            ("permessage-deflate; client_max_window_bits", plain, NONE),
            (
                "permessage-deflate; server_no_context_takeover",
                keep,
                "; server_no_context_takeover",
            ),
            (
                "permessage-deflate; client_no_context_takeover",
                keep,
                "; client_no_context_takeover",
            ),
            ("permessage-deflate; server_max_window_bits=9", keep, "; server_max_window_bits=9"),
            ("permessage-deflate; server_max_window_bits=15", keep, "; server_max_window_bits=15"),
            (
                "permessage-deflate; server_max_window_bits=\"10\"",
                keep,
                "; server_max_window_bits=10",
            ),
            (
                "permessage-deflate; server_max_window_bits=\"1\\0\"",
                keep,
                "; server_max_window_bits=10",
            ),
            ("permessage-deflate; client_max_window_bits=8", keep, "; client_max_window_bits=8"),
            ("permessage-deflate; client_max_window_bits=15", keep, ""),
            (
                "permessage-deflate; client_max_window_bits=12",
                keep.window_bits(13),
                "; server_max_window_bits=13; client_max_window_bits=12",
            ),
            (
                "permessage-deflate; client_max_window_bits=12",
                keep.window_bits(11),
                "; server_max_window_bits=11; client_max_window_bits=11",
            ),
            // One of several, once, in whatever order they are.
            ("permessage-deflate, permessage-deflate; server_no_context_takeover", keep, ""),
            // Ours is smaller: the server limits itself unasked, the client only if it can.
            ("permessage-deflate", keep.window_bits(11), "; server_max_window_bits=11"),
            (
                "permessage-deflate; client_max_window_bits",
                keep.window_bits(11),
                "; server_max_window_bits=11; client_max_window_bits=11",
            ),
            // The second offer, or line, after one that cannot be kept.
            ("permessage-deflate; server_max_window_bits=8, permessage-deflate", keep, ""),
            (
                "permessage-deflate; mode=fast,,\npermessage-deflate ;server_max_window_bits = 12",
                keep,
                "; server_max_window_bits=12",
            ),
        ];
        for (offers, ours, parameters) in rows {
            let expected = format!("permessage-deflate{parameters}");
            assert_eq!(answer(offers, *ours), Some(expected), "{offers}");
        }
    }

    // [7692-7-1] [7692-7-2] [7692-7-3] [7692-7-4] [7692-7.1.2.1-1] [7692-7.1.2.2-1]
    #[test]
    fn what_cannot_be_kept_is_declined() {
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; unknown",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; server_max_window_bits=1x",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; client_max_window_bits=123",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        ] {
            assert_eq!(answer(offer, Deflate::default()), None, "{offer}");
        }
    }

    // [6455-4.2.1-7] [6455-4.3-1] [6455-9.1-1]
    #[test]
    fn the_grammar_is_kept() {
        for value in [
            "permessage-deflate;",
            "permessage-deflate; =1",
            "permessage-deflate; a=",
            "permessage-deflate; a=\"",
            "permessage-deflate; a=\"x y\"",
            "permessage-deflate; a=\"\"",
            "permessage-deflate; a=\"1\"2",
            "permessage-deflate x",
            "; a",
            "a b, permessage-deflate",
            "a@b",
        ] {
            let offers = [value.as_bytes()];
            assert_eq!(accept(offers, Deflate::default()), Err(Malformed), "{value}");
        }
    }

    #[test]
    fn what_a_client_offers_its_own_kind_of_server_takes() {
        for ours in [Deflate::default(), Deflate::default().takeover(true)] {
            for bits in 9..=15 {
                for theirs in
                    [Deflate::default(), Deflate::default().takeover(true).window_bits(10)]
                {
                    let ours = ours.window_bits(bits);
                    let (mut offer, mut answer) = (Vec::new(), Vec::new());
                    write_offer(&mut offer, ours);
                    let server = accept([offer.as_slice()], theirs).unwrap().unwrap();
                    server.write_answer(&mut answer);
                    let client = read_answer([answer.as_slice()], Some(ours)).unwrap().unwrap();
                    assert_eq!((client.server, client.client), (server.server, server.client));
                }
            }
        }
    }

    #[test]
    fn a_client_fails_what_it_did_not_ask_for() {
        let keep = Some(Deflate::default().takeover(true));
        let none = "permessage-deflate; server_no_context_takeover";
        let rows: &[(&str, Option<Deflate>, Unacceptable)] = &[
            ("permessage-deflate", None, Unacceptable::NotOffered),
            ("x", keep, Unacceptable::NotOffered),
            ("permessage-deflate, permessage-deflate", keep, Unacceptable::NotOffered),
            ("permessage-deflate; x", keep, Unacceptable::Parameter),
            ("permessage-deflate; client_max_window_bits", keep, Unacceptable::Parameter),
            ("permessage-deflate; server_max_window_bits=7", keep, Unacceptable::Parameter),
            ("permessage-deflate", Some(Deflate::default()), Unacceptable::NotAsAsked),
            (none, Some(Deflate::default().window_bits(10)), Unacceptable::NotAsAsked),
            ("permessage-deflate;", keep, Unacceptable::Malformed),
        ];
        for (value, ours, error) in rows {
            assert_eq!(read_answer([value.as_bytes()], *ours), Err(*error), "{value}");
        }
        assert_eq!(read_answer([], keep), Ok(None));
        assert!(read_answer([none.as_bytes()], Some(Deflate::default())).unwrap().is_some());
    }
}
