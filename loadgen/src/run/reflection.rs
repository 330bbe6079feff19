//! The types of gRPC calls' messages from the servers themselves: server reflection, v1 or else v1alpha, asked before the run in
//! calls of its own. A server is asked for all services together.
//!
//! Each of these calls is a run of one request, with the target, the TLS settings and the metadata of the plan's first call there. Nothing here
//! opens a connection itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use command_line::Refusal;
use grpc::Code;
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;

use crate::{
    control::{Handle, Phase},
    outcome::{CallEnd, Exchange, Incomplete},
    plan::{Plan, PlanError, Target, add_types, contents, known, no_service},
    run::Run,
};

/// The method, in the order in which servers are asked. Their messages are the same.
const METHODS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The maximum number of files that a server may describe.
const MAX_FILES: usize = 10_000;

/// What servers are asked: `grpc.reflection.v1.ServerReflectionRequest`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct ReflectionRequest {
    #[prost(oneof = "MessageRequest", tags = "3, 4, 7")]
    asked: Option<MessageRequest>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum MessageRequest {
    #[prost(string, tag = "3")]
    FileByFilename(String),
    #[prost(string, tag = "4")]
    FileContainingSymbol(String),
    #[prost(string, tag = "7")]
    ListServices(String),
}

/// What they answer: `grpc.reflection.v1.ServerReflectionResponse`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct ReflectionResponse {
    #[prost(oneof = "Answered", tags = "4, 6, 7")]
    answered: Option<Answered>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Answered {
    #[prost(message, tag = "4")]
    Files(Files),
    #[prost(message, tag = "6")]
    Services(Services),
    #[prost(message, tag = "7")]
    Error(AnsweredError),
}

#[derive(Clone, PartialEq, Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file_descriptor_proto: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Services {
    #[prost(message, repeated, tag = "1")]
    service: Vec<Service>,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct AnsweredError {
    #[prost(int32, tag = "1")]
    error_code: i32,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// Why there are no types.
#[derive(Debug)]
enum Failed {
    /// The server does not have this version.
    Unimplemented,
    /// It does not know what it was asked for, or some of it.
    NotFound(String),
    /// It could not be asked, or what it said is of no use.
    Otherwise(anyhow::Error),
}

/// Questions to one server, and what ends all of them together.
#[derive(Debug)]
struct Asking<'r> {
    plan: &'r Plan,
    /// The index of the server.
    site: usize,
    /// The full names of the services that are called there, each once.
    services: Vec<String>,
    /// The run that needs the answers: once it is stopped, they are not needed.
    run: &'r Handle,
    /// However many answers lead to further questions.
    until: Instant,
}

/// How often it is checked whether the answers are still needed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The plan with the types of its calls' messages, if there are calls whose types are not known. For each server, it takes no
/// longer than `--connect-timeout`.
///
/// # Errors
/// A [`PlanError`] where there is no such method, or the message is not of its type; anything else where the server could not be
/// asked.
pub(crate) fn described(mut plan: Plan, run: &Handle) -> anyhow::Result<Plan> {
    for site in 0..plan.sites().len() {
        let mut services: Vec<String> = Vec::new();
        for call in plan.unknown_calls(site) {
            if !services.iter().any(|service| service == call.service()) {
                services.push(call.service().to_owned());
            }
        }
        if !services.is_empty() {
            let until = Instant::now() + plan.load().connect_timeout;
            let asking = Asking { plan: &plan, site, services, run, until };
            let (types, source) = asking.described()?;
            plan = plan.knowing(site, &types, &source)?;
        }
    }
    Ok(plan)
}

impl Asking<'_> {
    fn target(&self) -> &Target {
        self.plan.sites()[self.site].target()
    }

    /// Where what it says comes from.
    fn source(&self) -> String {
        self.target().authority()
    }

    /// With the place in its file, an error of the first call of a service.
    fn told(&self, service: &str, error: PlanError) -> anyhow::Error {
        match self.plan.unknown_calls(self.site).find(|call| call.service() == service) {
            Some(call) => call.told(error).into(),
            None => error.into(),
        }
    }

    /// The types of all services, and whose they are.
    fn described(&self) -> anyhow::Result<(DescriptorPool, String)> {
        for method in METHODS {
            match self.types(method) {
                Ok(types) => return Ok((types, self.source())),
                Err(Failed::Unimplemented) => {}
                Err(Failed::NotFound(why)) => return Err(self.unasked(&why)),
                Err(Failed::Otherwise(error)) => return Err(error),
            }
        }
        let known = known();
        match self.services.iter().find(|service| known.get_service_by_name(service).is_none()) {
            None => Ok((known, "this program".to_owned())),
            Some(service) => {
                let shown = format!("{} has no server reflection", self.target());
                let accepted = "--proto, with the file that defines the service, or --raw-message, with a message's bytes";
                Err(self.told(service, PlanError(Refusal::new(shown, accepted, "--proto=echo.proto"))))
            }
        }
    }

    /// The types of the services and all that they need.
    fn types(&self, method: &str) -> Result<DescriptorPool, Failed> {
        let mut files = BTreeMap::new();
        let questions = self.services.iter().cloned().map(MessageRequest::FileContainingSymbol).collect();
        let answers = match self.ask(method, questions) {
            // As tonic says it.
            Err(Failed::NotFound(_)) => return Err(self.missing(method, 0)),
            answers => answers?,
        };
        for (index, answer) in answers.into_iter().enumerate() {
            match answer {
                Answered::Files(answered) => add(&mut files, &answered).map_err(Failed::Otherwise)?,
                Answered::Error(error) if error.error_code == Code::NotFound as i32 => {
                    return Err(self.missing(method, index));
                }
                Answered::Error(_) | Answered::Services(_) => {}
            }
        }
        self.add_imports(method, &mut files)?;
        let mut pool = DescriptorPool::new();
        add_types(&mut pool, files.into_values()).map_err(|why| {
            Failed::Otherwise(anyhow!("the types that {} describes are invalid: {why}", self.target()))
        })?;
        Ok(pool)
    }

    /// Asks for what files import until there is nothing left.
    fn add_imports(
        &self,
        method: &str,
        files: &mut BTreeMap<String, FileDescriptorProto>,
    ) -> Result<(), Failed> {
        let mut asked_for = BTreeSet::new();
        loop {
            let imports: Vec<_> = files.values().flat_map(|file| &file.dependency).cloned().collect();
            let mut questions = Vec::new();
            for name in imports {
                if files.contains_key(&name) {
                    continue;
                }
                if let Some(file) = DescriptorPool::global().get_file_by_name(&name) {
                    files.insert(name, file.file_descriptor_proto().clone());
                } else if asked_for.insert(name.clone()) {
                    // One that it does not describe is not asked for again: the pool says which is missing.
                    questions.push(MessageRequest::FileByFilename(name));
                }
            }
            if files.len() > MAX_FILES {
                let why = anyhow!("{} describes more than {MAX_FILES} files", self.target());
                return Err(Failed::Otherwise(why));
            }
            if questions.is_empty() {
                return Ok(());
            }
            for answer in self.ask(method, questions)? {
                // It may not describe what everyone knows.
                if let Answered::Files(answered) = answer {
                    add(files, &answered).map_err(Failed::Otherwise)?;
                }
            }
        }
    }

    /// There is no such service: which there are. Where a server says of all together that one is not there, it is the first
    /// that it does not list, or the one with this index.
    fn missing(&self, method: &str, index: usize) -> Failed {
        let services = match self.ask(method, vec![MessageRequest::ListServices(String::new())]) {
            Ok(answers) if answers.is_empty() => {
                return Failed::Otherwise(self.unasked("it answered nothing"));
            }
            Ok(answers) => answers,
            Err(failed) => return failed,
        };
        let names = services.into_iter().flat_map(|answer| match answer {
            Answered::Services(services) => services.service,
            _ => Vec::new(),
        });
        let names: Vec<_> = names.map(|service| service.name).collect();
        let service = self.services.iter().skip(index).find(|service| !names.contains(service));
        let service = service.unwrap_or(&self.services[index]);
        let others = names.iter().filter(|name| !name.starts_with("grpc.reflection.")).cloned();
        Failed::Otherwise(self.told(service, no_service(service, &self.source(), others, None)))
    }

    /// Asks all of it in one call.
    fn ask(&self, method: &str, questions: Vec<MessageRequest>) -> Result<Vec<Answered>, Failed> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let why = "its answers lead to ever more questions, for --connect-timeout";
            return Err(Failed::Otherwise(self.unasked(why)));
        }
        let messages: Vec<_> = questions
            .into_iter()
            .map(|asked| ReflectionRequest { asked: Some(asked) }.encode_to_vec())
            .collect();
        let plan = self.plan.asking(self.site, method, &messages);
        let plan = plan.map_err(|error| Failed::Otherwise(error.into()))?;
        let running = Run::new(plan.within(left)).start().map_err(Failed::Otherwise)?;
        while !running.is_finished() {
            if self.run.phase() != Phase::Run {
                running.abort();
            }
            thread::park_timeout(LOOK_EVERY);
        }
        let summary = running.join().map_err(Failed::Otherwise)?;
        let exchange = summary.records.exchange.as_deref();
        let why = match exchange.map(|exchange| (&exchange.failure, &exchange.call)) {
            Some((None, Some(CallEnd::Ok))) => return answers(exchange).map_err(Failed::Otherwise),
            Some((None, Some(CallEnd::Error(error)))) if error.0 == Code::Unimplemented => {
                return Err(Failed::Unimplemented);
            }
            Some((None, Some(CallEnd::Error(error)))) if error.0 == Code::NotFound => {
                return Err(Failed::NotFound(format!("{}: {}", error.0.name(), error.1)));
            }
            Some((None, Some(CallEnd::Error(error)))) => format!("{}: {}", error.0.name(), error.1),
            Some((Some(Incomplete::Failed(why)), _)) => why.clone(),
            Some((Some(_), _)) | None => {
                summary.records.unopened.clone().unwrap_or_else(|| "no complete response in time".to_owned())
            }
            Some((None, None)) => {
                let status = exchange.and_then(|exchange| exchange.status).unwrap_or(0);
                format!("the response has the status {status}")
            }
        };
        Err(Failed::Otherwise(self.unasked(&why)))
    }

    /// The server could not be asked, or did not say.
    fn unasked(&self, why: &str) -> anyhow::Error {
        let asked = format!("can't ask {} for the types of its methods (server reflection)", self.target());
        let accepted =
            "a server with reflection that can be reached, or --proto with the file that defines the service";
        Refusal::new(asked, accepted, "--proto=echo.proto").because(why).into()
    }
}

fn add(files: &mut BTreeMap<String, FileDescriptorProto>, answered: &Files) -> anyhow::Result<()> {
    for bytes in &answered.file_descriptor_proto {
        let file = FileDescriptorProto::decode(bytes.as_slice())
            .context("server reflection answered with an invalid file descriptor")?;
        files.insert(file.name().to_owned(), file);
    }
    Ok(())
}

fn answers(exchange: Option<&Exchange>) -> anyhow::Result<Vec<Answered>> {
    let body = exchange.map_or(&[][..], |exchange| &exchange.capture.body);
    let answers = contents(body).into_iter().map(|message| ReflectionResponse::decode(message.as_slice()));
    let answers: Result<Vec<_>, _> = answers.collect();
    let answers = answers.context("server reflection answered with something that is not a message of it")?;
    Ok(answers.into_iter().filter_map(|answer| answer.answered).collect())
}
