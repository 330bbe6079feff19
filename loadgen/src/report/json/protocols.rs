//! What a run's report says of gRPC calls and of WebSockets.

use std::{collections::BTreeMap, io};

use serde::Serialize;

use super::{Times, encoded};
use crate::{recorder::Sockets, summary::Summary};

/// What came of gRPC calls.
#[derive(Serialize)]
pub(super) struct Grpc<'a> {
    statuses: BTreeMap<&'static str, u64>,
    errors: Vec<CallError<'a>>,
    messages_sent: u64,
    messages_received: u64,
    messages_per_second: f64,
    first_message_time_us: Option<Times>,
    message_time_us: Option<Times>,
    first_message_time_ns: String,
    message_time_ns: String,
}

/// A status other than OK.
#[derive(Serialize)]
struct CallError<'a> {
    status: &'static str,
    code: u8,
    count: u64,
    example: &'a str,
    request_id: &'a str,
}

impl<'a> Grpc<'a> {
    pub(super) fn of(summary: &'a Summary) -> io::Result<Option<Self>> {
        let Some(calls) = summary.records.calls.as_deref() else { return Ok(None) };
        let succeeded = Some(summary.records.counts.succeeded).filter(|succeeded| *succeeded > 0);
        let ok = succeeded.map(|succeeded| ("OK", succeeded));
        let errors = calls.errors.iter();
        Ok(Some(Self {
            statuses: ok.into_iter().chain(errors.map(|(code, seen)| (code.name(), seen.count))).collect(),
            errors: calls
                .errors
                .iter()
                .map(|(code, seen)| CallError {
                    status: code.name(),
                    code: code as u8,
                    count: seen.count,
                    example: &seen.example,
                    request_id: &seen.request_id,
                })
                .collect(),
            messages_sent: calls.messages_sent,
            messages_received: calls.messages_received,
            messages_per_second: summary.messages_per_second().unwrap_or_default(),
            first_message_time_us: Times::of(&calls.first_message),
            message_time_us: Times::of(&calls.message),
            first_message_time_ns: encoded(&calls.first_message)?,
            message_time_ns: encoded(&calls.message)?,
        }))
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
    ping_time_us: Option<Times>,
    ping_time_ns: String,
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
            ping_time_us: Times::of(&sockets.pings),
            ping_time_ns: encoded(&sockets.pings)?,
        })
    }
}
