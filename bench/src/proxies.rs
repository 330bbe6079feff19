//! What reverse proxies do, and what they add to a request: the matrix of `loadgen probe` and the table of `loadgen compare`, with
//! each one's version and configurations.
//!
//! Nothing is judged here: the reports are kept as loadgen writes them. The probe asks each proxy in its smallest configuration, and
//! in the one that its authors recommend where that is another; compared are the latter, since the smallest ones do
//! different things.

use std::{
    fmt::Write as _,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use integration::{
    authority::{Authority, Key},
    gateways::{ALL, Gateway, Pair, Running, Tuning},
    server::Server,
};

use crate::tools::{Tool, Tools};

/// Requests per second at which they are compared: few enough for a small machine.
const RATE: &str = "400";
/// The ends of the names of reports.
const FORMATS: [&str; 3] = ["md", "json", "html"];

/// The proxies of these names, or all.
///
/// # Errors
/// There is none of a name.
pub fn wanted(only: &[String]) -> Result<Vec<Gateway>> {
    if let Some(unknown) = only.iter().find(|name| ALL.iter().all(|one| one.name != name.as_str())) {
        let known = ALL.map(|one| one.name).join(", ");
        bail!("invalid proxy '{unknown}'; accepted: {known}; for example: --only={}", ALL[0].name);
    }
    Ok(ALL.into_iter().filter(|one| only.is_empty() || only.iter().any(|name| name == one.name)).collect())
}

/// A record in the making.
#[derive(Debug)]
pub struct Proxies<'a> {
    /// Our programs.
    pub tools: &'a Tools,
    /// Where it goes.
    pub folder: &'a Path,
    /// How long each contender is measured in a block of the comparison.
    pub seconds: f64,
    /// Whether it only shows that all of this works.
    pub smoke: bool,
}

/// A proxy that was started.
struct Started {
    name: String,
    tuning: Tuning,
    running: Running,
}

impl Proxies<'_> {
    /// Makes it, and gives its summary in Markdown.
    ///
    /// # Errors
    /// loadgen could not judge, or the folder can't be written.
    pub fn keep(&self, wanted: &[Gateway], head: &str) -> Result<String> {
        let server = Server::with(&["--half-close-timeout=500ms"]);
        let (mut started, mut versions) = (Vec::new(), String::new());
        fs::create_dir_all(self.folder.join("configurations"))?;
        for gateway in wanted {
            let Some(program) = gateway.find() else {
                writeln!(versions, "| {} | not installed | |", gateway.name)?;
                continue;
            };
            let own = started_of(gateway, &program, server.http);
            let files = own.iter().map(|one| self.configuration(one)).collect::<Result<Vec<_>>>()?;
            writeln!(
                versions,
                "| {} | {} | {} |",
                gateway.name,
                gateway.version(&program),
                files.join(", ")
            )?;
            started.extend(own);
        }
        ensure!(!started.is_empty(), "none of the proxies is installed; .ci/tools installs them");
        let direct = format!("http://{}", server.http);
        let (recommended, minimal): (Vec<_>, Vec<_>) =
            started.iter().partition(|one| one.tuning == Tuning::Recommended);
        let mut doubts = self.probe(&direct, &recommended, "probe")?;
        doubts += &self.probe(&direct, &minimal, "probe-minimal")?;
        doubts += &self.probe_over_tls(wanted, &server)?;
        let compared = self.compare(server.http, &recommended)?;
        let summary = format!(
            "{head}
Made by `cargo run --release -p bench -- proxies`; [docs/proxies.md](../../../../docs/proxies.md) says how, and how to dispute it.
HTTP/1.1 on both sides of each proxy, one dummy-server behind all.

| Proxy | Version | Configurations |
|---|---|---|
{versions}
## What they do

As recommended: [probe.md](probe.md), with a transcript behind each cell [probe.html](probe.html), for programs `raw/probe.json`.
In the smallest configuration: [probe-minimal.md](probe-minimal.md), [probe-minimal.html](probe-minimal.html),
`raw/probe-minimal.json`. As recommended and over TLS, with HTTP/1.1 and HTTP/2 in front: [probe-tls.md](probe-tls.md),
[probe-tls.html](probe-tls.html), `raw/probe-tls.json`. What is in `raw` is not kept in git: the command makes it anew.
{doubts}
## What they add to a request

[compare.json](compare.json) for programs. {RATE} requests/s, in the recommended configurations:

{compared}"
        );
        fs::write(self.folder.join("README.md"), &summary)?;
        Ok(summary)
    }

    /// Keeps a configuration, and gives a link to it.
    fn configuration(&self, one: &Started) -> Result<String> {
        let file = format!("configurations/{}.conf", one.name);
        fs::write(self.folder.join(&file), one.running.configuration())?;
        Ok(format!("[{}]({file})", one.name))
    }

    /// Asks those that end TLS over HTTP/1.1 and HTTP/2, and the server itself over both without it.
    fn probe_over_tls(&self, wanted: &[Gateway], server: &Server) -> Result<String> {
        let authority = Authority::root();
        let certificate = authority.issue("front", Key::Ecdsa);
        let with_tls = wanted.iter().filter(|one| one.pairs.contains(&Pair::TlsToHttp1));
        let start = |(gateway, program): (&Gateway, PathBuf)| Started {
            name: gateway.name.to_owned(),
            tuning: Tuning::Recommended,
            running: gateway.start(
                &program,
                Pair::TlsToHttp1,
                Tuning::Recommended,
                &[server.http],
                Some(&certificate),
            ),
        };
        let started = with_tls.filter_map(|one| Some((one, one.find()?))).map(start);
        let started: Vec<Started> = started.collect();
        let started: Vec<&Started> = started.iter().collect();
        self.probe(&format!("h2c://{}", server.http), &started, "probe-tls")
    }

    /// What has to be known of it beside its reports, if there is anything.
    fn probe(&self, direct: &str, started: &[&Started], name: &str) -> Result<String> {
        if started.is_empty() {
            return Ok(String::new());
        }
        let mut command = self.loadgen("probe")?;
        command.arg(format!("--direct={direct}"));
        if started.iter().any(|one| one.running.url().starts_with("https")) {
            command.arg("--insecure");
        }
        command.args(started.iter().map(|one| format!("{}={}", one.name, one.running.url())));
        // As JSON it is tens of thousands of lines, of which a repository has no use.
        let raw = self.folder.join("raw");
        fs::create_dir_all(&raw)?;
        let file = |format: &str| match format {
            "json" => raw.join(format!("{name}.json")),
            format => self.folder.join(format!("{name}.{format}")),
        };
        command.args(FORMATS.map(|format| format!("--report={}", file(format).display())));
        if self.smoke {
            command.args(["--timeout=1s", "--only=repeated-post,target,trailers"]);
        }
        // Exit code 99: a proxy violated a rule. Exit code 1: some cases could not be judged; without a report, they could not be asked.
        for format in FORMATS {
            match fs::remove_file(file(format)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let output = self.output(command, "probe", &[0, 1, 99])?;
        let said = String::from_utf8_lossy(&output.stderr);
        let is_doubted = output.status.code() == Some(1);
        ensure!(!is_doubted || file("json").exists(), "loadgen probe has ended with 1:\n{said}");
        Ok(if is_doubted { doubt(name, &said) } else { String::new() })
    }

    /// Compares them; what it says in Markdown.
    fn compare(&self, direct: SocketAddr, started: &[&Started]) -> Result<String> {
        let mut command = self.loadgen("compare")?;
        // That they do not all do the same is said in the report.
        command.args(["--force", "-r", RATE, "-o", "json"]);
        match self.smoke {
            true => command.args(["-d", "500ms", "--blocks=10"]),
            false => command.arg("-d").arg(format!("{}s", self.seconds)),
        };
        command.arg(format!("direct=http://{direct}/bin/1K"));
        for one in started {
            command.arg(format!("{}={}/bin/1K", one.name, one.running.url()));
            command.arg(format!("--pid={}={}", one.name, one.running.id()));
        }
        // 4 is that the machine was disturbed too often, which the report says.
        let json = String::from_utf8(self.output(command, "compare", &[0, 4])?.stdout)?;
        fs::write(self.folder.join("compare.json"), &json)?;
        told(&json)
    }

    fn loadgen(&self, what: &str) -> Result<Command> {
        let mut command = self.tools.command(Tool::Loadgen)?;
        command.arg(what).stdin(Stdio::null()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Runs a command to its end, which has to be one of these.
    fn output(&self, mut command: Command, what: &str, codes: &[i32]) -> Result<Output> {
        let output = command.output().with_context(|| format!("loadgen {what} can't be started"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code().is_some_and(|code| codes.contains(&code)),
            "loadgen {what} has ended with {}:\n{said}",
            output.status
        );
        Ok(output)
    }
}

/// Starts a proxy in its smallest configuration, and as it is recommended.
fn started_of(gateway: &Gateway, program: &Path, server: SocketAddr) -> Vec<Started> {
    let tunings = match gateway.has_recommendation {
        true => &[Tuning::Minimal, Tuning::Recommended][..],
        false => &[Tuning::Recommended],
    };
    let start = |tuning: &Tuning| Started {
        name: match tuning {
            Tuning::Minimal => format!("{}-minimal", gateway.name),
            Tuning::Recommended => gateway.name.to_owned(),
        },
        tuning: *tuning,
        running: gateway.start(program, Pair::Http1, *tuning, &[server], None),
    };
    tunings.iter().map(start).collect()
}

/// What a probe said that could not judge all of it.
fn doubt(name: &str, said: &str) -> String {
    let said = said.trim().trim_start_matches("loadgen: error: ").replace('\n', " ");
    format!("\nNot all of [{name}.md]({name}.md) is judged: {said}\n")
}

/// What a comparison found, in a sentence for each contender, and what has to be known of it.
fn told(json: &str) -> Result<String> {
    let report: serde_json::Value = serde_json::from_str(json)?;
    let contenders = report["contenders"].as_array().into_iter().flatten().map(|one| &one["sentence"]);
    let beside = ["not_alike", "unknown", "warnings"];
    let beside = beside.iter().filter_map(|list| report[list].as_array()).flatten();
    let mut text = String::new();
    for sentence in contenders.chain(beside).filter_map(serde_json::Value::as_str) {
        writeln!(text, "- {sentence}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_no_proxy_is_refused_with_those_there_are() {
        let error = wanted(&["squid".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("invalid proxy 'squid'") && error.contains("haproxy"), "{error}");
        assert_eq!(wanted(&["envoy".to_owned()]).unwrap().len(), 1);
        assert_eq!(wanted(&[]).unwrap().len(), ALL.len());
    }

    #[test]
    fn what_a_probe_could_not_judge_is_a_paragraph_of_the_record() {
        let said = "loadgen: error: the probe could not judge: a\nb\n";
        let expected =
            "\nNot all of [probe-tls.md](probe-tls.md) is judged: the probe could not judge: a b\n";
        assert_eq!(doubt("probe-tls", said), expected);
    }

    #[test]
    fn a_comparison_is_written_in_the_sentences_of_its_report() {
        let json = r#"{"contenders": [{"sentence": null}, {"sentence": "a is slower"}], "not_alike": ["a closes"],
            "unknown": [], "warnings": ["2 CPUs are few"]}"#;
        assert_eq!(told(json).unwrap(), "- a is slower\n- a closes\n- 2 CPUs are few\n");
    }
}
