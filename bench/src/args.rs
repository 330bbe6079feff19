//! What was typed on the command line; nothing is derived here.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Compares dummy-server and loadgen with their peers, side by side on this machine.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Args {
    /// What to compare
    pub mode: Mode,

    /// How often each contender is measured; the order turns round every time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), default_value_t = 5)]
    pub rounds: u32,

    /// How long one measurement takes, in seconds
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "3")]
    pub seconds: f64,

    /// A round in which a measurement lost more of its CPU time to the hypervisor is measured again, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "5")]
    pub most_stolen: f64,

    /// A round in which a cache line took longer from CPU to CPU and back is measured again, in nanoseconds
    #[arg(long, value_name = "NS", value_parser = nanoseconds, default_value = "100")]
    pub max_round_trip: f64,

    /// Run this row alone; give it several times for several rows
    #[arg(long, value_name = "ROW")]
    pub only: Vec<String>,

    /// Folder for the record; default: one for date and machine in bench/runs, and none with --smoke
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Label of the machine in the record; default: from the CPU model and the number of CPUs
    #[arg(long, value_name = "LABEL")]
    pub machine: Option<String>,

    /// One round of half a second: shows that the rows work, measures nothing; debug builds are allowed
    #[arg(long)]
    pub smoke: bool,

    /// The dummy-server to measure; default: built now
    #[arg(long, value_name = "PATH")]
    pub dummy_server: Option<PathBuf>,

    /// The loadgen to measure; default: built now
    #[arg(long, value_name = "PATH")]
    pub loadgen: Option<PathBuf>,

    /// A dummy-server built before a change: it takes the place of the peers in the rows of servers
    #[arg(long, value_name = "PATH")]
    pub dummy_server_before: Option<PathBuf>,

    /// A loadgen built before a change: it takes the place of the peers in the rows of clients
    #[arg(long, value_name = "PATH")]
    pub loadgen_before: Option<PathBuf>,

    /// How many connections the crowd is to have; fewer if the machine does not allow as many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), default_value_t = 100_000)]
    pub connections: u32,

    /// CPU of the servers; default: the first this process may use
    #[arg(long, value_name = "CPU")]
    pub server_cpu: Option<usize>,

    /// CPU of the clients; default: the second this process may use
    #[arg(long, value_name = "CPU")]
    pub client_cpu: Option<usize>,
}

impl Args {
    /// Whether ours are compared with builds before a change.
    #[must_use]
    pub fn is_beside_before(&self) -> bool {
        self.dummy_server_before.is_some() || self.loadgen_before.is_some()
    }
}

/// Which side of the wire is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Mode {
    /// dummy-server and other servers under the same client
    Server,
    /// loadgen and other clients against the same server
    Client,
    /// dummy-server with loadgen, and other pairs
    Pair,
    /// what an idle connection takes of dummy-server's and other servers' memory
    Memory,
    /// whether a long run takes more of loadgen's memory than a short one
    Growth,
    /// as many concurrent connections as the machine allows, from several addresses
    Crowd,
    /// what reverse proxies do in the cases of `loadgen probe`, and what they add to a request
    Proxies,
    /// whether what a proxy holds back on one way is shown by `--verify` on that way
    Split,
}

impl Mode {
    /// The word as typed, which also names the files of the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Pair => "pair",
            Self::Memory => "memory",
            Self::Growth => "growth",
            Self::Crowd => "crowd",
            Self::Proxies => "proxies",
            Self::Split => "split",
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.1..=600.0).contains(&value) => Ok(value),
        _ => Err("a number of seconds from 0.1 to 600 is accepted".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(value),
        _ => Err("a percentage from 0 to 100 is accepted".to_owned()),
    }
}

fn nanoseconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (1.0..=1e6).contains(&value) => Ok(value),
        _ => Err("a number of nanoseconds from 1 to 1000000 is accepted, such as 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_five_rounds_of_three_seconds() {
        let args = Args::parse_from(["bench", "server"]);
        assert_eq!((args.mode, args.rounds, args.seconds, args.smoke), (Mode::Server, 5, 3.0, false));
    }

    #[test]
    fn a_bad_number_of_seconds_says_what_is_accepted() {
        for bad in ["0", "x", "-1", "601", "NaN"] {
            let error = Args::try_parse_from(["bench", "pair", &format!("--seconds={bad}")]).unwrap_err();
            assert!(error.to_string().contains("from 0.1 to 600"), "{error}");
        }
    }

    #[test]
    fn a_bad_round_trip_says_what_is_accepted() {
        assert_eq!(Args::parse_from(["bench", "pair"]).max_round_trip, 100.0);
        for bad in ["0", "x", "-1", "inf", "NaN", "2000000"] {
            let error =
                Args::try_parse_from(["bench", "pair", &format!("--max-round-trip={bad}")]).unwrap_err();
            assert!(error.to_string().contains("from 1 to 1000000"), "{error}");
        }
    }
}
