//! What was typed of how connections behave.

use contract::quantity;

use crate::plan::ClientOptions;

const CONNECTIONS: &str = "Connections";
const REQUEST: &str = "Request";
const HTTP2: &str = "HTTP/2";

/// Options of connections.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct ClientArgs {
    /// Requests in flight per HTTP/1.1 connection [default: 1]
    ///
    /// Pipelining: they are sent before the responses to those before them have come, which is in their order. When a connection
    /// ends, those without a response are retried as --retry says, and have failed otherwise (1 to 1000).
    #[arg(long, value_name = "N", env = "LOADGEN_PIPELINE", value_parser = whole, help_heading = CONNECTIONS)]
    pub pipeline: Option<usize>,

    /// Redirects to follow for each request [default: 0]
    ///
    /// 301, 302, 303, 307 and 308 with a Location at a target of the run: same scheme, host and port. 303, and 301 and 302 of a POST,
    /// are followed with GET and without the body. The response time ends with the last response, whose status counts (0 to 20).
    #[arg(long, value_name = "N", env = "LOADGEN_FOLLOW", value_parser = whole, help_heading = REQUEST)]
    pub follow: Option<usize>,

    /// Connections kept open beside the load, without requests
    ///
    /// They are opened before the run, and again when the server closes them; the report counts them apart (0 to 1000000).
    #[arg(long, value_name = "N", env = "LOADGEN_IDLE_CONNECTIONS", value_parser = whole, help_heading = CONNECTIONS)]
    pub idle_connections: Option<usize>,

    /// Bytes that a connection reads per second, at most
    ///
    /// A slow client: what the server sends waits in the system's buffers, which are small then, and in the server (1 to 1T).
    #[arg(long, value_name = "BYTES", env = "LOADGEN_RECV_RATE", value_parser = size, help_heading = CONNECTIONS)]
    pub recv_rate: Option<u64>,

    /// Bytes that a connection writes per second, at most
    ///
    /// All that is sent on it, before TLS, over HTTP/2 its preface as well; --timeout has to be long enough for it (1 to 1T).
    #[arg(long, value_name = "BYTES", env = "LOADGEN_SEND_RATE", value_parser = size, help_heading = CONNECTIONS)]
    pub send_rate: Option<u64>,

    /// Flow-control window of a stream [default: 4M]
    ///
    /// How much of a response servers send ahead of what loadgen has read (1 to 2147483647).
    #[arg(long, value_name = "SIZE", env = "LOADGEN_H2_STREAM_WINDOW", value_parser = size, help_heading = HTTP2)]
    pub h2_stream_window: Option<u64>,

    /// Flow-control window of a connection [default: 16M]
    ///
    /// For all of its streams (65535 to 2147483647).
    #[arg(long, value_name = "SIZE", env = "LOADGEN_H2_CONNECTION_WINDOW", value_parser = size, help_heading = HTTP2)]
    pub h2_connection_window: Option<u64>,

    /// SETTINGS_MAX_FRAME_SIZE [default: 16K]
    ///
    /// Maximum size of the frames that servers send (16K to 16777215).
    #[arg(long, value_name = "SIZE", env = "LOADGEN_H2_MAX_FRAME_SIZE", value_parser = size, help_heading = HTTP2)]
    pub h2_max_frame_size: Option<u64>,

    /// SETTINGS_HEADER_TABLE_SIZE [default: 4K]
    ///
    /// Maximum size of the table that servers compress fields with (0 to 4294967295).
    #[arg(long, value_name = "SIZE", env = "LOADGEN_H2_HEADER_TABLE_SIZE", value_parser = size, help_heading = HTTP2)]
    pub h2_header_table_size: Option<u64>,
}

impl ClientArgs {
    /// As a plan wants it.
    pub(super) fn options(&self) -> ClientOptions {
        ClientOptions {
            h2_stream_window: self.h2_stream_window,
            h2_connection_window: self.h2_connection_window,
            h2_max_frame_size: self.h2_max_frame_size,
            h2_header_table_size: self.h2_header_table_size,
            pipeline: self.pipeline,
            follow: self.follow,
            idle_connections: self.idle_connections,
            recv_rate: self.recv_rate,
            send_rate: self.send_rate,
        }
    }
}

// What these refuse is worded by `plan::accepted`.

fn whole(text: &str) -> Result<usize, &'static str> {
    quantity::count(text).and_then(|number| usize::try_from(number).ok()).ok_or("a whole number")
}

fn size(text: &str) -> Result<u64, &'static str> {
    quantity::size(text).ok_or("a size")
}
