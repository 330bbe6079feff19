//! The types of a gRPC call's messages from the server itself: server reflection, v1 or else v1alpha, asked before the run in
//! calls of their own.
//!
//! Each of these calls is a run of one request, with the target, the TLS settings and the metadata of the plan. Nothing here
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
    plan::{Plan, PlanError, add_types, contents, known, no_service},
    run::Run,
};

/// The method, in the order in which servers are asked. Their messages are the same.
const METHODS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The most files that a server may describe.
const MAX_FILES: usize = 10_000;

/// What servers are asked: `grpc.reflection.v1.ServerReflectionRequest`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(oneof = "Asked", tags = "3, 4, 7")]
    asked: Option<Asked>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Asked {
    #[prost(string, tag = "3")]
    FileByFilename(String),
    #[prost(string, tag = "4")]
    FileContainingSymbol(String),
    #[prost(string, tag = "7")]
    ListServices(String),
}

/// What they answer: `grpc.reflection.v1.ServerReflectionResponse`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct Answer {
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
    /// It does not know what it was asked for.
    NotFound(String),
    /// It could not be asked, or what it said is of no use.
    Otherwise(anyhow::Error),
}

/// What ends all questions together.
#[derive(Debug)]
struct Asking<'r> {
    /// The run that needs the answers: once it is stopped, nobody needs them.
    run: &'r Handle,
    /// However many answers lead to further questions.
    until: Instant,
}

/// How often it is looked whether nobody needs the answers.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The plan with the types of its call's messages, if it is of a call whose types are not known. It takes no longer than
/// `--connect-timeout`.
///
/// # Errors
/// A [`PlanError`] where there is no such method, or the message is not of its type; anything else where the server could not be
/// asked.
pub(crate) fn described(plan: Plan, run: &Handle) -> anyhow::Result<Plan> {
    let Some(call) = plan.call().filter(|call| call.prepared().is_none()) else { return Ok(plan) };
    let service = call.service().to_owned();
    let source = plan.target().authority();
    let asking = Asking { run, until: Instant::now() + plan.load().connect_timeout };
    for method in METHODS {
        match types(&plan, &asking, method, &service) {
            Ok(types) => return Ok(plan.knowing(&types, &source)?),
            Err(Failed::Unimplemented) => {}
            Err(Failed::NotFound(why)) => return Err(unasked(&plan, &why)),
            Err(Failed::Otherwise(error)) => return Err(error),
        }
    }
    let known = known();
    if known.get_service_by_name(&service).is_some() {
        return Ok(plan.knowing(&known, "this program")?);
    }
    let shown = format!("{} has no server reflection", plan.target());
    let accepted =
        "--proto, with the file that defines the service, or --raw-message, with a message's bytes";
    Err(PlanError(Refusal::new(shown, accepted, "--proto=echo.proto")).into())
}

/// The types of a service and all that they need.
fn types(plan: &Plan, asking: &Asking<'_>, method: &str, service: &str) -> Result<DescriptorPool, Failed> {
    let mut files = BTreeMap::new();
    let mut asked_for = BTreeSet::new();
    let mut questions = vec![Asked::FileContainingSymbol(service.to_owned())];
    while !questions.is_empty() {
        let answers = match ask(plan, asking, method, std::mem::take(&mut questions)) {
            // As tonic says it.
            Err(Failed::NotFound(_)) if files.is_empty() => {
                return Err(missing(plan, asking, method, service));
            }
            answers => answers?,
        };
        for answer in answers {
            match answer {
                Answered::Files(answered) => add(&mut files, &answered).map_err(Failed::Otherwise)?,
                Answered::Error(error) if files.is_empty() && error.error_code == Code::NotFound as i32 => {
                    return Err(missing(plan, asking, method, service));
                }
                // It may not describe what everyone knows.
                Answered::Error(_) => {}
                Answered::Services(_) => {}
            }
        }
        let imports: Vec<_> =
            files.values().flat_map(|file: &FileDescriptorProto| &file.dependency).cloned().collect();
        for name in imports.into_iter().filter(|name| !files.contains_key(name)).collect::<Vec<_>>() {
            if let Some(file) = DescriptorPool::global().get_file_by_name(&name) {
                files.insert(name, file.file_descriptor_proto().clone());
            } else if asked_for.insert(name.clone()) {
                // One that it does not describe is not asked for again: the pool says which is missing.
                questions.push(Asked::FileByFilename(name));
            }
        }
        if files.len() > MAX_FILES {
            return Err(Failed::Otherwise(anyhow!(
                "{} describes more than {MAX_FILES} files",
                plan.target()
            )));
        }
    }
    let mut pool = DescriptorPool::new();
    add_types(&mut pool, files.into_values()).map_err(|why| {
        Failed::Otherwise(anyhow!("the types that {} describes are invalid: {why}", plan.target()))
    })?;
    Ok(pool)
}

fn add(files: &mut BTreeMap<String, FileDescriptorProto>, answered: &Files) -> anyhow::Result<()> {
    for bytes in &answered.file_descriptor_proto {
        let file = FileDescriptorProto::decode(bytes.as_slice())
            .context("server reflection answered with an invalid file descriptor")?;
        files.insert(file.name().to_owned(), file);
    }
    Ok(())
}

/// There is no such service: which there are.
fn missing(plan: &Plan, asking: &Asking<'_>, method: &str, service: &str) -> Failed {
    let services = match ask(plan, asking, method, vec![Asked::ListServices(String::new())]) {
        Ok(answers) if answers.is_empty() => {
            return Failed::Otherwise(unasked(plan, "it answered nothing"));
        }
        Ok(answers) => answers,
        Err(failed) => return failed,
    };
    let names = services.into_iter().flat_map(|answer| match answer {
        Answered::Services(services) => services.service,
        _ => Vec::new(),
    });
    let names = names.map(|service| service.name).filter(|name| !name.starts_with("grpc.reflection."));
    Failed::Otherwise(no_service(service, &plan.target().authority(), names).into())
}

/// Asks all of it in one call.
fn ask(
    plan: &Plan,
    asking: &Asking<'_>,
    method: &str,
    questions: Vec<Asked>,
) -> Result<Vec<Answered>, Failed> {
    let left = asking.until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Failed::Otherwise(unasked(
            plan,
            "its answers lead to ever more questions, for --connect-timeout",
        )));
    }
    let messages: Vec<_> =
        questions.into_iter().map(|asked| Question { asked: Some(asked) }.encode_to_vec()).collect();
    let run = plan.asking(method, &messages).map_err(|error| Failed::Otherwise(error.into()))?;
    let running = Run::new(run.within(left)).start().map_err(Failed::Otherwise)?;
    while !running.is_finished() {
        if asking.run.phase() != Phase::Run {
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
    Err(Failed::Otherwise(unasked(plan, &why)))
}

/// The server could not be asked, or did not say.
fn unasked(plan: &Plan, why: &str) -> anyhow::Error {
    let asked = format!("can't ask {} for the types of its methods (server reflection)", plan.target());
    let accepted =
        "a server with reflection that can be reached, or --proto with the file that defines the service";
    Refusal::new(asked, accepted, "--proto=echo.proto").because(why).into()
}

fn answers(exchange: Option<&Exchange>) -> anyhow::Result<Vec<Answered>> {
    let body = exchange.map_or(&[][..], |exchange| &exchange.capture.body);
    let answers = contents(body).into_iter().map(|message| Answer::decode(message.as_slice()));
    let answers: Result<Vec<_>, _> = answers.collect();
    let answers = answers.context("server reflection answered with what is no message of it")?;
    Ok(answers.into_iter().filter_map(|answer| answer.answered).collect())
}
