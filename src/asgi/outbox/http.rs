//! The side of an HTTP scope: response events become bytes.

use std::io::Read;

use super::{COPY_UP_TO, ScopeCore, SendError, obey, put_payload};
use crate::asgi::env::Env;
use crate::asgi::event::SendEvent;
use crate::asgi::order::{Http, HttpStep, Verdict};
use crate::bytes::output::{Mark, Output};
use crate::http::head::Version;
use crate::http::sender::{self, Field, Invalid, Request, Sender};
use crate::http::status;

/// The response of one HTTP scope.
#[derive(Debug)]
pub struct HttpSide {
    order: Http,
    request: Request,
    sender: Sender,
    /// Where the head begins in the output, while it can still be replaced.
    mark: Option<Mark>,
    /// The application announced trailers.
    trailers: bool,
    /// The trailer section has begun.
    trailers_begun: bool,
    /// A file that is being sent as the body.
    file: Option<Box<FileBody>>,
    /// More of the request's body is still to come than anybody reads after the response.
    unread: bool,
}

/// A file that is being sent as the body (`http.response.pathsend`).
pub struct FileBody {
    /// The file, open.
    pub file: Box<dyn Read + Send>,
    /// Bytes that are still to be read from it.
    pub left: u64,
    /// What follows its last byte: the end of a chunked body, trailers.
    pub after: Vec<u8>,
}

impl std::fmt::Debug for FileBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileBody").field("left", &self.left).finish_non_exhaustive()
    }
}

impl HttpSide {
    /// For the answer to this request.
    #[inline]
    pub fn new(request: Request) -> Self {
        Self {
            order: Http::AwaitStart,
            request,
            sender: Sender::new(request),
            mark: None,
            trailers: false,
            trailers_begun: false,
            file: None,
            unread: false,
        }
    }

    /// Where the response is.
    #[inline]
    pub fn order(&self) -> Http {
        self.order
    }

    /// The half that encodes.
    #[inline]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Is the response complete, to its last byte?
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.order == Http::Done && self.file.is_none()
    }

    /// Can the head still be replaced?
    pub fn is_held(&self) -> bool {
        self.mark.is_some()
    }

    /// Tells whether more of the request's body is still to come than anybody reads after a
    /// response that is complete now.
    pub fn set_unread(&mut self, unread: bool) {
        self.unread = unread;
    }

    /// A whole response: start and body.
    #[inline(always)]
    pub(super) fn whole(
        &mut self,
        status: u16,
        headers: &[Field<'_>],
        body: &[u8],
        core: &mut ScopeCore,
        output: &mut Output,
        env: &mut Env<'_>,
    ) -> Result<(), SendError> {
        if self.order == Http::AwaitStart && !self.unread && body.len() <= COPY_UP_TO {
            let mark = output.mark();
            if self.sender.whole(
                output.tail(),
                &env.round.prefab,
                &mut env.kit.recent,
                status,
                headers,
                body,
            ) {
                // As the law has it: start, then the last piece of the body.
                self.order = Http::Done;
                self.mark = Some(mark);
                return Ok(());
            }
            output.truncate(mark);
            self.sender = Sender::new(self.request);
        }
        self.whole_in_parts(status, headers, body, core, output, env)
    }

    #[inline(never)]
    fn whole_in_parts(
        &mut self,
        status: u16,
        headers: &[Field<'_>],
        body: &[u8],
        core: &mut ScopeCore,
        output: &mut Output,
        env: &mut Env<'_>,
    ) -> Result<(), SendError> {
        self.start(status, headers, false, output, env)?;
        let sent = self.body(body, false, core, output, env);
        if let Err(SendError::Invalid(_)) = sent {
            // Nothing of an event that is refused is sent: not its start either.
            self.take_back(output);
        }
        sent
    }

    /// The connection must end after this response.
    pub fn do_not_persist(&mut self) {
        self.request.persist = false;
        self.sender.do_not_persist();
    }

    /// The peer left: from now on events are [`SendError::Closed`].
    pub fn peer_left(&mut self) {
        if let Verdict::To(next) = self.order.next(HttpStep::PeerLeft) {
            self.order = next;
        }
        self.file = None;
    }

    /// The callback has returned well: the head is on its way.
    #[inline]
    pub fn release_head(&mut self, output: &mut Output) {
        self.mark = None;
        if let Verdict::To(next) = self.order.next(HttpStep::HeadReleased) {
            self.order = next;
            if self.sender.is_open() {
                self.sender.close_head(output.tail(), None);
            }
        }
    }

    /// The callback failed: takes back what it sent, if that can still be done. Then another
    /// response can be sent in its place.
    pub fn take_back(&mut self, output: &mut Output) -> bool {
        match (self.order, self.mark.take()) {
            (Http::AwaitStart, _) => true,
            (Http::Done | Http::PeerGone, _) | (_, None) => false,
            (_, Some(mark)) => {
                output.truncate(mark);
                *self = Self::new(self.request);
                true
            }
        }
    }

    /// Takes the file that is being sent, to read from it.
    pub fn take_file(&mut self) -> Option<Box<FileBody>> {
        self.file.take()
    }

    /// Is a file being sent?
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Puts it back; more is to be read.
    pub fn put_file(&mut self, file: Box<FileBody>) {
        self.file = Some(file);
    }

    /// Ends a response whose application owes trailers and will never send them.
    pub fn end_without_trailers(&mut self, output: &mut Output) {
        if self.order == Http::AwaitTrailers {
            let begin = !self.trailers_begun;
            let ended = self.sender.trailers(output.tail(), begin, &[], true);
            debug_assert!(ended.is_ok(), "no field, no mistake");
            self.order = Http::Done;
        }
    }

    pub(super) fn out_of_order(&self, event: &'static str) -> SendError {
        SendError::OutOfOrder { event, state: self.state() }
    }

    fn state(&self) -> &'static str {
        match self.order {
            Http::AwaitStart => "the response has not begun (send http.response.start first)",
            Http::HeadHeld | Http::HeadSent => "the response has begun, its body has not",
            Http::Streaming => "the body has begun",
            Http::AwaitTrailers => "the body is complete, trailers are due",
            Http::Done => "the response is complete",
            Http::PeerGone => "the peer is gone",
        }
    }

    fn step(&self, step: HttpStep, event: &'static str) -> Result<Option<Http>, SendError> {
        obey(self.order.next(step), event, self.state())
    }

    pub(super) fn send(
        &mut self,
        event: SendEvent<'_>,
        core: &mut ScopeCore,
        output: &mut Output,
        env: &mut Env<'_>,
    ) -> Result<(), SendError> {
        match event {
            SendEvent::HttpResponseStart { status, headers, trailers } => {
                self.start(status, headers, trailers, output, env)
            }
            SendEvent::HttpResponseBody { body, more_body } => {
                self.body(body, more_body, core, output, env)
            }
            SendEvent::HttpResponseTrailers { headers, more_trailers } => {
                self.trailer_fields(headers, more_trailers, output)
            }
            SendEvent::HttpResponseEarlyHint { links } => self.early_hint(links, output),
            SendEvent::HttpResponsePathsend { path } => self.pathsend(path, output, env),
            other => Err(self.out_of_order(other.name())),
        }
    }

    #[inline]
    pub(super) fn start(
        &mut self,
        status: u16,
        headers: &[Field<'_>],
        trailers: bool,
        output: &mut Output,
        env: &Env<'_>,
    ) -> Result<(), SendError> {
        let Some(next) = self.step(HttpStep::Start, "http.response.start")? else { return Ok(()) };
        let mark = output.mark();
        if let Err(invalid) =
            self.sender.start(output.tail(), &env.round.prefab, status, headers, trailers)
        {
            output.truncate(mark);
            self.sender = Sender::new(self.request);
            return Err(invalid.into());
        }
        self.order = next;
        self.mark = Some(mark);
        self.trailers = trailers;
        Ok(())
    }

    #[inline]
    pub(super) fn body(
        &mut self,
        body: &[u8],
        more_body: bool,
        core: &mut ScopeCore,
        output: &mut Output,
        env: &mut Env<'_>,
    ) -> Result<(), SendError> {
        let step = match (more_body, self.trailers) {
            (true, _) => HttpStep::BodyMore,
            (false, false) => HttpStep::BodyLast,
            (false, true) => HttpStep::BodyLastThenTrailers,
        };
        let Some(next) = self.step(step, "http.response.body")? else { return Ok(()) };
        self.end_if_unread(!more_body);
        let payload = self.sender.piece(output.tail(), body.len(), more_body)?;
        self.order = next;
        if payload.send {
            put_payload(body, &mut self.mark, core, output, env)?;
        }
        output.tail().extend_from_slice(payload.after);
        Ok(())
    }

    /// The response is complete before the body of its request, of which too much is still to come:
    /// it ends the connection, and says so (RFC 9112 §9.6). If its head has left already it cannot say
    /// so, and what is still to come is read and dropped.
    #[inline]
    fn end_if_unread(&mut self, last: bool) {
        if last && self.unread && self.sender.is_open() {
            // [9110-10.1.1-3]
            self.do_not_persist();
        }
    }

    fn trailer_fields(
        &mut self,
        headers: &[Field<'_>],
        more_trailers: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        let step = if more_trailers { HttpStep::TrailersMore } else { HttpStep::TrailersLast };
        let Some(next) = self.step(step, "http.response.trailers")? else { return Ok(()) };
        // Behind a file that is still being sent they wait with it.
        let out = match &mut self.file {
            Some(file) => &mut file.after,
            None => output.tail(),
        };
        let mark = out.len();
        let begin = !self.trailers_begun;
        if let Err(invalid) = self.sender.trailers(out, begin, headers, !more_trailers) {
            out.truncate(mark);
            return Err(invalid.into());
        }
        self.trailers_begun = true;
        self.order = next;
        Ok(())
    }

    /// RFC 8297: a 103 before the final head.
    fn early_hint(&mut self, links: &[&[u8]], output: &mut Output) -> Result<(), SendError> {
        let Some(next) = self.step(HttpStep::EarlyHint, "http.response.early_hint")? else {
            return Ok(());
        };
        let mut hint = Vec::new();
        status::write_status_line(&mut hint, 103);
        for link in links {
            sender::append_field(&mut hint, b"link", link)?;
        }
        hint.extend_from_slice(b"\r\n");
        self.order = next;
        // RFC 9110 §15.2: "A server MUST NOT send a 1xx response to an HTTP/1.0 client."
        // [9110-15.2-1]
        if self.request.version == Version::Http10 {
            return Ok(());
        }
        match &mut self.mark {
            // The final head is encoded already and still held: the hint goes before it.
            Some(mark) => output.insert(mark, &hint),
            None => output.tail().extend_from_slice(&hint),
        }
        Ok(())
    }

    fn pathsend(
        &mut self,
        path: &std::path::Path,
        output: &mut Output,
        env: &Env<'_>,
    ) -> Result<(), SendError> {
        let step = if self.trailers { HttpStep::PathsendThenTrailers } else { HttpStep::Pathsend };
        let Some(next) = self.step(step, "http.response.pathsend")? else { return Ok(()) };
        if !path.is_absolute() {
            return Err(Invalid::Path.into());
        }
        let (file, left) = env.round.files.open(path).map_err(|_| Invalid::Path)?;
        let len = usize::try_from(left).map_err(|_| Invalid::Path)?;
        self.end_if_unread(true);
        let payload = self.sender.file(output.tail(), len)?;
        self.order = next;
        if payload.send && left > 0 {
            self.file = Some(Box::new(FileBody { file, left, after: payload.after.to_vec() }));
        } else {
            output.tail().extend_from_slice(payload.after);
        }
        Ok(())
    }
}
