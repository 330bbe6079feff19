//! How the program ends, and why: one place decides.

use std::{process::ExitCode, str::FromStr};

use crate::{
    recorder::{Phases, Sockets},
    summary::Summary,
    verdict::{Judged, Judgement, RunOutcome},
    verify::Verification,
};

/// How the program ends, the first that is true of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Interrupted by a signal.
    Interrupted,
    /// Bad arguments.
    BadArguments,
    /// The run failed or could not begin: fewer than half of the requests succeeded.
    Failed,
    /// A threshold was crossed, or a probe found a broken MUST.
    Crossed,
    /// What `--fail-on` names happened.
    FailedOn,
    /// A threshold on a time could not be judged.
    NotJudged,
    /// Done.
    Done,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::BadArguments => 2,
            Exit::FailedOn => 3,
            Exit::NotJudged => 4,
            Exit::Crossed => 99,
            Exit::Interrupted => 130,
        })
    }
}

/// What makes the exit code 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOn {
    /// A 5xx that is not expected.
    ServerError,
    /// A 4xx that is not expected.
    ClientError,
    /// A 3xx that is not expected.
    Redirect,
    /// A call ended with a gRPC status other than OK.
    Call,
    /// A request failed below HTTP, or a message came back wrong.
    Transport,
    /// A request timed out.
    Timeout,
    /// A request was unanswered, or not sent, when the run ended.
    Unanswered,
    /// A request was dropped.
    Dropped,
    /// A reply had a status that is not expected, or was otherwise not as the plan expects.
    Unmet,
    /// A message was sent on a WebSocket, and its echo did not come.
    Lost,
    /// A message came back other than it was sent.
    Wrong,
    /// A message came on a WebSocket that is not an echo.
    Unsolicited,
    /// Anything happened to a request of a verified run, or can't be ruled out.
    Hurt,
}

const NAMES: [(&str, FailOn); 13] = [
    ("5xx", FailOn::ServerError),
    ("4xx", FailOn::ClientError),
    ("3xx", FailOn::Redirect),
    ("grpc", FailOn::Call),
    ("transport", FailOn::Transport),
    ("timeout", FailOn::Timeout),
    ("unanswered", FailOn::Unanswered),
    ("dropped", FailOn::Dropped),
    ("unmet", FailOn::Unmet),
    ("lost", FailOn::Lost),
    ("wrong", FailOn::Wrong),
    ("unsolicited", FailOn::Unsolicited),
    ("hurt", FailOn::Hurt),
];

/// What `--fail-on-error` stands for.
pub(super) const ERRORS: [FailOn; 6] = [
    FailOn::ServerError,
    FailOn::Call,
    FailOn::Transport,
    FailOn::Timeout,
    FailOn::Unanswered,
    FailOn::Dropped,
];

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        named.map(|(_, fail_on)| *fail_on).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name).join(", ");
            format!("invalid value '{}'; accepted: {names}; example: 5xx,transport", text.escape_debug())
        })
    }
}

impl FailOn {
    fn happened(self, summary: &Summary) -> bool {
        let counts = &summary.records.counts;
        let of_sockets = |count: fn(&Sockets) -> u64| summary.records.sockets.as_deref().map_or(0, count);
        let count = match self {
            Self::ServerError => counts.server_errors,
            Self::ClientError => counts.client_errors,
            Self::Redirect => counts.redirects,
            Self::Call => counts.call_errors,
            Self::Transport => counts.transport_failed,
            Self::Timeout => counts.timed_out,
            Self::Unanswered => counts.unanswered + summary.not_sent(),
            Self::Dropped => counts.dropped,
            Self::Unmet => counts.completed() - counts.succeeded + summary.records.unmet.replies(),
            Self::Lost => of_sockets(|sockets| sockets.lost),
            Self::Wrong => of_sockets(|sockets| sockets.wrong),
            Self::Unsolicited => of_sockets(|sockets| sockets.unsolicited),
            Self::Hurt => u64::from(!is_clean(summary)),
        };
        count > 0
    }
}

/// Whether something has happened to any request, or can't be ruled out.
pub(super) fn has_lost(summary: &Summary) -> bool {
    let counts = &summary.records.counts;
    // Nothing is known of a command after which no request was due.
    let is_silent = summary.records.phases.as_deref().is_some_and(Phases::is_silent);
    counts.succeeded < counts.offered - counts.not_sent || is_silent || !is_clean(summary)
}

/// Whether nothing has happened to any request, as far as that was to be proven.
fn is_clean(summary: &Summary) -> bool {
    summary.verification.as_deref().is_none_or(Verification::is_clean)
}

/// How a run ends the program.
pub(super) fn of_run(summary: &Summary, judged: &[Judged], fail_on: &[FailOn]) -> Exit {
    let aborted = summary.aborted_by.is_some();
    let is_any = |judgement| judged.iter().any(|judged| judged.judgement == judgement);
    let is_time_open = judged.iter().any(|judged| judged.is_time && judged.judgement == Judgement::NotJudged);
    if summary.interrupted && !aborted {
        Exit::Interrupted
    } else if summary.outcome() == RunOutcome::Failed && !(aborted && is_unbegun(summary)) {
        Exit::Failed
    } else if aborted || is_any(Judgement::Failed) {
        Exit::Crossed
    } else if fail_on.iter().any(|fail_on| fail_on.happened(summary)) {
        Exit::FailedOn
    } else if is_time_open {
        Exit::NotJudged
    } else {
        Exit::Done
    }
}

/// Whether it was stopped before anything was due: as one of several loads that was to begin later.
fn is_unbegun(summary: &Summary) -> bool {
    summary.interrupted && summary.records.counts.offered == 0
}

/// How one exchange ends the program: any response that is complete will do, unless it is to fail on it.
pub(super) fn of_exchange(summary: &Summary, fail_on: &[FailOn]) -> Exit {
    if summary.interrupted {
        Exit::Interrupted
    } else if summary.records.counts.completed() == 0 {
        Exit::Failed
    } else if fail_on.iter().any(|fail_on| fail_on.happened(summary)) {
        Exit::FailedOn
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::accepted::ALL,
        planted::{Planted, PlantedEnd, run},
    };

    #[test]
    fn one_exchange_ends_by_what_it_is_to_fail_on() {
        let exchange = |end: PlantedEnd| {
            run("-r 1 -n 1 a:1", move |_, _| Planted { end: end.clone(), ..Planted::default() })
        };
        for (status, names, exit) in [
            (200, "5xx,4xx,3xx,unmet", Exit::Done),
            (302, "5xx,4xx", Exit::Done),
            (302, "3xx", Exit::FailedOn),
            (404, "5xx,transport", Exit::Done),
            (404, "4xx", Exit::FailedOn),
            (404, "unmet", Exit::FailedOn),
            (503, "5xx", Exit::FailedOn),
            (503, "4xx", Exit::Done),
        ] {
            let fail_on: Vec<FailOn> = names.split(',').map(|name| name.parse().unwrap()).collect();
            let summary = exchange(PlantedEnd::Status(status));
            assert_eq!(of_exchange(&summary, &[]), Exit::Done, "{status}");
            assert_eq!(of_exchange(&summary, &fail_on), exit, "{status} {names}");
            let interrupted = Summary { interrupted: true, ..summary };
            assert_eq!(of_exchange(&interrupted, &fail_on), Exit::Interrupted);
        }
        assert_eq!(of_exchange(&exchange(PlantedEnd::TimedOut), &[]), Exit::Failed);
    }

    #[test]
    fn what_the_run_fails_on_is_named() {
        let accepted = ALL.iter().find(|accepted| accepted.flag == "fail-on").unwrap();
        for (name, fail_on) in NAMES {
            assert_eq!([name.parse(), name.to_uppercase().parse()], [Ok(fail_on), Ok(fail_on)]);
            assert!(accepted.values.split([' ', ',']).any(|word| word == name), "{name} is not listed");
        }
        for name in ["", "5x", "500", "all", "5xx,4xx"] {
            assert!(name.parse::<FailOn>().unwrap_err().contains("example: 5xx,transport"), "{name}");
        }
    }
}
