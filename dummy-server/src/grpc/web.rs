//! gRPC-Web: calls of browsers, over any version of HTTP. Messages are framed as in gRPC; the trailers are a last
//! frame of the body; in the text form all of it is in base64.
//!
//! A request is read whole before its call begins: browsers send no streams.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::{Bytes, BytesMut};
use tonic::Status;

use super::{
    message::{self, PREFIX},
    status::{Deadline, fields_of, overdue, trailers_only},
};
use crate::{
    budget::Hold,
    context::ServerContext,
    cors,
    message::{
        Head,
        reply::{Answer, Body, Fixed, Part, Reply, Stream},
        upload::{Inbox, Upload, UploadError},
    },
    turn::{Turn, give_way},
};

const BINARY: Fixed = &[("content-type", "application/grpc-web+proto")];
const TEXT: Fixed = &[("content-type", "application/grpc-web-text+proto")];

/// Bytes that are taken of a body at once.
const PIECE: usize = 64 << 10;
/// Bytes of text that are decoded at once: whole groups of four.
const GROUPS: usize = 16 << 10;
/// The flag of a frame that holds trailers.
const TRAILERS: u8 = 0x80;
/// Padding stands wherever the client has flushed, or nowhere.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether it is such a call, in which form: true is the text form.
pub(crate) fn form(content_type: &[u8]) -> Option<bool> {
    let rest = content_type.strip_prefix(b"application/grpc-web")?;
    let (text, rest) = rest.strip_prefix(b"-text").map_or((false, rest), |rest| (true, rest));
    matches!(rest.first(), None | Some(b'+' | b';')).then_some(text)
}

/// Whether a CORS preflight asks for such a call, which pages of any origin may make.
pub(crate) fn is_asked_by_preflight(head: &Head<'_>) -> bool {
    head.fields.get("access-control-request-method") == Some(b"POST") && cors::names(head, "x-grpc-web")
}

/// Answers a call; `call` is what answers it as one of gRPC.
pub(super) fn answer(
    context: &Rc<ServerContext>,
    head: &Head<'_>,
    upload: Upload,
    text: bool,
    call: impl FnOnce(Upload) -> Answer,
) -> Answer {
    let origin = head.fields.get("origin").map(<[u8]>::to_vec);
    let most = context.config.limits.grpc_max_message + PREFIX;
    let inbox = Inbox::new(&context.budget);
    let (hold, turn) = (Hold::new(&context.budget), Rc::clone(&context.turn));
    let mut deadline = Deadline::read(head.fields.get("grpc-timeout")).unwrap_or_default();
    let answer = call(Upload::from(&inbox));
    Answer::Waiting(Box::pin(async move {
        let mut request = Request { upload, text, rest: Vec::new(), body: BytesMut::new(), most, hold, turn };
        let read = std::future::poll_fn(|cx| match request.poll(cx) {
            Poll::Pending => deadline.poll(cx).map(|()| Err(overdue())),
            ready => ready,
        });
        let reply = match (read.await, answer) {
            (Err(status), _) => trailers_only(&status),
            (Ok(body), answer) => {
                drop(request);
                inbox.push(&body);
                drop(body);
                inbox.end(Ok(()));
                match answer {
                    Answer::Ready(reply) => reply,
                    Answer::Waiting(reply) => reply.await,
                }
            }
        };
        finish(reply, text, origin)
    }))
}

/// A reply of gRPC as one of gRPC-Web.
fn finish(mut reply: Reply, text: bool, origin: Option<Vec<u8>>) -> Reply {
    reply.fixed = if text { TEXT } else { BINARY };
    // A call that fails at once has its status in the head, and no content.
    if let Body::Stream(stream) = reply.body {
        reply.body = Body::Stream(Box::new(WebBody { stream, text, over: false }));
    }
    if let Some(origin) = origin {
        let names: Vec<String> = ["grpc-status", "grpc-message", "grpc-status-details-bin"]
            .map(str::to_owned)
            .into_iter()
            .chain(reply.fields.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()))
            .collect();
        cors::allow(&mut reply.fields, &origin, &names.join(","));
    }
    reply
}

/// The body of a request, decoded as it comes.
struct Request {
    upload: Upload,
    text: bool,
    /// Text that is no whole group of four yet.
    rest: Vec<u8>,
    body: BytesMut,
    /// Most bytes of a body.
    most: usize,
    hold: Hold,
    turn: Rc<Turn>,
}

impl Request {
    /// The whole of it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        loop {
            if self.turn.step() {
                return give_way(cx);
            }
            match ready!(self.upload.poll_pull(PIECE, cx)) {
                Some(Ok(part)) if self.text => {
                    self.rest.extend_from_slice(&part);
                    self.decode(false)?;
                }
                Some(Ok(part)) => self.body.extend_from_slice(&part),
                Some(Err(error)) => return Poll::Ready(Err(message::broken(&error))),
                None => {
                    self.decode(true)?;
                    return Poll::Ready(Ok(std::mem::take(&mut self.body).freeze()));
                }
            }
            if !self.hold.set(self.body.len() + self.rest.len()) {
                return Poll::Ready(Err(message::broken(&UploadError::TOO_MUCH)));
            }
            if self.body.len() > self.most {
                return Poll::Ready(Err(Status::resource_exhausted(format!(
                    "a request of more than {} bytes; accepted is one message within --grpc-max-message",
                    self.most
                ))));
            }
        }
    }

    /// Decodes whole groups of four, or with the last of them all that is left.
    fn decode(&mut self, last: bool) -> Result<(), Status> {
        self.rest.retain(|byte| !byte.is_ascii_whitespace());
        let whole = if last { self.rest.len() } else { self.rest.len() / 4 * 4 };
        let mut groups = &self.rest[..whole];
        while !groups.is_empty() {
            // Padding ends what is decoded at once.
            let most = groups.len().min(GROUPS);
            let padding = groups[..most].iter().position(|byte| *byte == b'=');
            let part = padding.map_or(most, |at| ((at / 4 + 1) * 4).min(groups.len()));
            let decoded = BASE64
                .decode(&groups[..part])
                .map_err(|error| Status::internal(format!("a request that is no base64: {error}")))?;
            self.body.extend_from_slice(&decoded);
            groups = &groups[part..];
        }
        self.rest.drain(..whole);
        Ok(())
    }
}

/// The body of a reply, its trailers in a frame.
#[derive(Debug)]
struct WebBody {
    stream: Box<dyn Stream>,
    text: bool,
    /// The trailers are sent.
    over: bool,
}

impl Stream for WebBody {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        if self.over {
            return Poll::Ready(None);
        }
        let data = match ready!(self.stream.poll_next(cx)) {
            Some(Part::Data(data)) => data,
            last => {
                self.over = true;
                match last {
                    Some(Part::Trailers(fields)) => frame(fields.iter()),
                    Some(Part::Constant(fixed)) => {
                        frame(fixed.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
                    }
                    _ => frame(fields_of(&Status::internal("the reply broke off")).iter()),
                }
            }
        };
        let data = if self.text { BASE64.encode(data).into() } else { data };
        Poll::Ready(Some(Part::Data(data)))
    }
}

/// Trailers as a frame: lines as in HTTP/1.
fn frame<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Bytes {
    let mut framed = vec![0; PREFIX];
    for (name, value) in fields {
        for part in [name, b": ", value, b"\r\n"] {
            framed.extend_from_slice(part);
        }
    }
    let length = framed.len() - PREFIX;
    message::set_prefix(&mut framed, length, false);
    framed[0] = TRAILERS;
    framed.into()
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::budget::Budget;

    /// What is read of a body that comes in pieces of `size`.
    fn read(body: &[u8], size: usize) -> Result<Bytes, tonic::Code> {
        let budget = Budget::of(1 << 30);
        let inbox = Inbox::new(&budget);
        let (upload, turn) = (Upload::from(&inbox), Rc::<Turn>::default());
        let mut request = Request {
            upload,
            text: true,
            rest: Vec::new(),
            body: BytesMut::new(),
            most: 20_000,
            hold: Hold::new(&budget),
            turn: Rc::clone(&turn),
        };
        let mut cx = Context::from_waker(Waker::noop());
        for piece in body.chunks(size) {
            inbox.push(piece);
            turn.begin();
            if let Poll::Ready(result) = request.poll(&mut cx) {
                return result.map_err(|status| status.code());
            }
        }
        inbox.end(Ok(()));
        turn.begin();
        match request.poll(&mut cx) {
            Poll::Ready(result) => result.map_err(|status| status.code()),
            Poll::Pending => panic!("it has ended"),
        }
    }

    #[test]
    fn text_is_decoded_in_pieces_of_any_size_with_padding_anywhere() {
        let long = BASE64.encode([7; 20_000]);
        for (text, expected) in [
            ("", &b""[..]),
            ("AAECAw==", b"\0\x01\x02\x03"),
            ("AAECAw", b"\0\x01\x02\x03"),
            ("AA==AQ==AgM=", b"\0\x01\x02\x03"),
            (" AAEC\r\nAw== ", b"\0\x01\x02\x03"),
            (&long, &[7; 20_000]),
        ] {
            for size in [1, 3, 4, 5, 1000, 100_000] {
                assert_eq!(read(text.as_bytes(), size).as_deref(), Ok(expected), "{size}");
            }
        }
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused() {
        assert_eq!(read(b"!!!!", 9), Err(tonic::Code::Internal));
        assert_eq!(read(b"AAAAA", 9), Err(tonic::Code::Internal));
        assert_eq!(read(BASE64.encode([7; 20_001]).as_bytes(), 9), Err(tonic::Code::ResourceExhausted));
    }

    #[test]
    fn forms_are_known_by_their_content_type() {
        for (content_type, expected) in [
            ("application/grpc-web", Some(false)),
            ("application/grpc-web+proto", Some(false)),
            ("application/grpc-web; charset=utf-8", Some(false)),
            ("application/grpc-web-text", Some(true)),
            ("application/grpc-web-text+proto", Some(true)),
            ("application/grpc", None),
            ("application/grpc+proto", None),
            ("application/grpc-webx", None),
        ] {
            assert_eq!(form(content_type.as_bytes()), expected, "{content_type}");
        }
    }
}
