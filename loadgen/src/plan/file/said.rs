//! What a file says, one thing after the other, and how it reaches a plan in the making.

use std::{path::PathBuf, time::Duration};

use crate::plan::{Builder, ClientOptions, OnOverload, RequestOptions};

/// One thing that a file says.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Seed(u64),
    Proto(PathBuf),
    ProtoPath(PathBuf),
    Defaults(Box<RequestOptions>),
    Request(Box<RequestOptions>),
    Name(String),
    Start(Duration),
    Rate(f64),
    Stages(String),
    Poisson(bool),
    Warmup(Duration),
    MaxLag(Duration),
    Coalesce(Duration),
    Total(u64),
    Duration(Duration),
    MaxInFlight(usize),
    OnOverload(OnOverload),
    Connections(usize),
    FixedConnections(bool),
    Streams(usize),
    Timeout(Duration),
    ConnectTimeout(Duration),
    Workers(usize),
    Client(ClientOptions),
    MessageSize(u64),
    Binary(bool),
    PingInterval(Duration),
}

impl Said {
    /// Says it.
    pub(super) fn to(self, builder: Builder) -> Builder {
        match self {
            Self::Seed(seed) => builder.seed(seed),
            Self::Proto(file) => builder.proto(file),
            Self::ProtoPath(folder) => builder.proto_path(folder),
            Self::Defaults(defaults) => builder.defaults(*defaults),
            Self::Request(request) => builder.request(*request),
            Self::Name(name) => builder.load_name(name),
            Self::Start(after) => builder.start(after),
            Self::Rate(rate) => builder.rate(rate),
            Self::Stages(stages) => builder.stages(stages),
            Self::Poisson(poisson) => builder.poisson(poisson),
            Self::Warmup(time) => builder.warmup(time),
            Self::MaxLag(time) => builder.max_lag(time),
            Self::Coalesce(time) => builder.coalesce(time),
            Self::Total(total) => builder.total(total),
            Self::Duration(duration) => builder.duration(duration),
            Self::MaxInFlight(count) => builder.max_in_flight(count),
            Self::OnOverload(on_overload) => builder.on_overload(on_overload),
            Self::Connections(count) => builder.connections(count),
            Self::FixedConnections(fixed) => builder.fixed_connections(fixed),
            Self::Streams(count) => builder.streams(count),
            Self::Timeout(timeout) => builder.timeout(timeout),
            Self::ConnectTimeout(timeout) => builder.connect_timeout(timeout),
            Self::Workers(count) => builder.workers(count),
            Self::Client(options) => builder.with_client(options),
            Self::MessageSize(bytes) => builder.message_size(bytes),
            Self::Binary(binary) => builder.binary(binary),
            Self::PingInterval(interval) => builder.ping_interval(interval),
        }
    }
}
