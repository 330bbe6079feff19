//! load-tester's command line: a number of requests over HTTP/1.1, and how many of them at a time.

use command_line::{Accepted, Refusal};

use super::{
    adapters::{Adapted, Reporting, told_as, version},
    values::whole,
};
use crate::plan::{Plan, PlanError, accepted};

const URL: Accepted = Accepted {
    flag: "url",
    values: "http://host:port or https://host:port, with an optional path",
    example: "http://localhost:8080",
};

/// `load-tester`.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadTester {
    /// Where requests go: http://host:port or https://host:port
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,

    /// Exactly this many requests (1 to 10^15)
    #[arg(short = 'n', long, value_name = "N", default_value = "100", value_parser = whole::<u64>)]
    requests: u64,

    /// Requests at a time (1 to 1000000)
    #[arg(short, long, value_name = "N", default_value = "10", value_parser = whole::<usize>)]
    concurrency: usize,

    #[command(flatten)]
    reporting: Reporting,
}

impl LoadTester {
    /// What is to be run.
    pub(super) fn adapted(&self) -> Result<Adapted, PlanError> {
        let Some(url) = &self.url else {
            let example = "loadgen load-tester --url=http://localhost:8080";
            return Err(PlanError(Refusal::new("no --url", URL.values, example)));
        };
        let plan = Plan::builder(url)
            .version(version(url, false, &URL)?)
            .templates(false)
            .total(self.requests)
            // No more than have something to do.
            .connections(self.concurrency.min(usize::try_from(self.requests).unwrap_or(usize::MAX).max(1)))
            .max_in_flight(self.concurrency)
            .build();
        let names = [
            ("url", &URL),
            ("total", &accepted::REQUESTS),
            ("connections", &accepted::CONCURRENCY),
            ("max-in-flight", &accepted::CONCURRENCY),
        ];
        Ok(self.reporting.of(plan.map_err(|error| told_as(error, &names))?))
    }
}
