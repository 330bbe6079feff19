//! gRPC-Web: calls of browsers, over any version of HTTP, become calls of gRPC, and their replies become those of
//! gRPC-Web. The forms of a body are the job of the crate `grpc`.
//!
//! A request is read whole before its call begins: browsers send no streams.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use grpc::{
    message::PREFIX,
    status::{DETAILS, MESSAGE, STATUS},
    web::{self, Decoder, Form},
};
use tonic::Status;

use super::{
    fields::CallFields,
    message,
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

const BINARY: Fixed = &[("content-type", Form::Binary.content_type())];
const TEXT: Fixed = &[("content-type", Form::Text.content_type())];

/// Bytes that are taken of a body in one piece.
const PIECE: usize = 64 << 10;

/// Whether a CORS preflight asks for such a call, which pages of any origin may make.
pub(crate) fn is_asked_by_preflight(head: &Head<'_>) -> bool {
    head.fields.get("access-control-request-method") == Some(b"POST") && cors::names(head, "x-grpc-web")
}

/// Translates a gRPC-Web call for `call`, which handles it as one of gRPC, and the reply back.
pub(super) fn translate_call(
    context: &Rc<ServerContext>,
    head: &Head<'_>,
    fields: &CallFields<'_>,
    upload: Upload,
    form: Form,
    call: impl FnOnce(Upload) -> Answer,
) -> Answer {
    let origin = head.fields.get("origin").map(<[u8]>::to_vec);
    let most = context.config.limits.grpc_max_message + PREFIX;
    let inbox = Inbox::new(&context.budget);
    let (hold, turn) = (Hold::new(&context.budget), Rc::clone(&context.turn));
    let decoder = (form == Form::Text).then(Decoder::default);
    let mut deadline = Deadline::read(fields.timeout).unwrap_or_default();
    let answer = call(Upload::new(Some(&inbox)));
    Answer::Waiting(Box::pin(async move {
        let mut request = BodyReader { upload, decoder, body: BytesMut::new(), most, hold, turn };
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
        finish(reply, form, origin)
    }))
}

/// A reply of gRPC as one of gRPC-Web.
fn finish(mut reply: Reply, form: Form, origin: Option<Vec<u8>>) -> Reply {
    reply.fixed = match form {
        Form::Binary => BINARY,
        Form::Text => TEXT,
    };
    // A call that fails immediately has its status in the head, and no content.
    if let Body::Stream(stream) = reply.body {
        reply.body = Body::Stream(Box::new(WebBody { stream, form, over: false }));
    }
    if let Some(origin) = origin {
        let names: Vec<String> = [STATUS, MESSAGE, DETAILS]
            .map(str::to_owned)
            .into_iter()
            .chain(reply.fields.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()))
            .collect();
        cors::allow(&mut reply.fields, &origin, &names.join(","));
    }
    reply
}

/// The body of a request, decoded as it comes.
struct BodyReader {
    upload: Upload,
    /// For the text form.
    decoder: Option<Decoder>,
    body: BytesMut,
    /// Maximum size of a body in bytes.
    most: usize,
    hold: Hold,
    turn: Rc<Turn>,
}

impl BodyReader {
    /// The whole of it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        loop {
            if self.turn.step() {
                return give_way(cx);
            }
            match (ready!(self.upload.poll_pull(PIECE, cx)), &mut self.decoder) {
                (Some(Ok(part)), Some(decoder)) => {
                    decoder.decode(&part, &mut self.body).map_err(invalid_base64)?
                }
                (Some(Ok(part)), None) => self.body.extend_from_slice(&part),
                (Some(Err(error)), _) => return Poll::Ready(Err(message::broken(&error))),
                (None, decoder) => {
                    if let Some(decoder) = decoder {
                        decoder.finish(&mut self.body).map_err(invalid_base64)?;
                    }
                    return Poll::Ready(Ok(std::mem::take(&mut self.body).freeze()));
                }
            }
            if !self.hold.set(self.body.len() + self.decoder.as_ref().map_or(0, Decoder::len)) {
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
}

fn invalid_base64(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("invalid base64 in a gRPC-Web request: {error}"))
}

/// The body of a reply, its trailers in a frame.
struct WebBody {
    stream: Box<dyn Stream>,
    form: Form,
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
                let trailers = match last {
                    Some(Part::Trailers(fields)) => web::trailers(fields.iter()),
                    Some(Part::Constant(fixed)) => {
                        web::trailers(fixed.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
                    }
                    _ => web::trailers(fields_of(&Status::internal("the reply broke off")).iter()),
                };
                trailers.into()
            }
        };
        let data = match self.form {
            Form::Binary => data,
            Form::Text => web::encode(&data).into(),
        };
        Poll::Ready(Some(Part::Data(data)))
    }
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
        let (upload, turn) = (Upload::new(Some(&inbox)), Rc::<Turn>::default());
        let mut request = BodyReader {
            upload,
            decoder: Some(Decoder::default()),
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
    fn text_is_decoded_whatever_pieces_it_comes_in() {
        let text = web::encode(&[7; 20_000]);
        for size in [1, 3, 1000, 100_000] {
            assert_eq!(read(text.as_bytes(), size).as_deref(), Ok(&[7; 20_000][..]), "{size}");
        }
    }

    #[test]
    fn invalid_base64_and_bodies_beyond_the_limit_are_refused() {
        assert_eq!(read(b"!!!!", 9), Err(tonic::Code::Internal));
        assert_eq!(read(b"AAAAA", 9), Err(tonic::Code::Internal));
        assert_eq!(read(web::encode(&[7; 20_001]).as_bytes(), 9), Err(tonic::Code::ResourceExhausted));
    }
}
