//! Turns words and the environment into [`Args`].

use std::ffi::OsString;

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _};
use command_line::{Accepted, Failure, Parsed};

use super::{Args, SWITCH};
use crate::settings::usual_address;

/// A value that is accepted of each flag whose default is none that says what may stand there.
const EXAMPLES: [(&str, &str); 33] = [
    ("port", "8081"),
    ("share-port", "true"),
    ("tls-cert", "chain.pem"),
    ("tls-key", "key.pem"),
    ("tls-self-signed", "ca.pem"),
    ("tls-client-ca", "clients.pem"),
    ("tls-client-auth", "optional"),
    ("tls-min-version", "1.3"),
    ("tls-tickets", "false"),
    ("proxy-protocol", "optional"),
    ("behaviour", "status=503:10&delay=5ms"),
    ("cors", "true"),
    ("instance", "server-1"),
    ("instances", "3"),
    ("instance-names", "a,b,c"),
    ("instance-ports", "shared"),
    ("max-connection-age", "10m"),
    ("drain-delay", "5s"),
    ("max-connections", "10000"),
    ("max-streams", "100"),
    ("h2-max-frame-size", "64K"),
    ("admin-token", "open-sesame"),
    ("admin-token-file", "token.txt"),
    ("ledger-push", "http://localhost:9092"),
    ("pidfile", "/run/dummy-server.pid"),
    ("access-log", "json"),
    ("access-log-sample", "100"),
    ("quiet", "false"),
    ("log-level", "debug"),
    ("log-format", "json"),
    ("mem-interval", "10s"),
    ("workers", "4"),
    ("pin-cpus", "true"),
];

/// A value that a flag accepts.
pub(crate) fn example(flag: &str) -> String {
    let command = Args::command();
    command.get_arguments().find(|arg| arg.get_long() == Some(flag)).map_or("", example_of).to_owned()
}

fn example_of(arg: &Arg) -> &str {
    let flag = arg.get_long().unwrap_or_default();
    let listed = EXAMPLES.iter().find(|(known, _)| *known == flag).map(|(_, example)| *example);
    let default = || arg.get_default_values().first()?.to_str().filter(|default| !default.is_empty());
    listed.or_else(default).unwrap_or_else(|| usual_address(flag))
}

impl Args {
    /// Reads a command line, whose first word is the program's name, and the environment.
    ///
    /// # Errors
    /// An unknown flag, a missing value, or a request for `--help` or `--version`.
    pub fn read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, Failure> {
        let command = Self::described();
        let known: Vec<&str> =
            command.get_arguments().filter_map(Arg::get_long_and_visible_aliases).flatten().collect();
        let words = command_line::with_two_dashes(words, |name| known.contains(&name));
        // clap reads all values as text: `config` says more about those that are refused.
        let values = "a value, which --help describes";
        let of = |arg| Some(Accepted { flag: Arg::get_long(arg)?, values, example: example_of(arg) });
        let accepted: Vec<_> = command.get_arguments().filter_map(of).collect();
        let Parsed { matches, variables } = command_line::parse(&command, words, &accepted)?;
        let args = Self::from_arg_matches(&matches).map_err(|error| Failure::Refused(error.to_string()))?;
        Ok(Self { variables, ..args })
    }

    /// The command as its help shows it: what an empty value means is said in words, and variables in one place. Each flag has
    /// a variable of its name.
    #[must_use]
    pub fn described() -> Command {
        Self::command().mut_args(|arg| {
            let is_empty = arg.get_default_values().iter().all(|value| value.is_empty());
            let variable = format!("DUMMY_SERVER_{}", arg.get_id().as_str().to_uppercase());
            let arg = arg.env(variable).hide_env(true).hide_default_value(is_empty);
            match arg.get_value_names() {
                Some([name]) if name == SWITCH => {
                    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
                }
                _ => arg,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Config;

    fn read(words: &[&str]) -> Args {
        Args::read(["dummy-server"].iter().chain(words)).unwrap()
    }

    #[test]
    fn go_forms_and_ours_mean_the_same() {
        let ours = read(&["--addr", ":1", "--quiet=false", "--pprof-addr=", "--buffer-size", "64"]);
        let go = read(&["-addr=:1", "-quiet=false", "-pprof-addr=", "-buffer-size", "64"]);
        assert_eq!(format!("{ours:?}"), format!("{go:?}"));
        assert_eq!(
            (go.addr.as_deref(), go.quiet.as_str(), go.pprof_addr.as_deref()),
            (Some(":1"), "false", Some(""))
        );
    }

    #[test]
    fn a_bare_switch_is_true() {
        assert_eq!(read(&["--pin-cpus"]).pin_cpus, "true");
        assert_eq!(read(&["-quiet"]).quiet, "true");
    }

    #[test]
    fn every_flag_has_an_example_that_is_accepted() {
        let command = Args::described();
        command.clone().debug_assert();
        let flags: Vec<_> = command.get_arguments().filter_map(Arg::get_long).collect();
        assert!(EXAMPLES.iter().all(|(flag, _)| flags.contains(flag)));
        for flag in flags {
            let example = example(flag);
            let config = Config::try_from(read(&[&format!("--{flag}={example}")]));
            let said = config.err().map(|error| error.to_string()).unwrap_or_default();
            // What these need beside them is said, and a file is not there.
            let needs_more = flag.starts_with("tls-") || flag == "admin-token-file";
            assert!(said.is_empty() || needs_more, "--{flag}={example}: {said}");
        }
    }

    #[test]
    fn the_summary_of_the_help_has_one_line_for_each_flag() {
        let help = Args::described().term_width(100).render_help().to_string();
        let is_flag = |line: &&str| line.starts_with("  -") || line.starts_with("      --");
        // Those that clap adds are --help and --version.
        assert_eq!(
            help.lines().filter(is_flag).count(),
            Args::command().get_arguments().count() + 2,
            "{help}"
        );
        for line in help.lines().skip_while(|line| *line != "Options:") {
            let is_text = line.starts_with("--help explains") || line.starts_with("  dummy-server");
            let is_heading = line.ends_with(':') && !line.starts_with(' ');
            assert!(is_flag(&line) || is_text || is_heading || line.is_empty(), "'{line}' in\n{help}");
        }
        let long = Args::described().render_long_help().to_string();
        assert!(
            !long.contains("env:") && !long.contains("[default: \"\"]") && !long.contains("[default: ]"),
            "{long}"
        );
        for group in
            ["Addresses:", "TLS:", "Timeouts and drain:", "Limits:", "HTTP/2:", "Logging:", "Examples:"]
        {
            assert!(
                help.contains(&format!("\n{group}\n")) && long.contains(&format!("\n{group}\n")),
                "{long}"
            );
        }
    }

    #[test]
    fn every_flag_has_a_variable_of_its_name() {
        let command = Args::described();
        let flags = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg.get_env())));
        for (flag, variable) in flags {
            let expected = format!("DUMMY_SERVER_{}", flag.replace('-', "_").to_uppercase());
            assert_eq!(variable.unwrap().to_str(), Some(expected.as_str()));
        }
    }

    #[test]
    fn behaviour_is_spelled_either_way() {
        for flag in ["--behaviour=delay=5ms", "--behavior=delay=5ms", "-behavior=delay=5ms"] {
            assert_eq!(read(&[flag]).behaviour, "delay=5ms", "{flag}");
        }
    }

    #[test]
    fn negative_values_are_values() {
        let args = read(&["--idle-timeout", "-5s", "-p", "-1", "-max-streams", "-2"]);
        assert_eq!((args.idle_timeout.as_str(), args.port.as_deref()), ("-5s", Some("-1")));
        assert_eq!(args.max_streams, "-2");
        let missing = Args::read(["dummy-server", "--idle-timeout", "--cors"]).unwrap_err().to_string();
        assert!(missing.starts_with("--idle-timeout needs a value; accepted: "), "{missing}");
        let similar = Args::read(["dummy-server", "--max-stream=1"]).unwrap_err().to_string();
        assert!(similar.contains("a similar argument exists: '--max-streams'"), "{similar}");
    }

    #[test]
    fn unknown_flags_are_refused() {
        assert!(Args::read(["dummy-server", "-nonsense=1"]).is_err());
        assert!(Args::read(["dummy-server", "--nonsense"]).is_err());
    }
}
