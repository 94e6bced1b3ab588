//! A reader of responses that lets nothing pass: one length, no body where none may be, fields that
//! are said once.

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    /// It ends where the connection does.
    pub(crate) until_close: bool,
    /// Its end is missing.
    pub(crate) short: bool,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Does it say that the connection ends?
    pub(crate) fn closes(&self) -> bool {
        self.field("connection")
            .is_some_and(|options| options.split(',').any(|o| o.trim() == "close"))
    }

    pub(crate) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

/// Takes all responses apart; `is_head` tells whether the final answer of this number belongs to
/// a HEAD. Behind a 101 nothing is read.
pub(crate) fn responses(bytes: &[u8], is_head: impl Fn(usize) -> bool) -> Vec<Response> {
    let (mut all, mut rest, mut finals) = (Vec::new(), bytes, 0);
    while !rest.is_empty() {
        let mut response = head(&mut rest);
        if response.status == 101 {
            all.push(response);
            break;
        }
        if !response.is_interim() {
            body(&mut response, &mut rest, is_head(finals));
            finals += 1;
        }
        all.push(response);
    }
    all
}

fn line<'a>(rest: &mut &'a [u8]) -> &'a str {
    let end = rest.windows(2).position(|two| two == b"\r\n").expect("a line has an end");
    let line = std::str::from_utf8(&rest[..end]).expect("our lines are text");
    assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
    *rest = &rest[end + 2..];
    line
}

fn field_lines(rest: &mut &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    loop {
        let line = line(rest);
        if line.is_empty() {
            return fields;
        }
        let (name, value) = line.split_once(": ").expect("a field has a colon");
        assert!(oneport::bytes::ascii::is_token(name.as_bytes()), "{name:?}");
        fields.push((name.to_ascii_lowercase(), value.to_string()));
    }
}

fn head(rest: &mut &[u8]) -> Response {
    // RFC 9112 §4: the version is ours, the status has three digits, the space stands even before
    // an empty phrase.
    let status_line = line(rest);
    let status = status_line.strip_prefix("HTTP/1.1 ").expect("a status line");
    let (status, _phrase) = status.split_once(' ').expect("a space behind the status");
    assert_eq!(status.len(), 3, "{status_line:?}");
    let fields = field_lines(rest);
    for once in ["content-length", "transfer-encoding", "connection", "date", "server"] {
        assert!(fields.iter().filter(|(name, _)| name == once).count() < 2, "{once}: {fields:?}");
    }
    Response {
        status: status.parse().expect("a number"),
        fields,
        body: String::new(),
        until_close: false,
        short: false,
        trailers: Vec::new(),
    }
}

/// RFC 9112 §6.3.
fn body(response: &mut Response, rest: &mut &[u8], is_head: bool) {
    let length = response.field("content-length").map(|l| l.parse().expect("a length"));
    let coding = response.field("transfer-encoding").map(str::to_string);
    assert!(length.is_none() || coding.is_none(), "one length: {response:?}");
    let mut take = |n: usize| {
        let n = n.min(rest.len());
        let (taken, behind) = rest.split_at(n);
        *rest = behind;
        String::from_utf8_lossy(taken).into_owned()
    };
    if response.status == 204 {
        // RFC 9112 §6.1, RFC 9110 §8.6.
        assert_eq!((length, &coding), (None, &None), "{response:?}");
    }
    if is_head || matches!(response.status, 204 | 304) {
        return;
    }
    match (length, coding.as_deref()) {
        (Some(length), None) => {
            response.body = take(length);
            response.short = response.body.len() < length;
        }
        (None, Some("chunked")) => {
            chunks(response, rest);
        }
        (None, None) => {
            response.until_close = true;
            response.body = take(usize::MAX);
        }
        _ => panic!("{response:?}"),
    }
}

fn chunks(response: &mut Response, rest: &mut &[u8]) {
    loop {
        if rest.is_empty() {
            response.short = true;
            return;
        }
        let size = usize::from_str_radix(line(rest), 16).expect("a size");
        if size == 0 {
            response.trailers = field_lines(rest);
            return;
        }
        let (data, behind) = rest.split_at(size);
        response.body.push_str(&String::from_utf8_lossy(data));
        *rest = behind;
        assert_eq!(line(rest), "");
    }
}
