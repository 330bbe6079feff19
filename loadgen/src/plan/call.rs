//! A gRPC call: what is wanted of it, the checks that it has to pass, and its messages, made once before the run.
//!
//! Where the types of its messages come from the server, by reflection, the plan is built without them, and `run` asks for
//! them: nothing here opens a connection.

use std::{path::PathBuf, time::Duration};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use command_line::Refusal;
use contract::quantity::{self, LONGEST_TIME};
use grpc::timeout;
use http::Method as HttpMethod;
use prost_reflect::DescriptorPool;

use super::{
    PlanError, Request, Target,
    accepted::{self, refused, refused_because},
    methods::{self, Method, Shape},
    proto_files,
};

/// With or without padding, as gRPC has it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The most messages that a call sends.
pub const MAX_MESSAGES: u64 = 1_000_000_000;

/// What messages are compressed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Nothing.
    #[default]
    Identity,
    /// gzip (RFC 1952), announced by `grpc-encoding`; the server may do the same.
    Gzip,
}

/// What is wanted, before it is checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) protos: Vec<PathBuf>,
    pub(super) proto_paths: Vec<PathBuf>,
    pub(super) raw: bool,
    pub(super) deadline: Option<Duration>,
    pub(super) encoding: Encoding,
    pub(super) messages: Option<u64>,
    pub(super) message_interval: Option<Duration>,
}

impl Wanted {
    /// Options about calls are a mistake where none are made.
    pub(super) fn refuse(&self, target: &Target) -> Result<(), PlanError> {
        let Some(option) = self.first() else { return Ok(()) };
        let shown = format!("--{option} with the target {target}");
        let accepted = "it with a grpc:// or grpcs:// target alone";
        Err(PlanError(Refusal::new(shown, accepted, format!("grpc://{}", target.authority()))))
    }

    /// The first option that is about calls.
    fn first(&self) -> Option<&'static str> {
        [
            (!self.protos.is_empty(), "proto"),
            (!self.proto_paths.is_empty(), "proto-path"),
            (self.raw, "raw-message"),
            (self.deadline.is_some(), "deadline"),
            (self.encoding != Encoding::Identity, "grpc-encoding"),
            (self.messages.is_some(), "messages"),
            (self.message_interval.is_some(), "message-interval"),
        ]
        .into_iter()
        .find_map(|(is_given, name)| is_given.then_some(name))
    }
}

/// When the messages of a call are sent, after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the server takes them.
    AtOnce,
    /// Message n is due n times this after the call was.
    Every(Duration),
    /// Each when the response to the one before has come.
    Replies,
}

/// A call of a method.
#[derive(Clone, Debug)]
pub struct Call {
    service: String,
    method: String,
    /// What was given as the message, if anything was.
    given: Option<Bytes>,
    encoding: Encoding,
    count: Option<u64>,
    interval: Option<Duration>,
    deadline: Option<Duration>,
    /// What is sent, once the method is known.
    prepared: Option<Prepared>,
}

/// What is sent, decided.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The kind of the method.
    pub shape: Shape,
    /// Messages with their prefixes, which are sent in turn; at least one.
    pub messages: Vec<Bytes>,
    /// The same as people read them.
    pub shown: String,
    /// How many are sent in all.
    pub count: u64,
    /// When.
    pub pace: Pace,
    /// How long the call may take, as the server is told.
    pub deadline: Option<Duration>,
    method: Option<Method>,
}

impl Call {
    /// For a target where calls are made; what `request` has as its body is the message.
    pub(super) fn new(target: &Target, wanted: &Wanted, request: &mut Request) -> Result<Self, PlanError> {
        check(wanted)?;
        let given = request.has_body.then(|| std::mem::take(&mut request.body));
        add_fields(wanted, request)?;
        let mut call = Self {
            given,
            encoding: wanted.encoding,
            count: wanted.messages,
            interval: wanted.message_interval,
            deadline: wanted.deadline,
            ..Self::of(target)
        };
        if wanted.raw {
            call.prepare_raw()?;
        } else if !wanted.protos.is_empty() {
            call.find(&proto_files::compile(&wanted.protos, &wanted.proto_paths)?, "the files of --proto")?;
        } else if call.given.is_none() && call.service == methods::ECHO {
            // It works with a server without reflection, and asks none.
            call.find(&methods::known(), "this program")?;
        }
        Ok(call)
    }

    /// Of the method of a target, with the bytes of messages, all sent immediately.
    pub(super) fn of_bytes(target: &Target, contents: &[Vec<u8>]) -> Result<Self, PlanError> {
        let mut call = Self::of(target);
        call.prepare(contents, String::new(), None)?;
        Ok(call)
    }

    fn of(target: &Target) -> Self {
        let (service, method) = target.path[1..].split_once('/').unwrap_or_default();
        Self {
            service: service.to_owned(),
            method: method.to_owned(),
            given: None,
            encoding: Encoding::Identity,
            count: None,
            interval: None,
            deadline: None,
            prepared: None,
        }
    }

    /// What is sent; none as long as the server has not been asked for its types.
    #[must_use]
    pub fn prepared(&self) -> Option<&Prepared> {
        self.prepared.as_ref()
    }

    /// The full name of its service.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// Makes the messages by the types of `pool`, which are those of `source`.
    pub(crate) fn find(&mut self, pool: &DescriptorPool, source: &str) -> Result<(), PlanError> {
        let method = Method::find(pool, &self.service, &self.method, source)?;
        let (contents, shown) = method.messages(self.given.as_deref())?;
        self.prepare(&contents, shown, Some(method))
    }

    fn prepare_raw(&mut self) -> Result<(), PlanError> {
        let content = self.given.clone().unwrap_or_default();
        let shown = format!("[a message of {} bytes, as given]", content.len());
        self.prepare(&[content.to_vec()], shown, None)
    }

    fn prepare(
        &mut self,
        contents: &[Vec<u8>],
        shown: String,
        method: Option<Method>,
    ) -> Result<(), PlanError> {
        let shape = method.as_ref().map_or(Shape::Unknown, Method::shape);
        let takes_many = shape.takes_many();
        let option = [
            (self.count.is_some_and(|count| count > 1), "messages"),
            (self.interval.is_some(), "message-interval"),
        ];
        if let Some((_, option)) = option.iter().find(|(is_given, _)| *is_given && !takes_many) {
            let shown = format!("--{option} with /{}/{}", self.service, self.method);
            let accepted = "it with a method that takes a stream of messages";
            let example = "grpc://localhost:8080/echo.EchoService/StreamEcho --messages=10";
            return Err(PlanError(Refusal::new(shown, accepted, example).because("it takes one message")));
        }
        let pace = match self.interval {
            Some(interval) if !interval.is_zero() => Pace::Every(interval),
            None if shape == Shape::BidiStream => Pace::Replies,
            _ => Pace::AtOnce,
        };
        let messages: Vec<_> =
            contents.iter().map(|content| methods::framed(content, self.encoding)).collect();
        let count = self.count.unwrap_or(messages.len() as u64);
        self.prepared =
            Some(Prepared { shape, messages, shown, count, pace, deadline: self.deadline, method });
        Ok(())
    }
}

impl Prepared {
    /// The messages of a reply's body as people read them, as far as they are complete and their type is known.
    pub(crate) fn shown_reply(&self, body: &[u8]) -> Vec<String> {
        methods::shown(self.method.as_ref(), body)
    }
}

fn check(wanted: &Wanted) -> Result<(), PlanError> {
    if wanted.raw && !wanted.protos.is_empty() {
        let accepted = "--proto, for a message in JSON, or --raw-message, for its bytes";
        return Err(PlanError(Refusal::new(
            "--raw-message and --proto exclude each other",
            accepted,
            "--raw-message --body-file=message.bin",
        )));
    }
    if wanted.protos.is_empty() && !wanted.proto_paths.is_empty() {
        let accepted = "--proto-path together with --proto";
        return Err(PlanError(Refusal::new("--proto-path needs --proto", accepted, "--proto=echo.proto")));
    }
    if let Some(deadline) = wanted.deadline.filter(|time| time.is_zero() || *time > LONGEST_TIME) {
        return Err(refused(&accepted::DEADLINE, quantity::canonical(deadline)));
    }
    if let Some(count) = wanted.messages.filter(|count| !(1..=MAX_MESSAGES).contains(count)) {
        return Err(refused(&accepted::MESSAGES, count));
    }
    if let Some(interval) = wanted.message_interval.filter(|interval| *interval > LONGEST_TIME) {
        return Err(refused(&accepted::MESSAGE_INTERVAL, quantity::canonical(interval)));
    }
    Ok(())
}

/// Adds what each call carries ("Requests" of gRPC over HTTP/2), unless it was given.
fn add_fields(wanted: &Wanted, request: &mut Request) -> Result<(), PlanError> {
    if request.method != HttpMethod::POST {
        return Err(PlanError(
            refused(&accepted::METHOD, &request.method).0.because("gRPC calls are POST alone"),
        ));
    }
    let fields = &mut request.fields;
    let is_base64 =
        |value: &[u8]| value.split(|byte| *byte == b',').all(|one| BASE64.decode(one.trim_ascii()).is_ok());
    let wrong =
        fields.iter().find(|(name, value)| name.to_ascii_lowercase().ends_with(b"-bin") && !is_base64(value));
    if let Some((name, _)) = wrong {
        let name = String::from_utf8_lossy(name).into_owned();
        return Err(refused_because(&accepted::HEADER, name, "metadata in -bin is given in base64"));
    }
    if let Some(given) = fields.get("content-type").filter(|given| !grpc::is_call(given)) {
        let given = String::from_utf8_lossy(given).into_owned();
        let accepted =
            "no content-type with gRPC other than application/grpc, application/grpc+proto and the like";
        return Err(PlanError(Refusal::of_value(
            "header",
            format!("content-type: {given}"),
            accepted,
            "content-type: application/grpc+proto",
        )));
    }
    if fields.contains("grpc-encoding") {
        let accepted = "--grpc-encoding, which also compresses";
        return Err(PlanError(Refusal::of_value("header", "grpc-encoding", accepted, "x-tenant: a")));
    }
    if let Some(deadline) = wanted.deadline {
        if fields.contains(timeout::TIMEOUT) {
            let shown = "--deadline and the header field grpc-timeout exclude each other";
            return Err(PlanError(Refusal::new(shown, "one of them", "--deadline=500ms")));
        }
        fields.push(timeout::TIMEOUT, timeout::value(deadline));
    }
    let mut add = |name: &str, value: &str| {
        if !fields.contains(name) {
            fields.push(name, value);
        }
    };
    add("content-type", grpc::CONTENT_TYPE);
    add("te", "trailers");
    if wanted.encoding == Encoding::Gzip {
        add("grpc-encoding", "gzip");
        add("grpc-accept-encoding", "gzip");
    }
    Ok(())
}
