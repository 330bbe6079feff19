//! What is wanted of a gRPC call, and the checks that it has to pass before its method is known.

use std::{path::PathBuf, time::Duration};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use command_line::Refusal;
use contract::quantity::{self, LONGEST_TIME};
use grpc::timeout;
use http::Method as HttpMethod;
use prost_reflect::DescriptorPool;

use super::{
    Expect, PlanError, Request, RequestOptions, Target,
    accepted::{self, refused, refused_because},
    call::Encoding,
    proto_files,
};

/// With or without padding, as gRPC has it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The maximum number of messages that a call sends.
pub const MAX_MESSAGES: u64 = 1_000_000_000;

/// What is wanted of a gRPC call beside its method, its message and its metadata. What is left out is as on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// Its deadline, which is sent to the server (`grpc-timeout`).
    pub deadline: Option<Duration>,
    /// What its messages are compressed with: by default, nothing.
    pub encoding: Option<Encoding>,
    /// How many messages it sends, of a method that takes a stream of them.
    pub messages: Option<u64>,
    /// The time between two of them; zero: as fast as the server takes them.
    pub message_interval: Option<Duration>,
    /// Whether the body is the message as it is, and no JSON.
    pub raw: Option<bool>,
}

/// Files with the types of messages, which are the same for all calls of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct ProtoFiles {
    pub(super) files: Vec<PathBuf>,
    pub(super) paths: Vec<PathBuf>,
}

/// Options about calls are a mistake where none are made.
fn refuse(option: Option<&str>, target: &Target) -> Result<(), PlanError> {
    let Some(option) = option else { return Ok(()) };
    let shown = format!("--{option} with the target {target}");
    let accepted = "it with a grpc:// or grpcs:// target alone";
    Err(PlanError(Refusal::new(shown, accepted, format!("grpc://{}", target.authority()))))
}

impl ProtoFiles {
    /// No call is made to this target, or to any other.
    pub(super) fn refuse(&self, target: &Target) -> Result<(), PlanError> {
        let given = [(!self.files.is_empty(), "proto"), (!self.paths.is_empty(), "proto-path")];
        refuse(given.into_iter().find_map(|(is_given, name)| is_given.then_some(name)), target)
    }

    /// The types that they define; none where there are no files. `defaults` are those of all calls.
    pub(super) fn types(&self, defaults: &CallOptions) -> Result<Option<DescriptorPool>, PlanError> {
        if defaults.is_raw() && !self.files.is_empty() {
            let accepted = "--proto, for a message in JSON, or --raw-message, for its bytes";
            return Err(PlanError(Refusal::new(
                "--raw-message and --proto exclude each other",
                accepted,
                "--raw-message --body-file=message.bin",
            )));
        }
        match (self.files.is_empty(), self.paths.is_empty()) {
            (true, true) => Ok(None),
            (true, false) => {
                let accepted = "--proto-path together with --proto";
                let example = "--proto=echo.proto";
                Err(PlanError(Refusal::new("--proto-path needs --proto", accepted, example)))
            }
            _ => proto_files::compile(&self.files, &self.paths).map(Some),
        }
    }
}

impl CallOptions {
    /// With what others have where this says nothing.
    pub(super) fn over(self, defaults: &Self) -> Self {
        Self {
            deadline: self.deadline.or(defaults.deadline),
            encoding: self.encoding.or(defaults.encoding),
            messages: self.messages.or(defaults.messages),
            message_interval: self.message_interval.or(defaults.message_interval),
            raw: self.raw.or(defaults.raw),
        }
    }

    /// Requests to this target are not gRPC calls.
    pub(super) fn refuse(&self, target: &Target) -> Result<(), PlanError> {
        refuse(self.first(), target)
    }

    /// The first option that is about calls.
    fn first(&self) -> Option<&'static str> {
        [
            (self.raw == Some(true), "raw-message"),
            (self.deadline.is_some(), "deadline"),
            (self.encoding.is_some_and(|encoding| encoding != Encoding::Identity), "grpc-encoding"),
            (self.messages.is_some(), "messages"),
            (self.message_interval.is_some(), "message-interval"),
        ]
        .into_iter()
        .find_map(|(is_given, name)| is_given.then_some(name))
    }

    /// Whether the message is sent as it is given.
    pub(super) fn is_raw(&self) -> bool {
        self.raw == Some(true)
    }

    /// Each by itself.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        if let Some(deadline) = self.deadline.filter(|time| time.is_zero() || *time > LONGEST_TIME) {
            return Err(refused(&accepted::DEADLINE, quantity::canonical(deadline)));
        }
        if let Some(count) = self.messages.filter(|count| !(1..=MAX_MESSAGES).contains(count)) {
            return Err(refused(&accepted::MESSAGES, count));
        }
        if let Some(interval) = self.message_interval.filter(|interval| *interval > LONGEST_TIME) {
            return Err(refused(&accepted::MESSAGE_INTERVAL, quantity::canonical(interval)));
        }
        Ok(())
    }

    /// Adds what each call carries ("Requests" of gRPC over HTTP/2), unless it was given.
    pub(super) fn add_fields(&self, request: &mut Request) -> Result<(), PlanError> {
        check_fields(request)?;
        if let Some(deadline) = self.deadline {
            if request.fields.contains(timeout::TIMEOUT) {
                let shown = "--deadline and the header field grpc-timeout exclude each other";
                return Err(PlanError(Refusal::new(shown, "one of them", "--deadline=500ms")));
            }
            request.push_field(timeout::TIMEOUT, &timeout::value(deadline));
        }
        let mut add = |name: &str, value: &str| {
            if !request.fields.contains(name) {
                request.push_field(name, value);
            }
        };
        add("content-type", grpc::CONTENT_TYPE);
        add("te", "trailers");
        if self.encoding == Some(Encoding::Gzip) {
            add("grpc-encoding", "gzip");
            add("grpc-accept-encoding", "gzip");
        }
        Ok(())
    }
}

/// Refuses what a request may have and a call may not; `follows`: redirects are followed in its run.
pub(super) fn refuse_other_options(wanted: &RequestOptions, follows: bool) -> Result<(), PlanError> {
    let RequestOptions { chunked, trailers, expect_continue, expect, .. } = wanted;
    let refused = [
        (
            *chunked == Some(true) || !trailers.is_empty(),
            "chunks or trailers of a gRPC call",
            "neither: it has no length, and nothing behind its messages",
        ),
        (
            *expect_continue == Some(true),
            "--expect-continue with a gRPC call",
            "it with other targets: a call is sent immediately",
        ),
        (follows, "--follow with a gRPC call", "it with other targets: a call has no redirects"),
        (
            expect.pattern || !expect.body_contains.is_empty() || !expect.json.is_empty(),
            "expectations of a gRPC call's body",
            "those of grpc_status, status, headers, size and within: its messages are not text",
        ),
    ];
    match refused.into_iter().find(|(is_given, ..)| *is_given) {
        Some((_, shown, accepted)) => {
            Err(PlanError(Refusal::new(shown, accepted, "loadgen grpc://localhost:8080")))
        }
        None => Ok(()),
    }
}

/// Requests to this target are not gRPC calls, of which alone a status of such can be expected.
pub(super) fn refuse_expectations(expect: &Expect, target: &Target) -> Result<(), PlanError> {
    let Some(codes) = &expect.grpc_status else { return Ok(()) };
    let shown = format!("the expectation of grpc_status {} with the target {target}", codes.escape_debug());
    let accepted = "it with a grpc:// or grpcs:// target alone";
    Err(PlanError(Refusal::new(shown, accepted, "expect: {status: 404}")))
}

/// Method and metadata that a call can have.
fn check_fields(request: &Request) -> Result<(), PlanError> {
    if request.method != HttpMethod::POST {
        return Err(PlanError(
            refused(&accepted::METHOD, &request.method).0.because("gRPC calls are POST alone"),
        ));
    }
    let is_base64 =
        |value: &[u8]| value.split(|byte| *byte == b',').all(|one| BASE64.decode(one.trim_ascii()).is_ok());
    let is_binary = |name: &[u8]| name.to_ascii_lowercase().ends_with(b"-bin");
    let fields = request.first_fields();
    if let Some((name, _)) = fields.iter().find(|(name, value)| is_binary(name) && !is_base64(value)) {
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
    Ok(())
}
