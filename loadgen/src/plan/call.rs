//! A gRPC call: what is wanted of it, and what is sent: messages that are made once before the run, or for each call where
//! they have placeholders.
//!
//! Where the types of its messages come from the server, by reflection, the plan is built without them, and `run` asks for
//! them: nothing here opens a connection.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use command_line::Refusal;
use prost_reflect::DescriptorPool;

use super::{
    CallOptions, PlanError, Request, Target,
    call_message::{Given, VaryingMessages},
    methods::{self, Method, MethodShape},
    places::ValuePlaces,
    rows::Rows,
    stream_tokens::{Answers, StreamMessages},
    template::Values,
};

/// What messages are compressed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Nothing.
    #[default]
    Identity,
    /// gzip (RFC 1952), announced by `grpc-encoding`; the server may do the same.
    Gzip,
}

/// When the messages of a call are sent, after the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessagePace {
    /// As fast as the server takes them.
    #[default]
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
    given: Option<Given>,
    encoding: Encoding,
    count: Option<u64>,
    interval: Option<Duration>,
    deadline: Option<Duration>,
    /// Whether messages of streams carry tokens.
    is_verified: bool,
    /// What is sent, once the method is known.
    prepared: Option<PreparedCall>,
    /// Where it stands in a file, and as which request.
    place: Option<(Arc<ValuePlaces>, usize)>,
}

/// What is sent, decided.
#[derive(Clone, Debug)]
pub struct PreparedCall {
    /// The kind of the method.
    pub shape: MethodShape,
    /// How many messages are sent in all: by default, each that is given once.
    pub count: Option<u64>,
    /// When.
    pub pace: MessagePace,
    /// The call's deadline, which is sent to the server.
    pub deadline: Option<Duration>,
    pub(crate) messages: CallMessages,
    method: Option<Method>,
}

/// Messages, which are sent in turn; at least one.
#[derive(Clone, Debug)]
pub(crate) enum CallMessages {
    /// The same in each call, with their prefixes, and as people read them.
    Same { framed: Vec<Bytes>, shown: String },
    /// Made for each call.
    Varying(Arc<VaryingMessages>),
    /// Each with its own token, and as people read them without it.
    Tokens { messages: Arc<StreamMessages>, shown: String },
}

impl Call {
    /// For a request to a target where calls are made; what it has as its body is the message. `types` are those of files.
    pub(super) fn new(
        options: &CallOptions,
        types: Option<&DescriptorPool>,
        request: &mut Request,
    ) -> Result<Self, PlanError> {
        options.check()?;
        let given = request.take_message();
        options.add_fields(request)?;
        let mut call = Self {
            given,
            encoding: options.encoding.unwrap_or_default(),
            count: options.messages,
            interval: options.message_interval,
            deadline: options.deadline,
            is_verified: request.is_verified(),
            ..Self::of(request.path())
        };
        if options.is_raw() {
            call.prepare_raw()?;
        } else if let Some(types) = types {
            call.find(types, "the files of --proto", request.rows())?;
        } else if call.given.is_none()
            && call.service == methods::ECHO
            && let known = methods::known()
            && Method::find(&known, &call.service, &call.method, "this program").is_ok()
        {
            // It works with a server without reflection, and asks none. The server may have other methods of that name.
            call.find(&known, "this program", None)?;
        }
        Ok(call)
    }

    /// Of the method of a target, with the bytes of messages, all sent immediately.
    pub(super) fn of_bytes(target: &Target, contents: &[Vec<u8>]) -> Result<Self, PlanError> {
        let mut call = Self::of(&target.path);
        call.prepare_contents(contents, String::new(), None)?;
        Ok(call)
    }

    fn of(path: &str) -> Self {
        let (service, method) = path[1..].split_once('/').unwrap_or_default();
        Self {
            service: service.to_owned(),
            method: method.to_owned(),
            given: None,
            encoding: Encoding::Identity,
            count: None,
            interval: None,
            deadline: None,
            is_verified: false,
            prepared: None,
            place: None,
        }
    }

    /// It is the request with this index of a file.
    pub(super) fn stands_in(&mut self, places: &Arc<ValuePlaces>, index: usize) {
        self.place = Some((Arc::clone(places), index));
    }

    /// What is sent; none as long as the server has not been asked for its types.
    #[must_use]
    pub fn prepared(&self) -> Option<&PreparedCall> {
        self.prepared.as_ref()
    }

    /// The full name of its service.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// Whether values of placeholders in its message are drawn.
    pub(super) fn is_random(&self) -> bool {
        self.given.as_ref().is_some_and(Given::is_random)
    }

    /// With the place in its file of what is refused.
    pub(crate) fn told(&self, PlanError(refusal): PlanError) -> PlanError {
        PlanError(match &self.place {
            Some((places, index)) => places.told_of_request(*index, refusal),
            None => refusal,
        })
    }

    /// Makes the messages by the types of `pool`, which are those of `source`. Placeholders take values from `rows`.
    pub(super) fn find(
        &mut self,
        pool: &DescriptorPool,
        source: &str,
        rows: Option<&Rows>,
    ) -> Result<(), PlanError> {
        let method = Method::find(pool, &self.service, &self.method, source)?;
        match &self.given {
            Some(Given::Varying(template)) => {
                let messages = VaryingMessages::new(template.clone(), method.clone(), self.encoding);
                messages.check(rows)?;
                self.prepare(CallMessages::Varying(Arc::new(messages)), Some(method))
            }
            Some(Given::Same(json)) => {
                let (contents, shown) = method.messages(Some(json))?;
                self.prepare_contents(&contents, shown, Some(method))
            }
            None => {
                // What is left to loadgen is the token then.
                let is_empty = self.is_verified && method.shape() != MethodShape::Unary;
                let (contents, shown) = method.messages(is_empty.then_some(b"{}"))?;
                self.prepare_contents(&contents, shown, Some(method))
            }
        }
    }

    fn prepare_raw(&mut self) -> Result<(), PlanError> {
        let content = match &self.given {
            Some(Given::Same(content)) => content.to_vec(),
            _ => Vec::new(),
        };
        let shown = format!("[a message of {} bytes, as given]", content.len());
        self.prepare_contents(&[content], shown, None)
    }

    fn prepare_contents(
        &mut self,
        contents: &[Vec<u8>],
        shown: String,
        method: Option<Method>,
    ) -> Result<(), PlanError> {
        let path = method.as_ref().map(Method::full_name).filter(|_| self.is_verified);
        if let Some(messages) = path.and_then(|path| StreamMessages::of(path, contents, self.encoding)) {
            return self.prepare(CallMessages::Tokens { messages: Arc::new(messages), shown }, method);
        }
        let framed = contents.iter().map(|content| methods::framed(content, self.encoding)).collect();
        self.prepare(CallMessages::Same { framed, shown }, method)
    }

    fn prepare(&mut self, messages: CallMessages, method: Option<Method>) -> Result<(), PlanError> {
        let shape = method.as_ref().map_or(MethodShape::Unknown, Method::shape);
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
            Some(interval) if !interval.is_zero() => MessagePace::Every(interval),
            None if shape == MethodShape::BidiStream => MessagePace::Replies,
            _ => MessagePace::AtOnce,
        };
        self.prepared =
            Some(PreparedCall { shape, messages, count: self.count, pace, deadline: self.deadline, method });
        Ok(())
    }
}

impl PreparedCall {
    /// The messages of one call as people read them.
    pub(crate) fn shown(&self, values: &Values<'_>) -> String {
        match &self.messages {
            CallMessages::Same { shown, .. } => shown.clone(),
            CallMessages::Tokens { shown, .. } => {
                format!("{shown}[each with its token in the first field]\n")
            }
            CallMessages::Varying(messages) => messages.shown(values),
        }
    }

    /// How many numbers a call's messages take where they carry tokens, or where its replies are numbered; none where they don't.
    pub(crate) fn numbers(&self) -> Option<u64> {
        let CallMessages::Tokens { messages, .. } = &self.messages else { return None };
        Some(match messages.answers() {
            Answers::Several(replies) => replies,
            _ => self.count.unwrap_or(messages.len()),
        })
    }

    /// The messages of a reply's body as people read them, as far as they are complete and their type is known.
    pub(crate) fn shown_reply(&self, body: &[u8]) -> Vec<String> {
        methods::shown(self.method.as_ref(), body)
    }
}
