//! How connections behave: what HTTP/2 servers are allowed.
//!
//! Nothing here opens a connection.

use std::{num::NonZeroUsize, ops::RangeInclusive};

use command_line::{Accepted, Refusal};
use contract::quantity::canonical_size;

use super::{
    Builder, PlanError, Protocol, Target,
    accepted::{self, refused},
};

/// The largest flow-control window (RFC 9113 section 6.9.1).
const LARGEST_WINDOW: u64 = (1 << 31) - 1;

/// The maximum number of idle connections that are accepted.
pub const MAX_IDLE_CONNECTIONS: usize = 1_000_000;

/// The maximum number of requests at the same time on a connection of HTTP/1.1 that is accepted.
pub const MAX_PIPELINE: usize = 1000;

/// The maximum number of redirects that are followed for a request.
pub const MAX_FOLLOW: u8 = 20;

/// The maximum number of bytes per second of a connection that are accepted.
pub const MAX_BYTE_RATE: u64 = 1 << 40;

/// What is wanted of connections, before it is checked. What is left out is as by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientOptions {
    /// Bytes that a server may send on a stream ahead of what was read: 1 to 2^31 - 1.
    pub h2_stream_window: Option<u64>,
    /// The same on a connection, for all of its streams: 65,535 to 2^31 - 1.
    pub h2_connection_window: Option<u64>,
    /// Bytes of the largest frame that a server may send: 2^14 to 2^24 - 1.
    pub h2_max_frame_size: Option<u64>,
    /// Bytes of the table with which a server may compress fields: 0 to 2^32 - 1.
    pub h2_header_table_size: Option<u64>,
    /// Connections that are kept open beside the load without requests: 0 to [`MAX_IDLE_CONNECTIONS`].
    pub idle_connections: Option<usize>,
    /// Bytes that a connection reads per second, at most: 1 to [`MAX_BYTE_RATE`].
    pub recv_rate: Option<u64>,
    /// The same of what it writes.
    pub send_rate: Option<u64>,
    /// Requests at the same time on a connection of HTTP/1.1: 1 to [`MAX_PIPELINE`].
    pub pipeline: Option<usize>,
    /// Redirects that are followed for each request: 0 to [`MAX_FOLLOW`].
    pub follow: Option<usize>,
}

impl ClientOptions {
    /// With what others have where this says nothing.
    pub(super) fn over(self, others: &Self) -> Self {
        Self {
            h2_stream_window: self.h2_stream_window.or(others.h2_stream_window),
            h2_connection_window: self.h2_connection_window.or(others.h2_connection_window),
            h2_max_frame_size: self.h2_max_frame_size.or(others.h2_max_frame_size),
            h2_header_table_size: self.h2_header_table_size.or(others.h2_header_table_size),
            idle_connections: self.idle_connections.or(others.idle_connections),
            recv_rate: self.recv_rate.or(others.recv_rate),
            send_rate: self.send_rate.or(others.send_rate),
            pipeline: self.pipeline.or(others.pipeline),
            follow: self.follow.or(others.follow),
        }
    }

    /// The options that are given.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        [
            (self.h2_stream_window.is_some(), accepted::H2_STREAM_WINDOW),
            (self.h2_connection_window.is_some(), accepted::H2_CONNECTION_WINDOW),
            (self.h2_max_frame_size.is_some(), accepted::H2_MAX_FRAME_SIZE),
            (self.h2_header_table_size.is_some(), accepted::H2_HEADER_TABLE_SIZE),
            (self.idle_connections.is_some(), accepted::IDLE_CONNECTIONS),
            (self.recv_rate.is_some(), accepted::RECV_RATE),
            (self.send_rate.is_some(), accepted::SEND_RATE),
            (self.pipeline.is_some(), accepted::PIPELINE),
            (self.follow.is_some(), accepted::FOLLOW),
        ]
        .into_iter()
        .filter_map(|(is_given, option)| is_given.then_some(option.flag))
    }
}

impl Builder {
    /// How connections behave, as far as it is said.
    #[must_use]
    pub fn client(mut self, options: ClientOptions) -> Self {
        for option in options.given() {
            self = self.typed(option);
        }
        self.with_client(options)
    }

    /// The same from a file.
    pub(super) fn with_client(mut self, options: ClientOptions) -> Self {
        self.client = options.over(&self.client);
        self
    }
}

/// How connections behave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client {
    /// What HTTP/2 servers are allowed.
    pub http2: Http2Settings,
    /// Connections that are kept open beside the load without requests.
    pub idle_connections: usize,
    /// Bytes that a connection reads per second, at most.
    pub recv_rate: Option<u64>,
    /// The same of what it writes.
    pub send_rate: Option<u64>,
    /// Requests at the same time on a connection of HTTP/1.1.
    pub pipeline: NonZeroUsize,
    /// Redirects that are followed for each request.
    pub follow: u8,
}

/// What HTTP/2 servers are allowed (RFC 9113 section 6.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Settings {
    /// Bytes on a stream ahead of what was read: enough that no reply waits for its window on a link with any likely
    /// delay.
    pub stream_window: u32,
    /// The same on a connection, for all of its streams.
    pub connection_window: u32,
    /// Bytes of the largest frame.
    pub max_frame_size: u32,
    /// Bytes of the table with which fields may be compressed.
    pub header_table_size: u32,
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self {
            stream_window: 4 << 20,
            connection_window: 16 << 20,
            max_frame_size: 16 << 10,
            header_table_size: 4 << 10,
        }
    }
}

impl Client {
    /// What differs from the usual, as people read it.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let Http2Settings { stream_window, connection_window, max_frame_size, header_table_size } =
            self.http2;
        if self.http2 != Http2Settings::default() {
            let [stream, connection, frame, table] =
                [stream_window, connection_window, max_frame_size, header_table_size]
                    .map(|size| canonical_size(u64::from(size)));
            lines.push(format!(
                "HTTP/2         windows of {stream} (stream) and {connection} (connection), frames of at most {frame}, \
                 a table of at most {table}"
            ));
        }
        if self.idle_connections > 0 {
            lines.push(format!("Idle           {} connections beside the load", self.idle_connections));
        }
        if self.follow > 0 {
            lines.push(format!("Follow         at most {} redirects of a request", self.follow));
        }
        for (name, rate) in [("reads", self.recv_rate), ("writes", self.send_rate)] {
            if let Some(rate) = rate {
                let rate = canonical_size(rate);
                lines.push(format!("Slow           a connection {name} at most {rate} per second"));
            }
        }
        lines
    }

    /// The same, for one request on one connection.
    pub(super) fn for_one_exchange(self) -> Self {
        Self { idle_connections: 0, ..self }
    }

    pub(super) fn new(target: &Target, wanted: &ClientOptions) -> Result<Self, PlanError> {
        if target.protocol == Protocol::Http1
            && let Some(option) = wanted.given().find(|option| option.starts_with("h2-"))
        {
            let shown = format!("--{option} with HTTP/1.{}", if target.http10 { 0 } else { 1 });
            let example = Target { protocol: Protocol::Http2, ..target.clone() }.to_string();
            return Err(PlanError(Refusal::new(shown, "it with HTTP/2 alone", example)));
        }
        let usual = Http2Settings::default();
        let http2 = Http2Settings {
            stream_window: size(
                &accepted::H2_STREAM_WINDOW,
                wanted.h2_stream_window,
                1..=LARGEST_WINDOW,
                usual.stream_window,
            )?,
            connection_window: size(
                &accepted::H2_CONNECTION_WINDOW,
                wanted.h2_connection_window,
                65_535..=LARGEST_WINDOW,
                usual.connection_window,
            )?,
            max_frame_size: size(
                &accepted::H2_MAX_FRAME_SIZE,
                wanted.h2_max_frame_size,
                16_384..=(1 << 24) - 1,
                usual.max_frame_size,
            )?,
            header_table_size: size(
                &accepted::H2_HEADER_TABLE_SIZE,
                wanted.h2_header_table_size,
                0..=u64::from(u32::MAX),
                usual.header_table_size,
            )?,
        };
        let idle_connections = wanted.idle_connections.unwrap_or(0);
        if idle_connections > MAX_IDLE_CONNECTIONS {
            return Err(refused(&accepted::IDLE_CONNECTIONS, idle_connections));
        }
        let pipeline = wanted.pipeline.map(|wanted| {
            let known = NonZeroUsize::new(wanted).filter(|wanted| wanted.get() <= MAX_PIPELINE);
            known.ok_or_else(|| refused(&accepted::PIPELINE, wanted))
        });
        let pipeline = pipeline.transpose()?.unwrap_or(NonZeroUsize::MIN);
        let without = match (target.protocol, target.http10) {
            (Protocol::Http2, _) => Some("HTTP/2"),
            (Protocol::Http1, true) => Some("HTTP/1.0"),
            (Protocol::Http1, false) => None,
        };
        if let (Some(without), true) = (without, wanted.pipeline.is_some()) {
            let shown = format!("--pipeline with {without}");
            let hint = if target.negotiated { "--http1.1" } else { "it with HTTP/1.1" };
            let accepted = format!("{hint}; --streams is for HTTP/2");
            let example = Target { protocol: Protocol::Http1, ..target.clone() }.to_string();
            return Err(PlanError(Refusal::new(shown, accepted, example)));
        }
        let follow = wanted.follow.unwrap_or(0);
        let follow = u8::try_from(follow)
            .ok()
            .filter(|most| *most <= MAX_FOLLOW)
            .ok_or_else(|| refused(&accepted::FOLLOW, follow))?;
        Ok(Self {
            pipeline,
            follow,
            http2,
            idle_connections,
            recv_rate: byte_rate(&accepted::RECV_RATE, wanted.recv_rate)?,
            send_rate: byte_rate(&accepted::SEND_RATE, wanted.send_rate)?,
        })
    }
}

fn byte_rate(option: &Accepted, wanted: Option<u64>) -> Result<Option<u64>, PlanError> {
    match wanted {
        Some(rate) if !(1..=MAX_BYTE_RATE).contains(&rate) => Err(refused(option, rate)),
        rate => Ok(rate),
    }
}

/// A size within bounds, or the usual one.
fn size(
    option: &Accepted,
    wanted: Option<u64>,
    bounds: RangeInclusive<u64>,
    usual: u32,
) -> Result<u32, PlanError> {
    let Some(wanted) = wanted else { return Ok(usual) };
    let within = u32::try_from(wanted).ok().filter(|_| bounds.contains(&wanted));
    within.ok_or_else(|| refused(option, wanted))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::{cli::Args, plan::Plan};

    fn client(line: &str) -> Result<Client, String> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        let args = Args::read(words).map_err(|failure| failure.to_string())?;
        Plan::try_from(&args).map(|plan| plan.client).map_err(|error| error.to_string())
    }

    #[test]
    fn every_number_takes_its_documented_ends_and_nothing_beyond() {
        for (option, accepted, beside, documented) in [
            ("h2-stream-window", ["1", "2147483647"], ["0", "2G"], "(1 to 2147483647)"),
            ("h2-connection-window", ["65535", "2147483647"], ["65534", "2G"], "(65535 to 2147483647)"),
            ("h2-max-frame-size", ["16K", "16777215"], ["16383", "16M"], "(16K to 16777215)"),
            ("h2-header-table-size", ["0", "4294967295"], ["4G", "1.5"], "(0 to 4294967295)"),
            ("pipeline", ["1", "1000"], ["0", "1001"], "(1 to 1000)"),
            ("recv-rate", ["1", "1T"], ["0", "1099511627777"], "(1 to 1T)"),
            ("send-rate", ["1", "1T"], ["0", "2T"], "(1 to 1T)"),
            ("follow", ["0", "20"], ["21", "1.5"], "(0 to 20)"),
            ("idle-connections", ["0", "1000000"], ["1000001", "1M"], "(0 to 1000000)"),
        ] {
            let command = Args::command();
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(option)).unwrap();
            let help = arg.get_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(documented), "--{option}: {help}");
            for value in accepted {
                let target = if option == "pipeline" { "http://a" } else { "a:1" };
                assert!(client(&format!("--{option}={value} {target}")).is_ok(), "--{option}={value}");
            }
            for value in beside.into_iter().chain(["-1", "", "99999999999999999999", "x"]) {
                let said = client(&format!("--{option}={value} a:1")).unwrap_err();
                assert!(
                    said.contains(&format!("--{option}")) && said.contains(&format!("example: --{option}=")),
                    "--{option}={value}: {said}"
                );
            }
        }
    }

    #[test]
    fn pipelining_is_of_http1_1_alone() {
        for (line, said) in [
            ("a:1", "--pipeline with HTTP/2; accepted: it with HTTP/1.1; --streams is for HTTP/2"),
            ("https://a", "--pipeline with HTTP/2; accepted: --http1.1; --streams"),
            ("--http1.0 a:1", "--pipeline with HTTP/1.0; accepted: it with HTTP/1.1"),
        ] {
            let refused = client(&format!("--pipeline=2 {line}")).unwrap_err();
            assert!(refused.starts_with(said), "{refused}");
        }
        assert_eq!(client("--pipeline=2 --http1.1 https://a").unwrap().pipeline.get(), 2);
    }

    #[test]
    fn settings_of_http2_are_refused_with_http1() {
        for line in ["http://a", "--http1.1 a:1", "--http1.1 https://a"] {
            let said = client(&format!("--h2-stream-window=1M {line}")).unwrap_err();
            assert!(
                said.starts_with("--h2-stream-window with HTTP/1.1; accepted: it with HTTP/2 alone"),
                "{said}"
            );
        }
        for line in ["a:1", "https://a", "grpc://a", "--http2 http://a"] {
            assert_eq!(
                client(&format!("--h2-stream-window=1M {line}")).unwrap().http2.stream_window,
                1 << 20
            );
        }
    }
}
