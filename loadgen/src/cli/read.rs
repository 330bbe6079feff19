//! From words and the environment to [`Args`].

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::{
    ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Id, builder::Resettable,
    parser::ValueSource,
};
use command_line::{Failure, Parsed, Refusal};

use super::{
    args::Args,
    compare_args::{self, Compare},
    find_max_args::{self, FindMaxArgs},
    heyyall,
    probe_args::ACCEPTED as PROBE,
    shorthand,
};
use crate::plan::accepted;

/// Options of which one excludes the other, with an example.
const EXCLUSIVE: [(&str, &str, &str); 20] = [
    ("stages", "rate", "loadgen --stages=10s@100,30s@100..1000 localhost:8080"),
    ("stages", "duration", "loadgen --stages=10s@100,30s@100..1000 localhost:8080"),
    ("http1_1", "http2", "loadgen --http2 https://localhost:8443"),
    ("http1_0", "http2", "loadgen --http2 https://localhost:8443"),
    ("http1_0", "http1_1", "loadgen --http1.0 localhost:8080"),
    ("cacert", "insecure", "loadgen --cacert=ca.pem https://localhost:8443"),
    ("target", "url", "loadgen localhost:8080"),
    ("target", "embedded", "loadgen localhost:8080"),
    ("url", "embedded", "loadgen --embedded"),
    ("user", "bearer_file", "--bearer-file=token.txt"),
    ("body", "body_file", "--body-file=body.json"),
    ("plan", "url_file", "loadgen -f plan.yaml"),
    ("plan", "replay", "loadgen -f plan.yaml"),
    ("check", "print", "loadgen --print -f plan.yaml"),
    ("once", "rate", "loadgen --once localhost:8080"),
    ("once", "stages", "loadgen --once localhost:8080"),
    ("once", "total", "loadgen --once localhost:8080"),
    ("once", "duration", "loadgen --once localhost:8080"),
    ("once", "verify", "loadgen --once localhost:8080"),
    ("once", "zero_loss", "loadgen --once localhost:8080"),
];

impl Args {
    /// Reads words, whose first is the program's name, and the environment. What is typed takes precedence over a
    /// variable that says another thing of the same kind, and an empty variable counts as unset. That of the target does
    /// not: a script whose variable is empty by mistake must not load something else.
    ///
    /// # Errors
    /// A request for help, or a mistake.
    pub fn read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, Failure> {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let mut words = heyyall::with_two_dashes(words.into_iter().map(Into::into).collect());
        let is_first = |name: &str| words.get(1).is_some_and(|word| word == name);
        let (is_search, is_comparison) = (is_first(find_max_args::NAME), is_first(compare_args::NAME));
        if is_search || is_comparison {
            words.remove(1);
        }
        let command = match () {
            () if is_search => Self::described_search(),
            () if is_comparison => Self::described_comparison(),
            () => Self::described(),
        };
        // What variables say is of a run.
        let is_other = words.get(1).is_some_and(|word| command.find_subcommand(word).is_some());
        let command = command.mut_args(|arg| match arg.get_env() {
            Some(_) if is_other => arg.env(Resettable::Reset),
            Some(name) if arg.get_id() != "url" && is_empty(name) => arg.env(Resettable::Reset),
            _ => arg,
        });
        let letter = shorthand::curl_letter(&words);
        let cookies = shorthand::curl_cookies(&words, Path::is_file);
        let has_whole_m = shorthand::has_whole_m(&words);
        let late = (!is_search && !is_comparison && !is_other).then(|| late_command(&words)).flatten();
        let read = Self::read_with(&command, words);
        // It would be the target.
        if let (Some(late), Ok(args)) = (&late, &read)
            && args.target.as_ref() == Some(late)
        {
            let wrong = format!("the command {late} after an option");
            let example = format!("loadgen {late} --help");
            let refusal = Refusal::new(wrong, "it first, then its options", example);
            return Err(Failure::Refused(refusal.to_string()));
        }
        // What its options are not would be reported.
        let hint = late.map(|late| format!("the command {late} goes before all options"));
        match (read, letter.map(str::to_owned).or(hint)) {
            (Ok(args), _) => {
                // Who says how the body is sent means a body.
                let is_body =
                    args.method.is_some() || args.headers.iter().any(|field| is_about_content(field));
                let cookies = cookies.filter(|_| !is_body);
                Ok(Self { letter, cookies, has_whole_m, ..args })
            }
            (Err(Failure::Refused(message)), Some(hint)) => {
                Err(Failure::Refused(format!("{message} ({hint})")))
            }
            (failed, _) => failed,
        }
    }

    /// The command as its help shows it.
    #[must_use]
    pub fn described() -> Command {
        // The help explains variables in one place.
        let search = Command::new(find_max_args::NAME).about(find_max_args::ABOUT);
        let comparison = Command::new(compare_args::NAME).about(compare_args::ABOUT);
        Self::command().mut_args(|arg| arg.hide_env(true)).subcommands([search, comparison])
    }

    /// The command `find-max` as its help shows it.
    #[must_use]
    pub fn described_search() -> Command {
        find_max_args::command().mut_args(|arg| arg.hide_env(true))
    }

    /// The command `compare` as its help shows it.
    #[must_use]
    pub fn described_comparison() -> Command {
        compare_args::command().mut_args(|arg| arg.hide_env(true))
    }

    fn read_with(
        command: &Command,
        words: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Self, Failure> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let is_comparison = command.get_name() == compare_args::COMMAND;
        let of_comparisons = [&[accepted::COMPARE_THRESHOLD], accepted::ALL].concat();
        let known = match words.get(1).and_then(|word| word.to_str()) {
            _ if is_comparison => of_comparisons.as_slice(),
            Some("probe") => PROBE,
            _ => accepted::ALL,
        };
        let Parsed { matches, variables } = command_line::parse(command, &words, known)?;
        let mut args =
            Self::from_arg_matches(&matches).map_err(|error| Failure::Refused(error.to_string()))?;
        args.variables = variables;
        let is_given = |id: &&Id| matches.value_source(id.as_str()) != Some(ValueSource::DefaultValue);
        args.given = matches.ids().filter(is_given).map(ToString::to_string).collect();
        let is_search = command.get_name() == find_max_args::COMMAND;
        if is_comparison {
            let wanted = Compare::from_arg_matches(&matches);
            args.compare = Some(wanted.map_err(|error| Failure::Refused(error.to_string()))?);
            compare_args::check_given(&args.given)
                .map_err(|refusal| Failure::Refused(refusal.to_string()))?;
        }
        if is_search {
            let search = FindMaxArgs::from_arg_matches(&matches);
            args.find_max = Some(search.map_err(|error| Failure::Refused(error.to_string()))?);
            find_max_args::check_given(&args.given)
                .map_err(|refusal| Failure::Refused(refusal.to_string()))?;
        }
        args.settle(&matches).map_err(|refusal| Failure::Refused(refusal.to_string()))?;
        // Options whose target was forgotten are a mistake, wherever they come from.
        let is_nothing_given = words.len() <= 1 && args.variables.is_empty();
        args.embedded |= !is_search && !is_comparison && is_nothing_given;
        Ok(args)
    }

    /// Forgets what comes from the environment and is excluded by what was typed.
    fn settle(&mut self, matches: &ArgMatches) -> Result<(), Refusal> {
        for (one, other, example) in EXCLUSIVE {
            if !self.has(one) || !self.has(other) {
                continue;
            }
            let is_typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
            match (is_typed(one), is_typed(other)) {
                (true, false) => self.forget(other),
                (false, true) => self.forget(one),
                _ => {
                    let shown = format!("{} and {} exclude each other", self.shown(one), self.shown(other));
                    return Err(Refusal::new(shown, "one of them", example));
                }
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        match name {
            "target" => self.target.is_some(),
            "url" => self.url.is_some(),
            "embedded" => self.embedded,
            "http1_0" => self.http1_0,
            "http1_1" => self.http1_1,
            "http2" => self.http2,
            "cacert" => self.cacert.is_some(),
            "insecure" => self.insecure,
            "user" => self.user.is_some(),
            "bearer_file" => self.bearer_file.is_some(),
            "stages" => self.stages.is_some(),
            "rate" => self.rate.is_some(),
            "duration" => self.duration.is_some(),
            "total" => self.total.is_some(),
            "once" => self.once,
            "body" => self.body.is_some(),
            "plan" => self.plan.is_some(),
            "url_file" => self.url_file.is_some(),
            "replay" => self.replay.is_some(),
            "check" => self.check,
            "print" => self.print,
            "verify" => self.verify,
            "zero_loss" => self.zero_loss,
            _ => self.body_file.is_some(),
        }
    }

    fn forget(&mut self, name: &str) {
        match name {
            "target" => self.target = None,
            "url" => self.url = None,
            "embedded" => self.embedded = false,
            "http1_0" => self.http1_0 = false,
            "http1_1" => self.http1_1 = false,
            "http2" => self.http2 = false,
            "cacert" => self.cacert = None,
            "insecure" => self.insecure = false,
            "user" => self.user = None,
            "bearer_file" => self.bearer_file = None,
            "stages" => self.stages = None,
            "rate" => self.rate = None,
            "duration" => self.duration = None,
            "total" => self.total = None,
            "once" => self.once = false,
            "body" => self.body = None,
            "plan" => self.plan = None,
            "url_file" => self.url_file = None,
            "replay" => self.replay = None,
            "check" => self.check = false,
            "print" => self.print = false,
            "verify" => self.verify = false,
            "zero_loss" => self.zero_loss = false,
            _ => self.body_file = None,
        }
    }

    /// The option, or the variable that its value comes from.
    pub(super) fn shown(&self, name: &str) -> String {
        let flag = match name {
            "http1_0" => "http1.0".to_owned(),
            "http1_1" => "http1.1".to_owned(),
            name => name.replace('_', "-"),
        };
        match self.variables.of(&flag) {
            _ if name == "target" => "TARGET".to_owned(),
            Some(variable) => variable.to_owned(),
            None => format!("--{flag}"),
        }
    }
}

/// The first word that is a command and does not come first, where nothing but options comes before it.
fn late_command(words: &[OsString]) -> Option<String> {
    let first = words.get(1)?.to_str()?;
    let described = Args::described();
    let is_command = |word: &&str| described.find_subcommand(word).is_some();
    let words = words.iter().skip(2).filter_map(|word| word.to_str());
    words
        .take_while(|word| *word != "--")
        .find(is_command)
        .filter(|_| first.starts_with('-'))
        .map(str::to_owned)
}

/// Whether a field says what a body is.
fn is_about_content(field: &str) -> bool {
    field.split_once(':').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("content-type"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::plan::Plan;

    #[test]
    fn the_command_is_consistent() {
        Args::described().debug_assert();
    }

    #[test]
    fn the_summary_of_the_help_has_one_line_for_each_option() {
        let help = Args::described().term_width(100).render_help().to_string();
        let options: Vec<_> =
            help.lines().filter(|line| line.starts_with("  -") || line.starts_with("      --")).collect();
        let described = Args::command().get_arguments().filter(|arg| arg.get_long().is_some()).count();
        // Those that clap adds are --help and --version.
        assert_eq!(options.len(), described + 2, "{help}");
        for line in help.lines().skip_while(|line| *line != "Options:") {
            let is_text = line.starts_with("Examples") || line.starts_with("  loadgen ");
            let is_heading = line.ends_with(':') && !line.starts_with(' ');
            let known = options.contains(&line) || is_text || is_heading || line.is_empty();
            assert!(known || line.starts_with("--help explains"), "'{line}' in\n{help}");
        }
        let long = Args::described().render_long_help().to_string();
        assert!(
            !help.contains("env:") && !long.contains("env:") && !long.contains("[default: \"\"]"),
            "{long}"
        );
    }

    fn read(line: &str) -> Result<Args, String> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        Args::read(words).map_err(|failure| failure.to_string())
    }

    /// As if `name` were the value of the argument's variable. PATH stands in: it is always set.
    fn with_variable(argument: &'static str, line: &str) -> Result<Args, String> {
        let command = Args::command().mut_arg(argument, |arg| arg.env("PATH"));
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        Args::read_with(&command, words).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_is_typed_takes_precedence_over_the_environment() {
        let path = std::env::var("PATH").unwrap();
        let args = with_variable("url", "a:1").unwrap();
        assert_eq!((args.target.as_deref(), args.url), (Some("a:1"), None));
        let args = with_variable("url", "").unwrap();
        assert_eq!((args.url, args.embedded), (Some(path), false));
        let args = with_variable("url", "--embedded").unwrap();
        assert_eq!((args.url, args.embedded), (None, true));
        let args = with_variable("body", "a:1 --body-file x").unwrap();
        assert_eq!((args.body, args.body_file), (None, Some(PathBuf::from("x"))));
        let args = with_variable("body_file", "a:1 --body x").unwrap();
        assert_eq!((args.body, args.body_file), (Some("x".to_owned()), None));
        for (line, said) in [
            ("a:1 --url b:1", "TARGET and --url exclude each other; accepted: one of them"),
            ("a:1 --body x --body-file y", "--body and --body-file exclude each other"),
            ("--embedded a:1", "TARGET and --embedded exclude each other"),
            ("--embedded -u a:1", "--url and --embedded exclude each other"),
            ("--once -r 5 a:1", "--once and --rate exclude each other"),
            ("--once --verify a:1", "--once and --verify exclude each other"),
            ("--once --zero-loss a:1", "--once and --zero-loss exclude each other"),
            ("--once -n 5 a:1", "--once and --total exclude each other"),
            ("--once -d 5s a:1", "--once and --duration exclude each other"),
            ("--once --stages 1s@5 a:1", "--once and --stages exclude each other"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_server_in_this_process_is_loaded_without_any_argument_or_on_request() {
        let is_embedded = |line| read(line).unwrap().embedded;
        assert!(is_embedded("") && is_embedded("--embedded") && is_embedded("--embedded -r 10"));
        for (line, why) in
            [("-r 10", "none is given"), ("--no-progress", "none is given"), ("-u=", "--url is empty")]
        {
            let args = read(line).unwrap();
            assert!(!args.embedded, "{line}");
            let said = Plan::try_from(&args).unwrap_err().to_string();
            assert!(said.starts_with(&format!("no target: {why}; accepted: host:port")), "{said}");
            assert!(
                said.ends_with(
                    "or --embedded for a dummy-server in this process; example: loadgen localhost:8080"
                ),
                "{said}"
            );
        }
        let by_variable = with_variable("request_id_header", "").unwrap();
        assert!(!by_variable.embedded);
        let said = Plan::try_from(&by_variable).unwrap_err().to_string();
        assert!(said.starts_with("no target: none is given; "), "{said}");
        let empty = Args::read(["loadgen", ""]).unwrap();
        assert!(!empty.embedded);
        assert!(Plan::try_from(&empty).unwrap_err().to_string().starts_with("no target: it is empty; "));
    }

    #[test]
    fn credentials_are_not_sent_beside_another_authorization() {
        for (option, name) in [("--user=a:b", "--user"), ("--bearer-file=/nonexistent", "--bearer-file")] {
            let args = read(&format!("{option} -H aUthorization:x a:1")).unwrap();
            let said = Plan::try_from(&args).unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("{name} and --header with Authorization exclude each other")),
                "{said}"
            );
        }
    }

    #[test]
    fn a_value_that_the_plan_refuses_is_named_with_its_variable() {
        let args = with_variable("method", "a:1").unwrap();
        let path = std::env::var("PATH").unwrap();
        let said = Plan::try_from(&args).unwrap_err().to_string();
        assert!(said.starts_with(&format!("invalid value '{path}' for PATH; accepted: a method")), "{said}");
        assert!(said.ends_with("; example: PATH=PUT"), "{said}");
        let args = with_variable("url", "--no-progress").unwrap();
        let said = Plan::try_from(&args).unwrap_err().to_string();
        assert!(said.starts_with(&format!("invalid target '{path}' for PATH: ")), "{said}");
    }

    #[test]
    fn a_wrong_value_is_answered_with_what_is_accepted() {
        for (line, said) in [
            ("--rate many", "'many' for --rate; accepted: requests per second, a number from 0.001"),
            ("--rate NaN", "'NaN' for --rate; accepted: requests per second, a number from 0.001"),
            ("-r inf", "'inf' for --rate; accepted: requests per second, a number from 0.001"),
            ("-r -5", "'-5' for --rate; accepted: requests per second, a number from 0.001"),
            ("-d -5s", "'-5s' for --duration; accepted: a time above 0 and up to 8760h"),
            ("-d 0", "'0' for --duration; accepted: a time above 0 and up to 8760h"),
            ("--timeout 0ms", "'0ms' for --timeout; accepted: a time from 1ms"),
            ("--threshold", "accepted: a figure (response.p(99), "),
            ("--threshold", "count(2xx)"),
            ("--threshold", "example: --threshold='p(99)<200ms'"),
            ("--wait-for-target -1s", "'-1s' for --wait-for-target; accepted: a time from 0 to 8760h"),
            ("--requests -5", "'-5' for --total; accepted: a whole number from 1"),
            ("-n -5", "'-5' for --total; accepted: a whole number from 1"),
            ("-c -5", "'-5' for --connections; accepted: a whole number from 1"),
            ("-m -5", "'-5' for --streams; accepted: a whole number from 1"),
            ("--max-in-flight -5", "'-5' for --max-in-flight; accepted: a whole number from 1"),
            ("--workers -1", "'-1' for --workers; accepted: a whole number from 1"),
            ("--timeout -1", "'-1' for --timeout; accepted: a time from 1ms"),
            ("--connect-timeout -1.5s", "'-1.5s' for --connect-timeout; accepted: a time above 0"),
            ("--total +5", "'+5' for --total; accepted: a whole number"),
            (
                "--timeout 1e19",
                "to 8760h, such as 500ms, 10s or 1m30s, or a number of seconds; example: --timeout=30s",
            ),
            ("--total 1.5", "'1.5' for --total"),
            ("-d --total 5", "--duration needs a value; accepted: a time above 0"),
            (
                "--output xml",
                "'xml' for --output; accepted: text, json, markdown or csv; example: --output=text",
            ),
            (
                "--report run.html",
                "'run.html' for --report; accepted: a file name that ends in .json, .md, .csv or .txt, or -",
            ),
            ("--on-overload wait", "'wait' for --on-overload; accepted: queue or drop"),
            ("--ratee 5", "unexpected argument '--ratee'; accepted: a similar argument exists: '--rate'"),
            ("b:1", "unexpected argument 'b:1'; accepted: the options that --help lists"),
        ] {
            let error = read(&format!("a:1 {line}")).unwrap_err();
            assert!(error.contains(said) && error.lines().count() == 1, "{line}: {error}");
        }
    }
}
