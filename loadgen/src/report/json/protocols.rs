//! What a run's report says of gRPC calls and of WebSockets.

use std::{collections::BTreeMap, io};

use serde::Serialize;

use super::times::{JsonTimes, encoded};
use crate::{
    recorder::{CallErrors, Seen, Sockets},
    summary::Summary,
};

/// What came of gRPC calls.
#[derive(Serialize)]
pub(super) struct Grpc<'a> {
    statuses: BTreeMap<&'static str, u64>,
    errors: Vec<CallStatus<'a>>,
    expected: Vec<CallStatus<'a>>,
    messages_sent: u64,
    messages_received: u64,
    messages_per_second: f64,
    first_message_time_us: Option<JsonTimes>,
    message_time_us: Option<JsonTimes>,
    first_message_time_ns: String,
    message_time_ns: String,
}

/// A status other than OK.
#[derive(Serialize)]
struct CallStatus<'a> {
    status: &'static str,
    code: u8,
    count: u64,
    example: &'a str,
    request_id: &'a str,
}

impl<'a> Grpc<'a> {
    pub(super) fn of(summary: &'a Summary) -> io::Result<Option<Self>> {
        let Some(calls) = summary.records.calls.as_deref() else { return Ok(None) };
        let mut statuses = BTreeMap::new();
        if calls.ok > 0 {
            statuses.insert("OK", calls.ok);
        }
        for (code, seen) in calls.errors.iter().chain(calls.expected.iter()) {
            *statuses.entry(code.name()).or_default() += seen.count;
        }
        Ok(Some(Self {
            statuses,
            errors: CallStatus::all(&calls.errors),
            expected: CallStatus::all(&calls.expected),
            messages_sent: calls.messages_sent,
            messages_received: calls.messages_received,
            messages_per_second: summary.messages_per_second().unwrap_or_default(),
            first_message_time_us: JsonTimes::of(&calls.first_message),
            message_time_us: JsonTimes::of(&calls.message),
            first_message_time_ns: encoded(&calls.first_message)?,
            message_time_ns: encoded(&calls.message)?,
        }))
    }
}

impl<'a> CallStatus<'a> {
    fn all(calls: &'a CallErrors) -> Vec<Self> {
        let of = |(code, seen): (grpc::Code, &'a Seen)| Self {
            status: code.name(),
            code: code as u8,
            count: seen.count,
            example: &seen.example,
            request_id: &seen.request_id,
        };
        calls.iter().map(of).collect()
    }
}

/// What came of WebSockets beyond their messages.
#[derive(Serialize)]
pub(super) struct WebSocket<'a> {
    lost: u64,
    wrong: u64,
    unsolicited: u64,
    unsolicited_example: &'a str,
    pings_sent: u64,
    pings_answered: u64,
    ping_time_us: Option<JsonTimes>,
    ping_time_ns: String,
    handshakes: u64,
    opened: u64,
    opened_per_second: Option<f64>,
    handshake_time_us: Option<JsonTimes>,
}

impl<'a> WebSocket<'a> {
    pub(super) fn of(sockets: &'a Sockets) -> io::Result<Self> {
        Ok(Self {
            lost: sockets.lost,
            wrong: sockets.wrong,
            unsolicited: sockets.unsolicited,
            unsolicited_example: &sockets.example,
            pings_sent: sockets.pings_sent,
            pings_answered: sockets.pings.len(),
            ping_time_us: JsonTimes::of(&sockets.pings),
            ping_time_ns: encoded(&sockets.pings)?,
            handshakes: sockets.handshakes,
            opened: sockets.opened.len(),
            opened_per_second: sockets.first_opened().map(|(_, rate)| rate),
            handshake_time_us: JsonTimes::of(&sockets.opened),
        })
    }
}
