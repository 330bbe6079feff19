//! What [`Args`] say of a [`Plan`].

use std::collections::BTreeSet;

use command_line::Refusal;

use super::{
    args::Args,
    shorthand::{self, BodyArgument, COMPRESSED},
    values::{GrpcEncoding, TlsVersion},
};
use crate::{
    plan::{self, Plan, PlanError, Target, Version, call, target::Braces},
    recorder::MAX_LABELS,
};

impl Args {
    /// What is spoken where the target leaves it open.
    fn version(&self) -> Version {
        match (self.http1_1, self.http2) {
            _ if self.http1_0 => Version::Http10,
            (true, _) => Version::Http1,
            (_, true) => Version::Http2,
            _ => Version::Any,
        }
    }

    fn braces(&self) -> Braces {
        if self.no_templates { Braces::Literal } else { Braces::Placeholder }
    }

    pub(super) fn checked_target(&self) -> Result<&str, PlanError> {
        match (&self.target, &self.url) {
            // The builder reads it, too, and there it is the only one.
            (Some(target), _) => Ok(target),
            (None, Some(url)) if url.is_empty() => {
                Err(PlanError::without_target(&format!("{} is empty", self.shown("url"))))
            }
            (None, Some(url)) => match Target::parse_with(url, self.version(), self.braces()) {
                Ok(_) => Ok(url),
                Err(PlanError(refusal)) => Err(PlanError(refusal.given_with("url"))),
            },
            (None, None) => Err(PlanError::without_target("none is given")),
        }
    }

    /// As many labels as a report can keep, each once.
    pub(super) fn check_labels(&self) -> Result<(), PlanError> {
        let names: BTreeSet<&str> = self.labels.iter().map(|(name, _)| name.as_str()).collect();
        let why = if names.len() < self.labels.len() {
            "a name is given twice"
        } else if names.len() > MAX_LABELS {
            "there are too many"
        } else {
            return Ok(());
        };
        let accepted = format!("at most {MAX_LABELS} labels, each name once");
        Err(PlanError(
            Refusal::new("labels that can't be kept", accepted, "--label=version=1.2").because(why),
        ))
    }

    /// The header fields, those that stand for themselves behind the others.
    fn fields(&self) -> Result<Vec<String>, PlanError> {
        let mut fields = self.headers.clone();
        let has_own = fields.iter().any(|field| {
            field.split_once(':').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("authorization"))
        });
        for (is_given, option) in [(self.user.is_some(), "user"), (self.bearer_file.is_some(), "bearer_file")]
        {
            if is_given && has_own {
                let shown =
                    format!("{} and --header with Authorization exclude each other", self.shown(option));
                let example = "loadgen --user=me:secret localhost:8080";
                return Err(PlanError(Refusal::new(shown, "one of them", example)));
            }
        }
        fields.extend(self.user.as_deref().map(shorthand::basic).transpose()?);
        fields.extend(self.bearer_file.as_deref().map(shorthand::bearer).transpose()?);
        fields.extend(self.compressed.then(|| COMPRESSED.to_owned()));
        Ok(fields)
    }

    /// With all that was typed beside; `load` is the index of the load, each of which draws other values.
    pub(super) fn with_options(&self, plan: plan::Builder, load: u64) -> Result<Plan, PlanError> {
        let mut plan = plan
            .version(self.version())
            .insecure(self.insecure)
            .identity(self.cert.clone(), self.key.clone())
            .tls_min_version(match self.tls_min_version {
                TlsVersion::V1_2 => transport::tls::Version::Tls12,
                TlsVersion::V1_3 => transport::tls::Version::Tls13,
            })
            .tls_resumption(!self.no_tls_resumption)
            .keep_alive(!self.no_keepalive)
            .retry(self.retry)
            .proxy(self.proxy.clone(), self.proxy_tunnel)
            .pin_cpus(self.pin_cpus)
            .templates(!self.no_templates)
            .request_id_header(&self.request_id_header)
            .verify(self.verify || self.zero_loss);
        if self.raw_message {
            plan = plan.raw_message(true);
        }
        if let GrpcEncoding::Gzip = self.grpc_encoding {
            plan = plan.grpc_encoding(call::Encoding::Gzip);
        }
        plan = self.ledgers.iter().fold(plan, plan::Builder::ledger);
        if let Some(address) = &self.ledger_listen {
            plan = plan.ledger_listen(address);
        }
        plan = self.protos.iter().fold(plan, plan::Builder::proto);
        plan = self.proto_paths.iter().fold(plan, plan::Builder::proto_path);
        if let Some(deadline) = self.deadline {
            plan = plan.deadline(deadline);
        }
        if let Some(count) = self.messages {
            plan = plan.messages(count);
        }
        if let Some(interval) = self.message_interval {
            plan = plan.message_interval(interval);
        }
        if let Some(size) = self.message_size {
            plan = plan.message_size(size);
        }
        if let Some(interval) = self.ping_interval {
            plan = plan.ping_interval(interval);
        }
        if self.binary {
            plan = plan.binary(true);
        }
        plan = self.with_load(plan).client(self.client.options());
        if let Some(file) = &self.cacert {
            plan = plan.cacert(file);
        }
        if let Some(name) = &self.sni {
            plan = plan.sni(name);
        }
        if let Some(expected) = &self.expect_status {
            plan = plan.expect_status(expected.clone());
        }
        if let Some(log) = &self.replay {
            plan = plan.replay(log);
        }
        if let Some(times) = self.speed {
            plan = plan.speed(times);
        }
        if let Some(file) = &self.url_file {
            plan = plan.url_file(file);
        }
        if let Some(seed) = self.seed {
            plan = plan.seed(seed.wrapping_add(load));
        }
        if let Some(place) = &self.connect_to {
            plan = plan.connect_to(place);
        }
        if let Some(path) = &self.unix_socket {
            plan = plan.unix_socket(path);
        }
        if let Some(every) = self.resolve_every {
            plan = plan.resolve_every(every);
        }
        if let Some(addresses) = &self.bind {
            plan = plan.bind(addresses);
        }
        if let Some(version) = self.proxy_protocol {
            plan = plan.proxy_protocol(version);
        }
        plan = self.resolve.iter().filter(|entry| !entry.is_empty()).fold(plan, plan::Builder::resolve);
        if let Some(count) = self.requests_per_connection {
            plan = plan.requests_per_connection(count);
        }
        if let Some(age) = self.connection_age {
            plan = plan.connection_age(age);
        }
        if let Some(rate) = self.connections_per_second {
            plan = plan.connections_per_second(rate);
        }
        if let Some(method) = &self.method {
            plan = plan.method(method);
        }
        match self.body.as_deref().map(shorthand::body) {
            None => {}
            Some(BodyArgument::Text(text)) => plan = plan.body(text.to_owned()),
            Some(BodyArgument::File(path)) => plan = plan.body_file(path),
        }
        if let Some(path) = &self.body_file {
            plan = plan.body_file(path);
        }
        if self.chunked {
            plan = plan.chunked(true);
        }
        if self.expect_continue {
            plan = plan.expect_continue(true);
        }
        if !self.trailers.is_empty() {
            plan = self.trailers.iter().fold(plan.without_trailers(), plan::Builder::trailer);
        }
        let fields = self.fields()?;
        if self.plan.is_some() {
            plan = fields.iter().fold(plan, |plan, field| plan.without_header(field));
        }
        fields.into_iter().fold(plan, plan::Builder::header).build()
    }

    /// With what is said of the load. A file says what is not given beside it, and what is the default otherwise.
    fn with_load(&self, mut plan: plan::Builder) -> plan::Builder {
        let is_said = |name: &str| self.plan.is_none() || self.given.contains(name);
        if is_said("on_overload") {
            plan = plan.typed("on-overload").on_overload(self.on_overload);
        }
        if is_said("max_in_flight") {
            plan = plan.typed("max-in-flight").max_in_flight(self.max_in_flight);
        }
        if self.plan.is_some() && self.rate.is_some() {
            plan = plan.without_stages();
        }
        if let Some(stages) = &self.stages {
            if self.plan.is_some() {
                plan = plan.without_rate(stages.contains('c'));
            }
            plan = plan.typed("stages").stages(stages);
        }
        if is_said("poisson") {
            plan = plan.typed("poisson").poisson(self.poisson);
        }
        if let Some(count) = self.connections {
            plan = plan.typed("connections").connections(count);
        }
        if let Some(time) = self.warmup {
            plan = plan.typed("warmup").warmup(time);
        }
        if let Some(time) = self.max_lag {
            plan = plan.typed("max-lag").max_lag(time);
        }
        if let Some(time) = self.coalesce {
            plan = plan.typed("coalesce").coalesce(time);
        }
        if is_said("fixed_connections") {
            plan = plan.fixed_connections(self.fixed_connections);
        }
        if is_said("streams") {
            plan = plan.typed("streams").streams(self.streams);
        }
        if is_said("timeout") {
            plan = plan.typed("timeout").timeout(self.timeout);
        }
        if is_said("connect_timeout") {
            plan = plan.typed("connect-timeout").connect_timeout(self.connect_timeout);
        }
        if let Some(rate) = self.rate {
            plan = plan.typed("rate").rate(rate);
        }
        if let Some(total) = self.total {
            plan = plan.typed("total").total(total);
        }
        if let Some(duration) = self.duration {
            plan = plan.typed("duration").duration(duration);
        }
        if let Some(workers) = self.workers {
            plan = plan.typed("workers").workers(workers);
        }
        plan
    }
}
