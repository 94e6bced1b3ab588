//! Echoes, found and checked in the bytes that come.

use std::cell::RefCell;
use std::rc::Rc;

use oneport::ws::close;
use oneport::ws::frame::{self, Header, MAX_HEADER, Opcode};

use super::fault::Fault;
use super::packed::Unpacker;
use super::plan::Plan;

/// Bytes that a server may make us keep beyond what was asked of it.
const SPARE: usize = 16 * 1024;

/// Where one connection is in its stream of frames. Payloads are compared where they lie;
/// nothing is kept of them, unless they are compressed.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    /// The beginning of a header that has not come whole.
    begun: [u8; MAX_HEADER],
    begun_len: usize,
    /// The frame whose payload comes, and how much of it is left.
    frame: Option<(Header, u64)>,
    /// The payload of a control frame.
    control: Vec<u8>,
    /// The message that has begun: how many bytes of it have come, and what is wrong with it.
    message: Option<(usize, Option<Fault>)>,
    /// If echoes may be compressed.
    unpacker: Option<Rc<RefCell<Unpacker>>>,
    /// The message is compressed, and this has come of it.
    compressed: bool,
    packed: Vec<u8>,
}

impl Echoes {
    /// With what checks compressed echoes, if such were agreed.
    pub(super) fn new(unpacker: Option<Rc<RefCell<Unpacker>>>) -> Self {
        Self { unpacker, ..Self::default() }
    }

    /// Takes bytes; calls `answered` for each message that is complete. Pongs are appended to
    /// `out`.
    ///
    /// # Errors
    /// What ends the connection.
    pub(super) fn read(
        &mut self,
        plan: &Plan,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        answered: &mut impl FnMut(Option<Fault>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        loop {
            if self.frame.is_none() {
                if bytes.is_empty() {
                    return Ok(());
                }
                let Some(header) = self.header(&mut bytes)? else { return Ok(()) };
                self.begin(plan, header)?;
            }
            let Some((header, left)) = &mut self.frame else { continue };
            let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            let (part, rest) = bytes.split_at(take);
            bytes = rest;
            *left -= take as u64;
            let (header, left) = (*header, *left);
            self.payload(plan, header, part)?;
            if left > 0 {
                return Ok(());
            }
            self.frame = None;
            self.end(plan, header, out, answered)?;
        }
    }

    /// A header, if it is whole.
    fn header(&mut self, bytes: &mut &[u8]) -> Result<Option<Header>, Fault> {
        if self.begun_len == 0
            && let Some((header, len)) = frame::parse(bytes).map_err(Fault::NotWebSocket)?
        {
            *bytes = &bytes[len..];
            return Ok(Some(header));
        }
        let had = self.begun_len;
        let take = bytes.len().min(MAX_HEADER - had);
        self.begun[had..had + take].copy_from_slice(&bytes[..take]);
        self.begun_len += take;
        let parsed = frame::parse(&self.begun[..self.begun_len]).map_err(Fault::NotWebSocket)?;
        let Some((header, len)) = parsed else {
            *bytes = &bytes[take..];
            return Ok(None);
        };
        *bytes = &bytes[len - had..];
        self.begun_len = 0;
        Ok(Some(header))
    }

    fn begin(&mut self, plan: &Plan, header: Header) -> Result<(), Fault> {
        if header.mask.is_some() {
            return Err(Fault::Masked);
        }
        // RFC 7692 §6: it is set on the first frame of a compressed message.
        let first = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        if header.rsv1 && !(first && self.unpacker.is_some()) {
            return Err(Fault::Compressed);
        }
        if header.opcode.is_control() {
            self.control.clear();
        } else if (header.opcode == Opcode::Continuation) != self.message.is_some() {
            return Err(Fault::Fragments);
        } else if self.message.is_none() {
            self.message = Some((0, (header.opcode != plan.opcode).then_some(Fault::Opcode)));
            self.compressed = header.rsv1;
            self.packed.clear();
        }
        self.frame = Some((header, header.len));
        Ok(())
    }

    fn payload(&mut self, plan: &Plan, header: Header, part: &[u8]) -> Result<(), Fault> {
        if header.opcode.is_control() {
            self.control.extend_from_slice(part);
        } else if self.compressed {
            // Of what does not shrink DEFLATE makes a little more, and never this.
            if self.packed.len() + part.len() > 2 * plan.payload.len() + SPARE {
                return Err(Fault::Length);
            }
            self.packed.extend_from_slice(part);
        } else if let Some((come, wrong)) = &mut self.message {
            let expected = plan.payload.get(*come..).unwrap_or_default();
            let n = expected.len().min(part.len());
            if expected[..n] != part[..n] {
                wrong.get_or_insert(Fault::Content);
            }
            *come += part.len();
        }
        Ok(())
    }

    fn end(
        &mut self,
        plan: &Plan,
        header: Header,
        out: &mut Vec<u8>,
        answered: &mut impl FnMut(Option<Fault>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match header.opcode {
            // RFC 6455 §5.5.2; §5.5.3: of pings that wait for their answer not all need one.
            Opcode::Ping if out.len() > SPARE => {}
            Opcode::Ping => plan.write_frame(out, false, Opcode::Pong, &self.control),
            Opcode::Pong => {}
            Opcode::Close => {
                let code = self.control.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                return Err(Fault::Closed(code.unwrap_or(close::NO_STATUS)));
            }
            _ if !header.fin => {}
            _ => {
                if let Some((come, wrong)) = self.message.take() {
                    if let Some(unpacker) = self.unpacker.as_ref().filter(|_| self.compressed) {
                        let found = unpacker.borrow_mut().check(&self.packed, &plan.payload);
                        return answered(found.or(wrong));
                    }
                    let length = (come != plan.payload.len()).then_some(Fault::Length);
                    answered(length.or(wrong))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes behind a right echo, the answers in them, and what reading ends with.
    type Row = (&'static [u8], &'static [Option<Fault>], Result<(), Fault>);

    /// What is told of these bytes, split at every position.
    fn told(plan: &Plan, bytes: &[u8]) -> (Vec<Option<Fault>>, Result<(), Fault>, Vec<u8>) {
        let read = |cut: usize| {
            let (mut echoes, mut told, mut out) = (Echoes::default(), Vec::new(), Vec::new());
            let mut answered = |wrong| {
                told.push(wrong);
                Ok(())
            };
            let (front, back) = bytes.split_at(cut);
            let outcome = echoes
                .read(plan, front, &mut out, &mut answered)
                .and_then(|()| echoes.read(plan, back, &mut out, &mut answered));
            (told, outcome, out)
        };
        let whole = read(0);
        for cut in 1..=bytes.len() {
            assert_eq!(read(cut), whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn echoes_are_found_and_checked_however_they_are_split() {
        let plan = Plan::for_tests(b"Hello");
        let right = b"\x81\x05Hello";
        let rows: [Row; 13] = [
            (b"\x81\x05Hello\x81\x05Hello", &[None, None], Ok(())),
            (b"\x01\x03Hel\x80\x02lo", &[None], Ok(())),
            (b"\x01\x00\x00\x05Hello\x80\x00", &[None], Ok(())),
            (b"\x81\x05Hallo", &[Some(Fault::Content)], Ok(())),
            (b"\x81\x04Hell", &[Some(Fault::Length)], Ok(())),
            (b"\x81\x06Hello!", &[Some(Fault::Length)], Ok(())),
            (b"\x81\x00", &[Some(Fault::Length)], Ok(())),
            (b"\x82\x05Hello", &[Some(Fault::Opcode)], Ok(())),
            (b"\x88\x02\x03\xe9", &[], Err(Fault::Closed(1001))),
            (b"\x88\x00", &[], Err(Fault::Closed(1005))),
            (b"\x80\x00", &[], Err(Fault::Fragments)),
            (b"\x01\x01H\x81\x00", &[], Err(Fault::Fragments)),
            (b"\xc1\x05Hello", &[], Err(Fault::Compressed)),
        ];
        for (bytes, answers, outcome) in rows {
            let (told, ended, out) = told(&plan, &[right, bytes].concat());
            assert_eq!(told[..1], [None], "{bytes:x?}");
            assert_eq!((&told[1..], ended, out.len()), (answers, outcome, 0), "{bytes:x?}");
        }
        let (_, outcome, _) = told(&plan, b"\x81\x80\x00\x00\x00\x00");
        assert_eq!(outcome, Err(Fault::Masked));
    }

    #[test]
    fn a_ping_within_a_message_is_answered() {
        let plan = Plan::for_tests(b"Hello");
        let (answers, _, out) = told(&plan, b"\x01\x03Hel\x89\x02hi\x80\x02lo");
        assert_eq!(answers, [None]);
        let (header, len) = frame::parse(&out).unwrap().unwrap();
        let mut payload = out[len..].to_vec();
        oneport::ws::mask::apply(&mut payload, header.mask.expect("a client masks"));
        assert_eq!((header.opcode, &payload[..]), (Opcode::Pong, &b"hi"[..]));
    }
}
