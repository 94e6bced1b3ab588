//! A client on a bare socket, which can do everything wrong.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::support::LIMIT;

/// The key of RFC 6455 §1.3, and the value that answers it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) struct Raw {
    stream: TcpStream,
    /// Bytes that came and were not used yet.
    buffer: Vec<u8>,
}

/// A response, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Response {
    /// The value of the only field with this name, if there is one.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice: {self:?}");
        value
    }

    /// The values of all fields with this name.
    pub(crate) fn fields_named(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// Does it say that the connection ends?
    pub(crate) fn closes(&self) -> bool {
        let options = self.field("connection").unwrap_or_default();
        options.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"))
    }
}

/// A frame of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

impl Frame {
    pub(crate) fn whole(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: true, opcode, payload: payload.into() }
    }

    /// The code of a Close; `None` if its body is empty.
    pub(crate) fn close_code(&self) -> Option<u16> {
        assert_eq!(self.opcode, CLOSE, "{self:?}");
        let code = self.payload.first_chunk()?;
        Some(u16::from_be_bytes(*code))
    }
}

/// A frame as a client sends it: masked.
pub(crate) fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = frame_header(fin, opcode, payload.len(), 0x80);
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// RFC 6455 §5.2: the three forms of a length; `mask` is the mask bit.
pub(crate) fn frame_header(fin: bool, opcode: u8, len: usize, mask: u8) -> Vec<u8> {
    let mut bytes = vec![if fin { 0x80 | opcode } else { opcode }];
    match len {
        0..=125 => bytes.push(mask | len as u8),
        126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes
}

/// A Close with a code and a reason.
pub(crate) fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    frame(true, CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A request for a WebSocket; `fields` are further lines.
pub(crate) fn handshake(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{fields}\r\n"
    )
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::from_stream(TcpStream::connect(address).expect("the server can be reached"))
    }

    /// A client whose system takes few bytes before it reads: a slow one.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("a socket can be had");
        socket.set_recv_buffer_size(16 * 1024).expect("a small buffer is allowed");
        socket.connect(&address.into()).expect("the server can be reached");
        Self::from_stream(socket.into())
    }

    fn from_stream(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout can be set");
        stream.set_write_timeout(Some(LIMIT)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("no delay can be set");
        Self { stream, buffer: Vec::new() }
    }

    /// The same connection, to be used from another thread.
    pub(crate) fn another_end(&self) -> Self {
        let stream = self.stream.try_clone().expect("a descriptor can be had");
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.stream.local_addr().expect("it is connected").port()
    }

    // ---- sending ----------------------------------------------------------------------------

    /// In one segment, as far as the system does what one asks for.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes it");
    }

    /// The same towards a server that may have ended the connection.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends as much as the server's side takes without waiting; tells how much that was.
    pub(crate) fn send_what_is_taken(&mut self, most: usize) -> usize {
        self.stream.set_nonblocking(true).expect("it can be set");
        let piece = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        let patience = std::time::Duration::from_millis(100);
        let mut since = std::time::Instant::now();
        while sent < most && since.elapsed() < patience {
            match self.stream.write(&piece[..piece.len().min(most - sent)]) {
                Ok(n) => {
                    sent += n;
                    since = std::time::Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                Err(error) => panic!("the server ended the connection: {error}"),
            }
        }
        self.stream.set_nonblocking(false).expect("it can be set");
        sent
    }

    pub(crate) fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }

    /// A FIN: nothing more will be sent.
    pub(crate) fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("it is connected");
    }

    /// Ends the connection with a RST.
    pub(crate) fn reset(self) {
        let socket = socket2::Socket::from(self.stream);
        socket.set_linger(Some(std::time::Duration::ZERO)).expect("it can be set");
    }

    // ---- receiving --------------------------------------------------------------------------

    /// Reads some bytes; false at the end, which may be a RST too.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                true
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) =>
            {
                false
            }
            Err(error) => panic!("nothing came in time ({error}); so far: {:?}", self.text()),
        }
    }

    fn text(&self) -> String {
        self.buffer[..self.buffer.len().min(500)].escape_ascii().to_string()
    }

    /// Exactly so many bytes.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        while self.buffer.len() < len {
            assert!(self.fill(), "the connection ended early: {:?}", self.text());
        }
        self.buffer.drain(..len).collect()
    }

    /// Up to the end of this connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// The connection ends here, without another byte.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let rest = self.rest();
        assert_eq!(rest.escape_ascii().to_string(), "", "the connection should end here");
    }

    /// The same, and it ends with a FIN: a reset could have cost what was not read yet.
    #[track_caller]
    pub(crate) fn expect_clean_end(&mut self) {
        assert_eq!(self.text(), "", "the connection should end here");
        let read = self.stream.read(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(read, Ok(0), "the connection should end here, with a FIN");
    }

    /// Nothing has come (by now), and the connection has not ended.
    pub(crate) fn expect_nothing_yet(&mut self) {
        self.stream.set_nonblocking(true).expect("it can be set");
        let mut byte = [0; 1];
        let peeked = self.stream.peek(&mut byte);
        self.stream.set_nonblocking(false).expect("it can be set");
        assert_eq!(self.text(), "", "nothing should have come yet");
        match peeked {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) => panic!("the connection ended"),
            Ok(_) => {
                self.fill();
                panic!("nothing should have come yet: {:?}", self.text());
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A head, whatever follows it. The body is left.
    pub(crate) fn head(&mut self) -> Response {
        let mut found = 0;
        let len = loop {
            if let Some(at) = self.buffer[found..].windows(4).position(|w| w == b"\r\n\r\n") {
                break found + at + 4;
            }
            found = self.buffer.len().saturating_sub(3);
            assert!(self.fill(), "the connection ended in a head: {:?}", self.text());
        };
        let bytes: Vec<u8> = self.buffer.drain(..len).collect();
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut fields);
        let parsed = head.parse(&bytes).unwrap_or_else(|e| panic!("{e}: {}", bytes.escape_ascii()));
        assert_eq!(parsed, httparse::Status::Complete(len));
        assert_eq!(head.version, Some(1), "the version is the highest we speak");
        Response {
            status: head.code.expect("a head has a status"),
            fields: head.headers.iter().map(field).collect(),
            body: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// A whole response to a GET.
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        self.body_of(&mut response);
        response
    }

    /// Reads the body that this head announces (RFC 9112 §6.3).
    pub(crate) fn body_of(&mut self, response: &mut Response) {
        if matches!(response.status, 100..200 | 204 | 304) {
            return;
        }
        if let Some(coding) = response.field("transfer-encoding") {
            assert_eq!(coding, "chunked");
            assert_eq!(response.field("content-length"), None, "never both: {response:?}");
            while let Some(chunk) = self.chunk() {
                response.body.extend_from_slice(&chunk);
            }
            response.trailers = self.trailer_fields();
        } else if let Some(length) = response.field("content-length") {
            let length = length.parse().expect("a length is a number");
            response.body = self.take(length);
        } else {
            assert!(response.closes(), "a body without an end: {response:?}");
            response.body = self.rest();
        }
    }

    /// A chunk; `None` for the last one, whose trailer section is left.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line();
        let len = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("a size: {line:?}"));
        if len == 0 {
            return None;
        }
        let chunk = self.take(len);
        assert_eq!(self.take(2), b"\r\n");
        Some(chunk)
    }

    fn trailer_fields(&mut self) -> Vec<(String, String)> {
        let mut trailers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return trailers;
            }
            let (name, value) = line.split_once(": ").expect("a field has a colon");
            trailers.push((name.to_ascii_lowercase(), value.to_string()));
        }
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).take(at).collect();
                return String::from_utf8(line).expect("a line is text");
            }
            assert!(self.fill(), "the connection ended in a line: {:?}", self.text());
        }
    }

    // ---- WebSocket --------------------------------------------------------------------------

    /// Opens a WebSocket.
    pub(crate) fn open(&mut self, path: &str) -> Response {
        self.send(handshake(path, ""));
        self.opened()
    }

    /// The 101 that answers a handshake.
    pub(crate) fn opened(&mut self) -> Response {
        let answer = self.head();
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.field("sec-websocket-accept"), Some(ACCEPT));
        assert_eq!(answer.field("upgrade"), Some("websocket"));
        assert_eq!(answer.field("connection"), Some("Upgrade"));
        answer
    }

    /// A frame of the server; RFC 6455 §5.1: not masked, and nothing was negotiated that gives
    /// the reserved bits a meaning.
    pub(crate) fn frame(&mut self) -> Frame {
        let start = self.take(2);
        // [6455-5.1-2] [6455-5.2-1]
        assert_eq!(start[0] & 0x70, 0, "reserved bits");
        let len = match start[1] {
            126 => u16::from_be_bytes(self.take(2).try_into().expect("two bytes")) as usize,
            127 => u64::from_be_bytes(self.take(8).try_into().expect("eight bytes")) as usize,
            len => {
                assert!(len < 126, "a server does not mask");
                len as usize
            }
        };
        Frame { fin: start[0] & 0x80 != 0, opcode: start[0] & 0x0f, payload: self.take(len) }
    }

    /// Sends a message in one frame.
    pub(crate) fn message(&mut self, opcode: u8, payload: &[u8]) {
        self.send(frame(true, opcode, payload));
    }
}

fn field(field: &httparse::Header<'_>) -> (String, String) {
    let value = field.value.iter().map(|&byte| char::from(byte)).collect();
    (field.name.to_ascii_lowercase(), value)
}
