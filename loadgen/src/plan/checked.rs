//! The checks that make a plan of what is wanted: each option by its own module, and what goes together here.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use command_line::Refusal;
use prost_reflect::DescriptorPool;

use super::{
    Builder, Client, Expect, Lifetime, Load, MAX_CHAINS, MAX_WORKERS, Message, Plan, PlanError, Protocol,
    Request, RequestOptions, Requests, Site, Target, accepted,
    contents::Contents,
    replay::{self, ReplayLog, Skipped},
    request::Common,
    site::{self, OfSite, Targets},
};
use crate::outcome::{ExpectedStatus, expectation::Expectations};

impl Builder {
    /// What goes with gRPC calls, beside what each of them has; `types` are those of files.
    fn check_calls(&self, targets: &[&Target]) -> Result<Option<DescriptorPool>, PlanError> {
        if !targets.iter().any(|target| target.grpc) {
            // Of several loads, others may have the calls that the plan speaks of.
            if self.loads <= 1 {
                refuse_names_of_calls(&self.expected_status, targets[0])?;
                self.protos.refuse(targets[0])?;
                self.request.call.refuse(targets[0])?;
            }
            return Ok(None);
        }
        if self.loads <= 1 && targets.iter().all(|target| target.grpc) {
            refuse_statuses_of_http(&self.expected_status)?;
        }
        if self.url_file.is_some() {
            let accepted = "a plan with several requests, each of which has a method in its path";
            let shown = "--url-file with a gRPC target";
            return Err(PlanError(Refusal::new(shown, accepted, "loadgen grpc://localhost:8080")));
        }
        self.protos.types(&self.request.call)
    }

    /// What goes with messages on WebSockets.
    fn check_messages(&self) -> Result<(), PlanError> {
        let of_request = |index: usize, shown: &str, accepted: &str, example: &str| {
            let refusal = Refusal::new(shown, accepted, example);
            Err(PlanError(match self.places.as_deref() {
                Some(places) => places.told_of_request(index, refusal),
                None => refusal,
            }))
        };
        if self.requests.len() > 1 {
            let accepted =
                "one, which is the message and the path of its WebSocket, possibly with placeholders";
            let example = "requests: [{path: /ws, body: '{{seq}}'}]";
            return of_request(1, "a WebSocket with several requests", accepted, example);
        }
        if let Some(index) = self.requests.iter().position(|request| request.expect != Expect::default()) {
            let accepted = "none: a message succeeds with its echo";
            return of_request(index, "expectations of a WebSocket", accepted, "requests: [{path: /ws}]");
        }
        let refused = [
            (
                self.expected_status.named().is_some(),
                "--expect-status with a WebSocket",
                "it with other targets: a message succeeds with its echo",
            ),
            (
                self.url_file.is_some(),
                "--url-file with a WebSocket",
                "one message, possibly with placeholders, on each connection of the target's path",
            ),
            (
                self.request.chunked == Some(true)
                    || !self.request.trailers.is_empty()
                    || self.request.expect_continue == Some(true),
                "chunks, trailers or an expectation of 100 with a WebSocket",
                "them with requests: messages have their own form",
            ),
            (
                self.client.follow.unwrap_or(0) > 0,
                "--follow with a WebSocket",
                "it with requests: a redirected handshake has failed",
            ),
            (
                self.client.recv_rate.or(self.client.send_rate).is_some() || self.client.pipeline.is_some(),
                "--recv-rate, --send-rate or --pipeline with a WebSocket",
                "them with requests, so far",
            ),
            (
                self.request.expect != Expect::default(),
                "expectations of a WebSocket",
                "none: a message succeeds with its echo",
            ),
        ];
        match refused.into_iter().find(|(is_given, ..)| *is_given) {
            Some((_, shown, accepted)) => {
                Err(PlanError(Refusal::new(shown, accepted, "loadgen ws://localhost:8080/ws")))
            }
            None => Ok(()),
        }
    }

    /// Which requests go to which targets; none with one request of the target, as it is.
    fn spread(&mut self, targets: &mut Targets) -> Result<Vec<OfSite>, PlanError> {
        let mut several = self.requests.clone();
        let is_plain = self.others.is_empty() && self.request.target.is_none();
        if several.is_empty() && is_plain {
            return Ok(Vec::new());
        }
        if self.url_file.is_some() && !is_plain {
            let accepted = "one target, to which all URLs go";
            let shown = "--url-file with several targets";
            return Err(PlanError(Refusal::new(
                shown,
                accepted,
                "--url-file=urls.txt http://localhost:8080",
            )));
        }
        let mut by_default = Vec::new();
        if !self.others.is_empty() {
            by_default.push(self.target.clone());
            by_default.append(&mut self.others);
        }
        if several.is_empty() {
            several.push(RequestOptions::default());
        }
        // What they say of a target is said here.
        for options in &mut several {
            options.target = options.target.take().or_else(|| self.request.target.clone());
        }
        let has_path = self.request.path.is_some();
        site::spread(targets, &by_default, has_path, several, self.places.as_deref())
    }

    /// The log that is replayed, if one is, and how it is shown to people.
    fn read_log(&self, target: &Target, has_several: bool) -> Result<Option<(ReplayLog, String)>, PlanError> {
        let Some(path) = &self.replay else {
            return match self.speed {
                None => Ok(None),
                Some(_) => {
                    let accepted = "--speed together with --replay";
                    Err(PlanError(Refusal::new(
                        "--speed needs --replay",
                        accepted,
                        "--replay=access.log --speed=2x",
                    )))
                }
            };
        };
        let options = &self.request;
        let refused = [
            (
                target.grpc || target.websocket,
                "--replay with calls or messages",
                "it with an http:// or https:// target",
            ),
            (
                has_several,
                "--replay with several requests or targets",
                "it alone: what is sent is in the log",
            ),
            (self.url_file.is_some(), "--replay and --url-file exclude each other", "one of them"),
            (options.method.is_some(), "--method with --replay", "no method: those of the log are sent"),
            (
                options.path.is_some() || options.rows.is_some(),
                "a path or rows with --replay",
                "neither: paths are in the log",
            ),
        ];
        if let Some((_, shown, accepted)) = refused.into_iter().find(|(is_given, ..)| *is_given) {
            let example = "loadgen --replay=access.log http://localhost:8080";
            return Err(PlanError(Refusal::new(shown, accepted, example)));
        }
        let speed = self.speed.unwrap_or(1.0);
        if !replay::SPEEDS.contains(&speed) {
            return Err(accepted::refused(&accepted::SPEED, speed));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let said: String =
            format!("{name} at {speed}x").chars().filter(|c| !c.is_control()).take(200).collect();
        Ok(Some((ReplayLog::read(path, speed)?, said)))
    }

    /// A path beside requests that have their own is not sent.
    fn check_path(&self, target: &Target) -> Result<(), PlanError> {
        let shown = match (&self.replay, &self.url_file) {
            _ if target.path == "/" || target.grpc || target.websocket => return Ok(()),
            (Some(_), _) => "a path of the target with --replay",
            (None, Some(_)) => "a path of the target with --url-file",
            (None, None) => return Ok(()),
        };
        let accepted = "a target without a path: paths are in the file";
        let without = Target { path: "/".to_owned(), ..target.clone() };
        Err(PlanError(Refusal::new(shown, accepted, without.to_string())))
    }

    pub(super) fn checked(mut self) -> Result<Plan, PlanError> {
        let target = Target::parse_with(&self.target, self.version, self.braces)?;
        self.check_path(&target)?;
        let verify = self.check_verify(target.websocket)?;
        let lifetime = match &verify {
            None => Lifetime::new(&self.lifetime)?,
            // A retry, other than of what provably was not processed, would look like a repeat in between.
            Some(_) => Lifetime::new(&self.lifetime)?.sending_nothing_unseen_again(),
        };
        let mut targets = Targets::new(target.clone(), self.version, self.braces);
        let several = self.spread(&mut targets)?;
        for (target, options, place) in &self.own_tls {
            targets.secure(target, options, place)?;
        }
        let labels = targets.labels();
        let sites = targets.sites(&self.tls, &self.route)?;
        let contents = Contents::default();
        let types = self.check_calls(&sites.iter().map(Site::target).collect::<Vec<_>>())?;
        let common: Vec<_> = sites
            .iter()
            .zip(&labels)
            .map(|(site, label)| Common {
                target: site.target(),
                id_header: &self.id_header,
                braces: self.braces,
                lifetime: &lifetime,
                route: site.route(),
                contents: &contents,
                label: (sites.len() > 1).then_some(label.as_str()),
                types: types.as_ref(),
                follows: self.client.follow.unwrap_or(0) > 0,
            })
            .collect();
        if !target.websocket {
            self.message.refuse(&target)?;
        }
        let mut message = None;
        let replay = self.read_log(&target, !several.is_empty())?;
        let mut skipped = Skipped::default();
        if let Some((log, said)) = &replay {
            self.load.replay = Some((Arc::clone(&log.due), said.clone()));
            skipped = log.skipped.clone();
            if let Some(total) = self.load.total.filter(|total| *total > log.due.len() as u64) {
                let accepted = format!("at most {}, which the log has", log.due.len());
                return Err(PlanError(Refusal::of_value(
                    "total",
                    total,
                    accepted,
                    log.due.len().to_string(),
                )));
            }
        }
        let mut requests = match &self.url_file {
            _ if let Some((log, _)) = replay => {
                Requests::replayed(common[0], &self.request, log.methods, &log.methods_of)?
            }
            _ if target.websocket => {
                self.check_messages()?;
                let options = match self.requests.pop() {
                    Some(only) => only.over(&self.request),
                    None => self.request,
                };
                let share = options.share;
                let request = Request::new(common[0], options).and_then(|mut request| {
                    message = Some(Message::new(&target, &self.message, &mut request, verify.is_some())?);
                    Ok(request)
                });
                let request = request.map_err(|PlanError(refusal)| match self.places.as_deref() {
                    Some(places) => PlanError(places.told_of_request(0, refusal)),
                    None => PlanError(refusal),
                })?;
                Requests::only_of(request, share)?
            }
            None if several.is_empty() => Requests::only(Request::new(common[0], self.request)?)?,
            None => Requests::new(&common, &self.request, several, self.places.as_ref())?,
            Some(file) => Requests::of_urls(common[0], self.version, self.request, file)?,
        };
        drop(common);
        // To those that no request goes to, there are no connections.
        let sites = requests.used(sites);
        let target = sites[0].target().clone();
        let of_client = sites.iter().map(Site::target).find(|target| target.protocol == Protocol::Http2);
        let client = Client::new(of_client.unwrap_or(&target), &self.client)?;
        self.load.total = requests.total(self.load.total)?;
        let lifetime = match target.http10 {
            true => lifetime.of_http10(requests.all().iter().all(Request::keeps_alive)),
            false => lifetime,
        };
        let has_counts = requests.has_counts();
        let load = Load::new(&target, &self.load, &lifetime, client.pipeline)?;
        let is_counted = load.arrivals().is_some_and(|arrivals| arrivals.count().is_some());
        if sites.len() > 1 && load.total.is_some() && !load.warmup.is_zero() && load.arrivals().is_none() {
            let accepted = "a duration in place of the total, or a rate";
            let shown = "--total of requests to several targets after --warmup of a closed loop";
            return Err(PlanError(Refusal::new(shown, accepted, "duration: 10s")));
        }
        if has_counts && !load.warmup.is_zero() && !is_counted {
            // How many of each are in the warm-up is known afterwards alone.
            let accepted = "weights in place of counts, or requests that are due evenly at a rate";
            let shown = "--warmup of a closed loop, or of random times, before requests with a count";
            return Err(PlanError(Refusal::new(shown, accepted, "weight: 3")));
        }
        // Each worker has its own connection and request.
        let most = load.connections.min(load.max_in_flight).min(MAX_WORKERS);
        let workers = match self.workers {
            Some(workers) => NonZeroUsize::new(workers).filter(|workers| *workers <= most).ok_or_else(|| {
                let accepted = format!(
                    "a whole number from 1 to {most}, no more than connections, requests in flight and {MAX_WORKERS}"
                );
                PlanError(Refusal::of_value("workers", workers, accepted, most.to_string()))
            })?,
            None => {
                let own = runtime::cpus::available().get() / self.loads.max(1);
                NonZeroUsize::new(own).unwrap_or(NonZeroUsize::MIN).min(most)
            }
        };
        let workers = match (&message, load.arrivals()) {
            (Some(_), Some(_)) => evenly(workers, load.connections, self.workers.is_some())?,
            _ => workers,
        };
        check_chains(&client, &load, workers, sites.len())?;
        let expected_status = match &message {
            Some(_) => ExpectedStatus::of_messages(),
            None => self.expected_status,
        };
        let (expected_status, expected_of) = expected(expected_status, requests.all())?;
        Ok(Plan {
            sites,
            requests,
            seed: self.seed,
            message,
            skipped,
            load,
            lifetime,
            client,
            workers,
            pin_cpus: self.pin_cpus,
            expected_status,
            expected_of,
            captures: false,
            verify,
            has_phases: false,
            places: self.places,
        })
    }
}

/// Whether a worker can follow the redirects of all requests that it may have in flight.
fn check_chains(
    client: &Client,
    load: &Load,
    workers: NonZeroUsize,
    targets: usize,
) -> Result<(), PlanError> {
    let room = load.max_connections.get().saturating_mul(load.streams.get());
    let of_each = load.max_in_flight.get().min(room).div_ceil(workers.get()).saturating_mul(targets);
    if client.follow == 0 || of_each <= MAX_CHAINS {
        return Ok(());
    }
    let most = (MAX_CHAINS / targets).saturating_mul(workers.get());
    let accepted =
        format!("at most {most} with --follow, or more workers: a worker follows {MAX_CHAINS} at a time");
    let refusal = Refusal::of_value("max-in-flight", load.max_in_flight, accepted, most.to_string());
    Err(PlanError(refusal.because("redirects of all that is in flight are followed")))
}

/// As many workers that each has as many connections as the others: what is due goes around the connections.
fn evenly(
    workers: NonZeroUsize,
    connections: NonZeroUsize,
    is_said: bool,
) -> Result<NonZeroUsize, PlanError> {
    let fits = |count: &NonZeroUsize| connections.get().is_multiple_of(count.get());
    if is_said && !fits(&workers) {
        let accepted =
            "a number that the connections can be divided by: messages of a rate go around all of them";
        return Err(PlanError(Refusal::of_value("workers", workers, accepted, "1")));
    }
    let candidates = (1..=workers.get()).rev().filter_map(NonZeroUsize::new);
    Ok(candidates.into_iter().find(fits).unwrap_or(NonZeroUsize::MIN))
}

/// Of several loads together, one at least has to be able to meet what is expected; that others can't is accepted.
///
/// # Errors
/// `--expect-status` has names of gRPC statuses and no load makes calls, or statuses of HTTP and all make calls alone.
pub(crate) fn check_expected_together<'p>(
    expected: &ExpectedStatus,
    plans: impl Iterator<Item = &'p Plan>,
) -> Result<(), PlanError> {
    let targets: Vec<_> = plans.flat_map(|plan| plan.sites().iter().map(Site::target)).collect();
    let (calls, others): (Vec<&Target>, Vec<&Target>) = targets.iter().partition(|target| target.grpc);
    match (calls.as_slice(), others.as_slice()) {
        ([], [first, ..]) => refuse_names_of_calls(expected, first),
        ([_, ..], []) => refuse_statuses_of_http(expected),
        _ => Ok(()),
    }
}

/// Names of gRPC statuses in `--expect-status` are a mistake where no call is made.
fn refuse_names_of_calls(expected: &ExpectedStatus, target: &Target) -> Result<(), PlanError> {
    let Some(named) = expected.named().filter(|_| expected.names_call()) else { return Ok(()) };
    let shown = format!("--expect-status={named} with the target {target}");
    let accepted = "names of gRPC statuses with a grpc:// or grpcs:// target alone";
    Err(PlanError(Refusal::new(shown, accepted, "--expect-status=404")))
}

/// So are statuses of HTTP where there are calls alone.
fn refuse_statuses_of_http(expected: &ExpectedStatus) -> Result<(), PlanError> {
    if !expected.names_reply() {
        return Ok(());
    }
    let accepted = "names of gRPC statuses, such as NOT_FOUND: a call succeeds with OK and with those";
    Err(PlanError(Refusal::new(
        "--expect-status of HTTP with a gRPC call",
        accepted,
        "--expect-status=NOT_FOUND",
    )))
}

/// Which replies are successes: those of the run, and those that each request expects. The first are of all requests
/// together, the others of each, unless none expects any.
fn expected(
    of_run: ExpectedStatus,
    requests: &[Request],
) -> Result<(ExpectedStatus, Arc<[ExpectedStatus]>), PlanError> {
    let expectations: Vec<_> = requests.iter().map(Request::expectations).collect();
    let named = |index: usize| {
        let expectations: &Expectations = expectations.get(index)?.as_ref()?;
        let both = [&expectations.status, &expectations.grpc_status].into_iter().flatten();
        let texts: Vec<_> = both.filter_map(ExpectedStatus::named).collect();
        Some(texts.join(",")).filter(|text| !text.is_empty())
    };
    let all: BTreeSet<String> = (0..requests.len()).filter_map(named).collect();
    if all.is_empty() {
        return Ok((of_run, Arc::default()));
    }
    let with = |text: &str| {
        let refused = |_| PlanError(Refusal::of_value("status", text, "statuses", "200,404"));
        of_run.clone().with(text).map_err(refused)
    };
    let of_each =
        (0..requests.len()).map(|index| named(index).map_or_else(|| Ok(of_run.clone()), |text| with(&text)));
    let of_each = of_each.collect::<Result<Vec<_>, _>>()?;
    Ok((with(&all.into_iter().collect::<Vec<_>>().join(","))?, of_each.into()))
}
