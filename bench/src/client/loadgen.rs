//! Our own client.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Client, MESSAGE, Outcome, Place, check_reply, ghz, milliseconds, url, words};
use crate::{
    certificate::{CERTIFICATE, NAME},
    load::{Body, Load, Protocol},
    probe,
    process::Process,
    tools::Tool,
};

/// loadgen.
#[derive(Clone, Copy, Debug)]
pub struct Loadgen {
    tool: Tool,
    work: Workload,
}

/// What its requests are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Workload {
    /// The body of the load, with an id.
    Plain,
    /// The same without an id.
    WithoutId,
    /// The same, with what is due within a millisecond sent together.
    Coalesced,
    /// The same with what happens to each request proven: with a token, its own body, and the server's ledger.
    Verified,
    /// The same with the number of the request in the query.
    Sequence,
    /// Three requests of a plan for the same body.
    Mix,
    /// gRPC calls.
    Calls(Call),
    /// Messages on WebSockets.
    Messages,
    /// The body, one request on each connection, each with such a handshake.
    Handshakes(Handshake),
}

/// A method that is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    /// The call that ghz makes.
    Hello,
    /// `echo.EchoService/Echo` of a short text.
    Echo,
    /// `grpc.health.v1.Health/Check` of the whole server.
    Check,
}

/// A kind of handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Handshake {
    /// The server shows its certificate and signs.
    Full,
    /// With a ticket of an earlier connection, and a new exchange of keys.
    Resumed,
}

const fn ours(work: Workload) -> Loadgen {
    Loadgen { tool: Tool::Loadgen, work }
}

/// Ours.
pub static LOADGEN: Loadgen = ours(Workload::Plain);
/// Sending no id with its requests.
pub static LOADGEN_WITHOUT_ID: Loadgen = ours(Workload::WithoutId);
/// Proving what happens to each request.
pub static LOADGEN_VERIFIED: Loadgen = ours(Workload::Verified);
/// With its request's number in each path.
pub static LOADGEN_SEQUENCE: Loadgen = ours(Workload::Sequence);
/// With a plan of three requests.
pub static LOADGEN_MIX: Loadgen = ours(Workload::Mix);
/// Sending what is due within a millisecond together.
pub static LOADGEN_COALESCED: Loadgen = ours(Workload::Coalesced);
/// Making the gRPC calls that ghz makes.
pub static LOADGEN_CALLS: Loadgen = ours(Workload::Calls(Call::Hello));
/// Calling the echo.
pub static LOADGEN_ECHO: Loadgen = ours(Workload::Calls(Call::Echo));
/// Calling the health service.
pub static LOADGEN_CHECK: Loadgen = ours(Workload::Calls(Call::Check));
/// Sending messages on WebSockets.
pub static LOADGEN_MESSAGES: Loadgen = ours(Workload::Messages);
/// With a full handshake for each request.
pub static LOADGEN_FULL: Loadgen = ours(Workload::Handshakes(Handshake::Full));
/// With a resumed handshake for each request; the first on each connection at a time is a full one, and is counted too.
pub static LOADGEN_RESUMED: Loadgen = ours(Workload::Handshakes(Handshake::Resumed));

impl Call {
    const fn method(self) -> &'static str {
        match self {
            Self::Hello | Self::Echo => ghz::METHOD,
            Self::Check => "grpc.health.v1.Health/Check",
        }
    }

    /// The file with its types, since not every server reports them: its name and what is in it.
    const fn types(self) -> (&'static str, &'static str) {
        match self {
            Self::Hello | Self::Echo => {
                ("echo.proto", include_str!("../../../crates/contract/proto/echo.proto"))
            }
            Self::Check => ("health.proto", HEALTH),
        }
    }

    /// The message in JSON.
    const fn message(self) -> &'static str {
        match self {
            Self::Hello => ghz::MESSAGE,
            Self::Echo => {
                "{\"message\":\"hello from the bench hello from the bench hello from the bench \",\
                 \"timestamp\":\"1700000000000000000\"}"
            }
            Self::Check => "{}",
        }
    }

    /// Bytes of the message with its prefix.
    const fn length(self) -> usize {
        match self {
            Self::Hello => ghz::LENGTH,
            Self::Echo => 80,
            Self::Check => 5,
        }
    }

    /// What a response in JSON has.
    const fn answer(self) -> &'static str {
        match self {
            Self::Hello => "\"message\":\"hello\"",
            Self::Echo => {
                "{\"message\":\"hello from the bench hello from the bench hello from the bench \",\
                 \"requestTimestamp\":\"1700000000000000000\","
            }
            Self::Check => "\"status\":\"SERVING\"",
        }
    }
}

/// What is called of the health service (grpc/health/v1/health.proto).
const HEALTH: &str = "\
syntax = \"proto3\";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
  ServingStatus status = 1;
}
service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }
";

/// The plan of three requests for one body: its two paths, and one of them with a query.
const MIX: &str = "\
requests:
- {name: first, weight: 50, path: /bin/1K}
- {name: second, weight: 25, path: /bin/1024}
- {name: third, weight: 25, path: /bin/1K?third}
";
/// Its file.
const MIX_FILE: &str = "mix.yaml";

/// How long a check may take.
const CHECK_WITHIN: Duration = Duration::from_secs(30);

impl Client for Loadgen {
    fn tool(&self) -> Option<Tool> {
        Some(self.tool)
    }

    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        let connections = load.connections.to_string();
        let mut list = words(["--workers", "1", "-c", &connections, "-o", "json", "--no-progress"]);
        list.extend(match load.rate.zip(load.total()) {
            Some((rate, total)) => words(["--rate", &rate.to_string(), "--total", &total.to_string()]),
            None => words(["-d", &milliseconds(load)]),
        });
        match self.work {
            Workload::WithoutId => list.extend(words(["--request-id-header="])),
            Workload::Verified => list.push("--verify".to_owned()),
            Workload::Coalesced => list.push("--coalesce=1ms".to_owned()),
            Workload::Mix => list.extend(words(["-f", &format!("{{dir}}/{MIX_FILE}")])),
            // Whom the servers are is checked before.
            Workload::Handshakes(Handshake::Full) => {
                list.extend(words(["--no-keepalive", "--no-tls-resumption"]));
            }
            Workload::Handshakes(Handshake::Resumed) => list.push("--no-keepalive".to_owned()),
            Workload::Calls(call) => {
                list.extend(words(["-m", &load.streams.to_string()]));
                list.extend(call_arguments(call, port));
                return list;
            }
            Workload::Plain | Workload::Sequence | Workload::Messages => {}
        }
        list.extend(match load.protocol {
            Protocol::Http1 => Vec::new(),
            Protocol::H2c => words(["-m", &load.streams.to_string()]),
            Protocol::WebSocket => words(["--binary", "--message-size", &MESSAGE.to_string()]),
            Protocol::Tls => words(["--insecure", "--http1.1"]),
            Protocol::TlsH2 => words(["--insecure", "--http2", "-m", &load.streams.to_string()]),
        });
        list.push(self.target(load, port));
        list
    }

    fn prepare(&self, load: &Load, at: &Place<'_>) -> Result<()> {
        match self.work {
            Workload::Calls(call) => check_call(call, at),
            Workload::Mix => {
                fs::write(at.dir.join(MIX_FILE), MIX)?;
                let mut paths = [Body::K1.paths(), &["/bin/1K?third"]].concat().into_iter();
                paths.try_for_each(|path| probe::check(at.port, load.protocol, path, Body::K1.size()))
            }
            _ => check_reply(load, at),
        }
    }

    fn content(&self, load: &Load) -> usize {
        match self.work {
            Workload::Calls(call) => call.length(),
            Workload::Messages => MESSAGE,
            _ => load.body.size(),
        }
    }

    fn read(&self, printed: &str) -> Option<Outcome> {
        let json: Value = serde_json::from_str(printed).ok()?;
        let requests = json.get("requests")?;
        let count = |name| requests.get(name)?.as_u64();
        let (sent, succeeded) = (count("sent")?, count("succeeded")?);
        let others = match self.work {
            Workload::Handshakes(kind) => others(kind, &json)?,
            Workload::Messages => {
                let strange = |name| json.get("websocket")?.get(name)?.as_u64();
                strange("wrong")? + strange("unsolicited")?
            }
            _ => 0,
        };
        Some(Outcome {
            requests: count("completed")?,
            // Dropped and never sent ones are errors too: no row allows any.
            errors: sent - succeeded + count("dropped")? + count("not_sent")? + others,
            seconds: json.get("elapsed_seconds").and_then(Value::as_f64),
            sent: Some(sent),
            lag_p99_us: json.get("release_lag_us")?.get("p99")?.as_f64(),
        })
    }

    fn before(&self) -> Option<&'static dyn Client> {
        // A few bytes, for as long as this program runs.
        Some(Box::leak(Box::new(Self { tool: Tool::LoadgenBefore, ..*self })))
    }
}

impl Loadgen {
    fn target(&self, load: &Load, port: u16) -> String {
        let url = url(load, port);
        let url = if load.protocol == Protocol::H2c { url.replacen("http", "h2c", 1) } else { url };
        match self.work {
            Workload::Sequence => url + "?x={{seq}}",
            Workload::Mix => url.replace(load.body.path(), ""),
            _ => url,
        }
    }
}

/// How many handshakes were of another kind. Each of the connections that are open at a time begins with a full one.
fn others(wanted: Handshake, report: &Value) -> Option<u64> {
    let connections = report.get("connections")?;
    let count = |of: &Value, name| of.get(name)?.as_u64();
    let tls = connections.get("tls")?;
    let (all, resumed) = (count(tls, "handshakes")?, count(tls, "resumed")?);
    Some(match wanted {
        Handshake::Full => resumed,
        Handshake::Resumed => {
            let first = count(connections, "opened")?.checked_sub(count(connections, "reopened")?)?;
            (all - resumed).saturating_sub(first)
        }
    })
}

fn call_arguments(call: Call, port: u16) -> Vec<String> {
    let types = format!("{{dir}}/{}", call.types().0);
    let target = format!("grpc://127.0.0.1:{port}/{}", call.method());
    words(["--proto", &types, "-b", call.message(), &target])
}

/// Makes one call and looks for the answer.
fn check_call(call: Call, at: &Place<'_>) -> Result<()> {
    let (file, types) = call.types();
    fs::write(at.dir.join(file), types)?;
    let method = call.method();
    let printed = once(&[words(["--once"]), call_arguments(call, at.port)].concat(), at)
        .with_context(|| format!("{method} was not answered"))?;
    let is_answer = printed.contains(call.answer()) && printed.contains("grpc-status: 0");
    ensure!(is_answer, "{method} was answered with something else");
    Ok(())
}

/// Checks what a server answers over TLS, or on a WebSocket, with two requests on a connection each: the certificate,
/// the status and every byte.
pub(super) fn check(load: &Load, at: &Place<'_>) -> Result<()> {
    const PLAN: &str = "reply.yaml";
    let mut list = words(["-o", "json", "--no-progress", "-c", "1", "-n", "2"]);
    list.extend(words(["--fail-on-error", "--fail-on", "unmet"]));
    if load.protocol == Protocol::WebSocket {
        list.extend(words(["--binary", &url(load, at.port)]));
    } else {
        let (path, size) = (load.body.path(), load.body.size());
        let expected = format!("{{status: 200, size: {size}, payload: pattern, max_held: {size}}}");
        let plan = format!("requests:\n- {{name: reply, path: {path}, expect: {expected}}}\n");
        fs::write(at.dir.join(PLAN), plan)?;
        let version = if load.protocol == Protocol::TlsH2 { "--http2" } else { "--http1.1" };
        let authority = format!("{{dir}}/{CERTIFICATE}");
        list.extend(words(["--no-keepalive", version, "--cacert", &authority, "--sni", NAME]));
        list.extend(words(["-f", &format!("{{dir}}/{PLAN}"), &url(load, at.port).replace(path, "")]));
    }
    once(&list, at).context("a reply is not as it must be")?;
    Ok(())
}

/// What loadgen prints with these arguments.
fn once(arguments: &[String], at: &Place<'_>) -> Result<String> {
    let folder = at.dir.to_str().context("the temporary folder's name is not UTF-8")?;
    let mut command = at.tools.command(Tool::Loadgen)?;
    command.args(arguments.iter().map(|word| word.replace("{dir}", folder)));
    Process::start(command, at.cpu, at.dir, "check")?.finish(CHECK_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::load, *};
    use crate::args::Mode;

    fn arguments(client: &Loadgen, mode: Mode, row: &str) -> String {
        client.arguments(&load(mode, row), 7).join(" ")
    }

    #[test]
    fn loadgen_gets_rate_and_total_when_paced_else_a_duration() {
        let paced = arguments(&LOADGEN, Mode::Client, "paced");
        assert!(paced.ends_with("--rate 10000 --total 5000 http://127.0.0.1:7/bin/1K"), "{paced}");
        let closed = arguments(&LOADGEN, Mode::Client, "h2c-closed");
        assert!(closed.ends_with("-c 10 -o json --no-progress -d 500ms -m 100 h2c://127.0.0.1:7/bin/1K"));
    }

    #[test]
    fn calls_are_those_of_the_other_client() {
        let arguments = arguments(&LOADGEN_CALLS, Mode::Client, "grpc-closed");
        let end = "-d 500ms -m 10 --proto {dir}/echo.proto -b {\"message\":\"hello\"} \
            grpc://127.0.0.1:7/echo.EchoService/Echo";
        assert!(arguments.ends_with(end), "{arguments}");
    }

    #[test]
    fn numbers_and_plans_go_with_the_target() {
        let numbered = arguments(&LOADGEN_SEQUENCE, Mode::Client, "h2c-sequence");
        assert!(numbered.ends_with("-m 100 h2c://127.0.0.1:7/bin/1K?x={{seq}}"), "{numbered}");
        let mix = arguments(&LOADGEN_MIX, Mode::Client, "h1-mix");
        assert!(mix.ends_with("-f {dir}/mix.yaml http://127.0.0.1:7"), "{mix}");
    }

    #[test]
    fn tls_is_spoken_in_the_version_of_the_row() {
        for (row, end) in [
            ("tls-h1-closed", "--insecure --http1.1 https://127.0.0.1:7/bin/1K"),
            ("tls-h2-closed", "--insecure --http2 -m 100 https://127.0.0.1:7/bin/1K"),
        ] {
            let arguments = arguments(&LOADGEN, Mode::Client, row);
            assert!(arguments.ends_with(end), "{arguments}");
        }
    }

    #[test]
    fn the_contender_without_ids_disables_the_id_header() {
        let load = load(Mode::Server, "h2c-id");
        let ids = [&LOADGEN, &LOADGEN_WITHOUT_ID]
            .map(|client| client.arguments(&load, 7).contains(&"--request-id-header=".to_owned()));
        assert_eq!(ids, [false, true]);
    }

    #[test]
    fn the_first_contender_of_a_verify_row_verifies_and_the_other_sends_ids() {
        for row in ["verify-h1-1k", "verify-h1-1m", "verify-h2c-1k"] {
            let of = |client: &Loadgen| arguments(client, Mode::Pair, row);
            let (verified, plain) = (of(&LOADGEN_VERIFIED), of(&LOADGEN));
            assert!(verified.contains(" --verify ") && !plain.contains("--verify"), "{verified}");
            assert_eq!(verified.replace(" --verify", ""), plain);
        }
    }

    #[test]
    fn requests_that_did_not_succeed_count_as_errors() {
        let text = r#"{"requests":{"offered":100,"sent":97,"completed":96,"succeeded":95,"dropped":2,"not_sent":1},
            "release_lag_us":{"p99":61.5}}"#;
        let outcome = LOADGEN.read(text).unwrap();
        assert_eq!((outcome.requests, outcome.errors, outcome.sent), (96, 5, Some(97)));
        assert_eq!(outcome.lag_p99_us, Some(61.5));
    }

    #[test]
    fn handshakes_of_another_kind_count_as_errors() {
        let errors = |client: &Loadgen, resumed: u64| {
            let text = format!(
                "{{\"requests\":{{\"sent\":90,\"completed\":90,\"succeeded\":90,\"dropped\":0,\"not_sent\":0}},\
                 \"connections\":{{\"opened\":90,\"reopened\":86,\"tls\":{{\"handshakes\":90,\"resumed\":{resumed}}}}},\
                 \"release_lag_us\":{{\"p99\":1}}}}"
            );
            client.read(&text).unwrap().errors
        };
        assert_eq!([0, 7].map(|resumed| errors(&LOADGEN_FULL, resumed)), [0, 7]);
        // The first four have nothing to resume.
        assert_eq!([90, 86, 80].map(|resumed| errors(&LOADGEN_RESUMED, resumed)), [0, 0, 6]);
    }

    #[test]
    fn strange_messages_count_as_errors() {
        let text = r#"{"requests":{"sent":9,"completed":9,"succeeded":9,"dropped":0,"not_sent":0},
            "websocket":{"lost":0,"wrong":1,"unsolicited":2},"release_lag_us":{"p99":1}}"#;
        assert_eq!(LOADGEN_MESSAGES.read(text).unwrap().errors, 3);
    }
}
