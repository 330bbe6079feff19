//! A proxy that does to chosen messages of gRPC calls what real ones should not: HTTP/2 without TLS, a connection to the server for
//! each of a client's, a task for each way of each call.
//!
//! It chooses by the number in a message's token, so that a test knows what has to be found.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread,
};

use bytes::Bytes;
use contract::{
    field::TOKEN,
    id::{self, Id},
    ledger::{FIRST_CANARY, MESSAGE_TOKEN, checked_token_id},
    test::TestResponse,
};
use grpc::message::{Limits, Reader, append};
use h2::{RecvStream, SendStream, client, server};
use http::{Request, Response};
use prost::Message as _;
use tokio::{net::TcpStream, sync::oneshot};

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// Passed on as it is.
    None,
    /// Not passed on.
    Lose,
    /// Passed on twice.
    Double,
    /// Passed on behind the next one.
    Swap,
    /// One bit of the byte at this offset of what carries its token is another.
    Flip(usize),
    /// One bit of the byte that stands this far before what carries its token is another.
    FlipBefore(usize),
    /// One bit of the byte that stands this far before the end of the message is another.
    FlipEnd(usize),
    /// One bit of the byte at this offset of what gRPC puts before the message is another.
    FlipFrame(usize),
    /// The call goes no further: its streams are reset.
    Cut,
}

/// On which way a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading {
    /// To the server.
    There,
    /// From it.
    Back,
}

type Choose = dyn Fn(Heading, u64) -> CallFault + Send + Sync;

/// What is done, and to what.
struct Planned {
    of_message: Box<Choose>,
    /// Which calls, by their numbers, it answers with UNAVAILABLE itself.
    is_answered: Box<dyn Fn(u64) -> bool + Send + Sync>,
}

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct PlantedCalls {
    /// Where it listens.
    pub address: SocketAddr,
    /// Dropped, it ends.
    _over: oneshot::Sender<()>,
}

impl PlantedCalls {
    /// In front of a server; `fault` says what is done to the message of a number. What has no token is passed on.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn start(
        server: SocketAddr,
        fault: impl Fn(Heading, u64) -> CallFault + Send + Sync + 'static,
    ) -> Self {
        Self::with(server, Planned { of_message: Box::new(fault), is_answered: Box::new(|_| false) })
    }

    /// In front of a server; calls whose numbers `is_answered` names are not passed on, but answered with UNAVAILABLE.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn answering(server: SocketAddr, is_answered: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        let of_message = Box::new(|_, _| CallFault::None);
        Self::with(server, Planned { of_message, is_answered: Box::new(is_answered) })
    }

    fn with(server: SocketAddr, planned: Planned) -> Self {
        let (over, is_over) = oneshot::channel();
        let (started, address) = mpsc::sync_channel(1);
        let planned = Arc::new(planned);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
                listener.set_nonblocking(true).expect("it can wait elsewhere");
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                started.send(listener.local_addr().expect("an address")).expect("somebody waits");
                tokio::select! {
                    _ = is_over => {}
                    () = accept(&listener, server, &planned) => {}
                }
            });
        });
        Self { address: address.recv().expect("it listens"), _over: over }
    }
}

async fn accept(listener: &tokio::net::TcpListener, server: SocketAddr, planned: &Arc<Planned>) {
    while let Ok((client, _)) = listener.accept().await {
        let planned = Arc::clone(planned);
        // Whatever breaks ends both connections.
        tokio::spawn(async move { drop(serve(client, server, planned).await) });
    }
}

async fn serve(client: TcpStream, server: SocketAddr, planned: Arc<Planned>) -> Result<(), h2::Error> {
    let mut from = server::handshake(client).await?;
    let upstream = TcpStream::connect(server).await.map_err(|_| h2::Reason::CONNECT_ERROR)?;
    let (to, driving) = client::handshake(upstream).await?;
    tokio::spawn(driving);
    while let Some(exchange) = from.accept().await {
        let (request, mut respond) = exchange?;
        if call_of(request.headers()).is_some_and(&planned.is_answered) {
            let reply = Response::builder().header("content-type", "application/grpc");
            let reply = reply.header("grpc-status", grpc::Code::Unavailable as u32).body(());
            respond.send_response(reply.expect("valid fields"), true)?;
            continue;
        }
        let (to, planned) = (to.clone(), Arc::clone(&planned));
        tokio::spawn(async move { drop(pass(request, respond, to, planned).await) });
    }
    Ok(())
}

/// The number of a call of the run, by the token in its head.
fn call_of(fields: &http::HeaderMap) -> Option<u64> {
    let id = Id::read(fields.get(TOKEN)?.as_bytes())?;
    (id.load < FIRST_CANARY).then_some(id.number)
}

async fn pass(
    request: Request<RecvStream>,
    mut respond: server::SendResponse<Bytes>,
    to: client::SendRequest<Bytes>,
    planned: Arc<Planned>,
) -> Result<(), h2::Error> {
    let (head, body) = request.into_parts();
    let is_call =
        head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let faults = |heading| Faults { planned: Arc::clone(&planned), heading, reader: reader(), held: None };
    let end = body.is_end_stream();
    let (reply, sending) = to.ready().await?.send_request(Request::from_parts(head, ()), end)?;
    if !end {
        let faults = is_call.then(|| faults(Heading::There));
        tokio::spawn(copy(body, sending, faults));
    }
    let (head, body) = reply.await?.into_parts();
    let end = body.is_end_stream();
    let sending = respond.send_response(Response::from_parts(head, ()), end)?;
    if !end {
        copy(body, sending, is_call.then(|| faults(Heading::Back))).await?;
    }
    Ok(())
}

/// Passes on a body with its trailers; what breaks off is reset on the other side.
async fn copy(
    mut from: RecvStream,
    mut to: SendStream<Bytes>,
    mut faults: Option<Faults>,
) -> Result<(), h2::Error> {
    let copied = copy_all(&mut from, &mut to, &mut faults).await;
    if copied.is_err() {
        to.send_reset(h2::Reason::CANCEL);
    }
    copied
}

async fn copy_all(
    from: &mut RecvStream,
    to: &mut SendStream<Bytes>,
    faults: &mut Option<Faults>,
) -> Result<(), h2::Error> {
    while let Some(part) = from.data().await {
        let part = part?;
        from.flow_control().release_capacity(part.len())?;
        let part = match faults {
            Some(faults) => faults.apply(part).map_err(|_| h2::Reason::CANCEL)?,
            None => part,
        };
        if !part.is_empty() {
            to.send_data(part, false)?;
        }
    }
    if let Some(held) = faults.as_mut().and_then(|faults| faults.held.take()) {
        to.send_data(held.into(), false)?;
    }
    match from.trailers().await? {
        Some(trailers) => to.send_trailers(trailers),
        None => to.send_data(Bytes::new(), true),
    }
}

/// What is done to the messages of one way of a call.
struct Faults {
    planned: Arc<Planned>,
    heading: Heading,
    reader: Reader,
    /// A message that waits for the next one.
    held: Option<Vec<u8>>,
}

fn reader() -> Reader {
    Reader::new(Limits { message: 16 << 20, compressed: true })
}

impl Faults {
    /// What is passed on of the messages that are complete now.
    fn apply(&mut self, part: Bytes) -> io::Result<Bytes> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        self.reader.push(part);
        let mut out = Vec::new();
        while let Some(message) = self.reader.take().map_err(|_| invalid())? {
            let mut content = message.content.to_vec();
            let token = token_of(&content);
            let fault =
                token.map_or(CallFault::None, |(_, number)| (self.planned.of_message)(self.heading, number));
            let length = content.len();
            match (fault, token) {
                (CallFault::Flip(offset), Some((at, _))) => content[at + offset] ^= 1,
                (CallFault::FlipBefore(offset), Some((at, _))) => content[at - offset] ^= 1,
                (CallFault::FlipEnd(offset), _) => content[length - offset] ^= 1,
                _ => {}
            }
            let mut framed = Vec::new();
            append(&mut framed, message.compressed, |out| out.extend_from_slice(&content));
            if let CallFault::FlipFrame(offset) = fault {
                framed[offset] ^= 1;
            }
            let before = self.held.take();
            match fault {
                CallFault::Lose => {}
                CallFault::Double => out.extend(framed.repeat(2)),
                CallFault::Swap => self.held = Some(framed),
                CallFault::Cut => return Err(io::ErrorKind::ConnectionAborted.into()),
                CallFault::None
                | CallFault::Flip(_)
                | CallFault::FlipBefore(_)
                | CallFault::FlipEnd(_)
                | CallFault::FlipFrame(_) => out.extend(framed),
            }
            out.extend(before.unwrap_or_default());
        }
        Ok(out.into())
    }
}

/// Where what carries a token begins in a message, and the number of the message.
fn token_of(content: &[u8]) -> Option<(usize, u64)> {
    if let Some(at) = content.windows(MESSAGE_TOKEN.len()).position(|part| part == MESSAGE_TOKEN) {
        let token = content.get(at + MESSAGE_TOKEN.len()..)?.get(..id::LENGTH)?;
        return Some((at, Id::read(token)?.number));
    }
    // A reply of the test service has its token in its own field, and several of them are numbered.
    let response = TestResponse::decode(content).ok()?;
    let token = response.token.as_bytes();
    let number = checked_token_id(token)?.number;
    let at = content.windows(token.len()).position(|part| part == token)?;
    Some((at, number + if response.requests == 1 { response.number.saturating_sub(1) } else { 0 }))
}
