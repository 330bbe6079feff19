//! gRPC-Web: calls of browsers, over any version of HTTP, become calls of gRPC, and their replies become those of
//! gRPC-Web. The forms of a body are the job of the crate `grpc`.
//!
//! A request is read whole before its call begins: browsers send no streams.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use grpc::{
    message::PREFIX,
    status::{DETAILS, MESSAGE, STATUS},
    web::{self, Decoder, Form},
};
use tokio::task::yield_now;
use tonic::Status;

use super::{
    fields::CallFields,
    message::{self, within_budget},
    status::{Deadline, fields_of, trailers_only},
};
use crate::{
    budget::Hold,
    context::ServerContext,
    cors,
    message::{
        Head,
        reply::{Answer, Body, Fixed, Part, Reply, Stream},
        upload::{Inbox, Upload},
    },
    turn::Turn,
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
    let mut deadline = Deadline::read(fields.timeout).unwrap_or_default();
    let answer = call(Upload::new(Some(&inbox)));
    Answer::Waiting(Box::pin(async move {
        let reply = match deadline.limit(read(upload, form, most, &hold, &turn)).await {
            Err(status) => trailers_only(&status),
            Ok(body) => {
                drop(hold);
                inbox.push(&body);
                drop(body);
                inbox.end(Ok(()));
                answer.reply().await
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
        let mut names = [STATUS, MESSAGE, DETAILS].join(",");
        for (name, _) in reply.fields.iter() {
            names = names + "," + &String::from_utf8_lossy(name);
        }
        cors::allow(&mut reply.fields, &origin, &names);
    }
    reply
}

/// Reads the body of a request, of at most `most` bytes, and decodes it as it comes.
async fn read(
    mut upload: Upload,
    form: Form,
    most: usize,
    hold: &Hold,
    turn: &Turn,
) -> Result<BytesMut, Status> {
    let mut decoder = (form == Form::Text).then(Decoder::default);
    let mut body = BytesMut::new();
    while let Some(part) = upload.pull(PIECE).await {
        let part = part.map_err(|error| message::broken(&error))?;
        match &mut decoder {
            Some(decoder) => decoder.decode(&part, &mut body).map_err(invalid_base64)?,
            None => body.extend_from_slice(&part),
        }
        within_budget(hold.set(body.len() + decoder.as_ref().map_or(0, Decoder::len)))?;
        if body.len() > most {
            return Err(Status::resource_exhausted(format!(
                "a request of more than {most} bytes; accepted is one message within --grpc-max-message"
            )));
        }
        if turn.step() {
            // Others have their turn, as with `give_way`.
            yield_now().await;
        }
    }
    if let Some(decoder) = &mut decoder {
        decoder.finish(&mut body).map_err(invalid_base64)?;
    }
    Ok(body)
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
    use super::*;
    use crate::budget::Budget;

    /// What is read of a body that comes in pieces of `size`.
    async fn read(body: &[u8], size: usize) -> Result<BytesMut, tonic::Code> {
        let budget = Budget::of(1 << 30);
        let inbox = Inbox::new(&budget);
        let (hold, turn) = (Hold::new(&budget), Turn::default());
        let read = super::read(Upload::new(Some(&inbox)), Form::Text, 20_000, &hold, &turn);
        let push = async {
            for piece in body.chunks(size) {
                inbox.push(piece);
                turn.begin();
                yield_now().await;
            }
            inbox.end(Ok(()));
        };
        let (read, ()) = tokio::join!(read, push);
        read.map_err(|status| status.code())
    }

    #[tokio::test]
    async fn text_is_decoded_whatever_pieces_it_comes_in() {
        let text = web::encode(&[7; 20_000]);
        for size in [1, 3, 1000, 100_000] {
            assert_eq!(read(text.as_bytes(), size).await.as_deref(), Ok(&[7; 20_000][..]), "{size}");
        }
    }

    #[tokio::test]
    async fn invalid_base64_and_bodies_beyond_the_limit_are_refused() {
        assert_eq!(read(b"!!!!", 9).await, Err(tonic::Code::Internal));
        assert_eq!(read(b"AAAAA", 9).await, Err(tonic::Code::Internal));
        let long = web::encode(&[7; 20_001]);
        assert_eq!(read(long.as_bytes(), 9).await, Err(tonic::Code::ResourceExhausted));
    }
}
