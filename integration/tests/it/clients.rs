//! Third-party clients on dummy-server. What they report of a reply is believed; how many requests there were,
//! the server says too.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    path::Path,
    process::Command,
};

use contract::pattern;
use integration::{
    cases::{Cases, block_on},
    client::Protocol,
    foreign::{go, output, script},
    metrics::{Metrics, REQUESTS},
    process::Process,
    server::Server,
    tools::require,
};
use serde_json::Value;
use tempfile::NamedTempFile;

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for (name, args, sizes) in NGHTTP_READS {
        cases = cases.named(format!("clients::nghttp::{name}"), move || block_on(nghttp_reads(args, sizes)));
    }
    for scenario in PYTHON_H2 {
        cases = cases.named(format!("clients::python_h2::{scenario}"), move || block_on(python_h2(scenario)));
    }
    cases
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.http)
}

/// How many requests of these labels the server has answered, once that is at least `least`.
async fn counted(server: &Server, least: u64, labels: &[(&str, &str)]) -> u64 {
    let reading = Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, labels) >= least).await;
    reading.sum(REQUESTS, labels)
}

fn label(protocol: Protocol) -> (&'static str, &'static str) {
    ("protocol", if protocol == Protocol::Http1 { "HTTP/1.1" } else { "HTTP/2" })
}

fn curl(program: &Path, protocol: Protocol) -> Command {
    let mut command = Command::new(program);
    // Neither the user's configuration nor a proxy of the environment.
    command.args(["-q", "--noproxy", "*", "--silent", "--show-error", "--max-time", "15"]);
    command.arg(if protocol == Protocol::Http1 { "--http1.1" } else { "--http2-prior-knowledge" });
    command
}

fn content(size: usize) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(&vec![b'x'; size]).expect("the file is written");
    file
}

fn bytes_received(reply: &str) -> Option<u64> {
    serde_json::from_str::<Value>(reply).ok()?["bytes_received"].as_u64()
}

async fn curl_reads_replies_whole(protocol: Protocol) {
    let Some(program) = require("curl") else { return };
    let server = Server::start();
    let sizes = [
        ("/bin/1", 200, 1),
        ("/bin/1M", 200, 1 << 20),
        ("/bin/100001?chunked=true", 200, 100_001),
        ("/chunked/5?size=100", 200, 500),
        ("/status/204", 204, 0),
        ("/status/304", 304, 0),
        ("/bin/10M", 200, 10 << 20),
    ];
    // curl 7.88 loses an HTTP/2 connection at its second request, with any server (curl issue 10634).
    let per_run = if protocol == Protocol::Http1 { sizes.len() } else { 1 };
    for sizes in sizes.chunks(per_run) {
        let mut command = curl(&program, protocol);
        command.args(["--write-out", "%{http_version} %{http_code} %{size_download} %{num_connects}\n"]);
        for (path, ..) in sizes {
            command.args(["--output", "/dev/null"]).arg(url(&server, path));
        }
        let version = if protocol == Protocol::Http1 { "1.1" } else { "2" };
        // Only the first opens a connection.
        let line = |(index, (_, status, size)): (usize, &(&str, u16, usize))| {
            format!("{version} {status} {size} {}\n", u8::from(index == 0))
        };
        let expected: String = sizes.iter().enumerate().map(line).collect();
        assert_eq!(output(Process::start(&mut command)), expected);
    }

    let head = output(Process::start(curl(&program, protocol).arg("--head").arg(url(&server, "/bin/5000"))));
    assert!(head.to_ascii_lowercase().contains("content-length: 5000\r\n"), "{head}");
    let part = curl(&program, protocol).args(["--range", "1000-1999"]).arg(url(&server, "/bin/1M")).output();
    let part = part.expect("curl starts").stdout;
    assert_eq!((part.len(), pattern::verify(1000, &part)), (1000, Ok(())));
    let large = format!("x-large: {}", "v".repeat(40_000));
    let echo = output(Process::start(curl(&program, protocol).args(["-H", &large]).arg(url(&server, "/"))));
    assert!(echo.contains(&large["x-large: ".len()..]));
    let total = sizes.len() as u64 + 3;
    assert_eq!(counted(&server, total, &[label(protocol)]).await, total);
}

async fn curl_sends_bodies(protocol: Protocol) {
    let Some(program) = require("curl") else { return };
    let server = Server::start();
    let target = url(&server, "/upload");
    for size in [0, 1, 100_000, 3 << 20] {
        let file = content(size);
        // With a length, beyond 1 MiB of which curl asks first.
        let data = format!("@{}", file.path().display());
        let mut command = curl(&program, protocol);
        let said = output(Process::start(command.args(["--data-binary", &data]).arg(&target)));
        assert_eq!(bytes_received(&said), Some(size as u64), "{said}");
        // From a pipe or the like, whose length curl does not know: chunked in HTTP/1.1.
        let input = File::open(file.path()).expect("the file is there");
        let mut command = curl(&program, protocol);
        let said = output(Process::with_input(command.args(["--upload-file", "-"]).arg(&target), input));
        assert_eq!(bytes_received(&said), Some(size as u64), "{said}");
    }
    assert_eq!(counted(&server, 8, &[("endpoint", "upload"), label(protocol)]).await, 8);
}

fn curl_gets_100_continue() {
    let Some(program) = require("curl") else { return };
    let server = Server::start();
    let mut command = curl(&program, Protocol::Http1);
    // It waits for longer than the test may take: the body comes because of the 100 (Continue).
    command.args(["--verbose", "--expect100-timeout", "60", "-H", "Expect: 100-continue"]);
    command.args(["--data-binary", "some body"]).arg(url(&server, "/upload"));
    let finished = Process::start(&mut command).finish(integration::PATIENCE);
    assert_eq!((finished.code, bytes_received(&finished.stdout)), (Some(0), Some(9)), "{finished}");
    let first = finished.stderr.lines().find(|line| line.starts_with("< HTTP/"));
    assert!(first.is_some_and(|line| line.contains(" 100")), "{finished}");
}

async fn curl_speaks_http_1_0() {
    let Some(program) = require("curl") else { return };
    let server = Server::start();
    let mut command = curl(&program, Protocol::Http1);
    command.args(["--http1.0", "--write-out", "%{http_code} %{size_download}\n"]);
    for path in ["/bin/100000", "/bin/100000?chunked=true"] {
        command.args(["--output", "/dev/null"]).arg(url(&server, path));
    }
    assert_eq!(output(Process::start(&mut command)), "200 100000\n200 100000\n");
    assert_eq!(counted(&server, 2, &[("protocol", "HTTP/1.0")]).await, 2);
}

async fn curl_opens_many_connections() {
    let Some(program) = require("curl") else { return };
    let server = Server::start();
    let mut command = curl(&program, Protocol::Http1);
    command.args(["--parallel", "--parallel-max", "50", "--write-out", "%{http_code} %{size_download}\n"]);
    for _ in 0..100 {
        command.args(["--output", "/dev/null"]).arg(url(&server, "/bin/50001"));
    }
    assert_eq!(output(Process::start(&mut command)), "200 50001\n".repeat(100));
    assert_eq!(counted(&server, 100, &[label(Protocol::Http1)]).await, 100);
}

/// The arguments of nghttp, and the sizes it then reads on one connection.
type Reads = (&'static str, &'static [&'static str], &'static [usize]);

const NGHTTP_READS: [Reads; 8] = [
    ("several_at_once", &[], &[1, 1000, 100_000, 2_000_000, 65_535]),
    ("windows_of_seven_bytes", &["--window-bits=3"], &[1000, 301]),
    ("a_small_connection_window", &["--window-bits=10", "--connection-window-bits=8"], &[20_000, 3000]),
    ("no_table", &["--header-table-size=0"], &[1, 1000, 3]),
    ("tables_that_change", &["-c", "4096", "-c", "0", "-c", "65536"], &[1, 1000, 3]),
    ("a_larger_table", &["--header-table-size=65536"], &[1, 1000, 3]),
    ("continuation", &["--continuation"], &[1, 1000, 3]),
    ("no_priorities", &["--no-dep", "--padding=255"], &[1, 1000, 3]),
];

async fn nghttp_reads(args: &[&str], sizes: &[usize]) {
    let Some(program) = require("nghttp") else { return };
    let server = Server::start();
    // The frames it received are distinguished from those it sent; without replies it exits with 0, too.
    let mut command = Command::new(&program);
    command.args(["--verbose", "--null-out", "--timeout=15"]).args(args);
    command.args(sizes.iter().map(|size| url(&server, &format!("/bin/{size}"))));
    let said = output(Process::start(&mut command));
    let lines = |what: &str| said.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines(":status: 200"), sizes.len(), "{said}");
    let data =
        said.lines().filter_map(|line| line.split_once("recv DATA frame <length=")?.1.split(',').next());
    let received: usize = data.map(|length| length.parse::<usize>().expect("a length")).sum();
    assert_eq!(received, sizes.iter().sum::<usize>(), "{said}");
    assert_eq!(lines("RST_STREAM frame"), 0, "{said}");
    let total = sizes.len() as u64;
    assert_eq!(counted(&server, total, &[("endpoint", "bin")]).await, total);
}

async fn nghttp_sends_bodies() {
    let Some(program) = require("nghttp") else { return };
    let server = Server::start();
    let mut file = content(300_000);
    file.rewind().expect("a file can be read again");
    let shapes: [&[&str]; 4] =
        [&[], &["--padding=255"], &["--no-content-length", "--trailer=x-sum: 1234"], &["--expect-continue"]];
    for args in shapes {
        let mut command = Command::new(&program);
        command.arg("--timeout=15").arg("--data").arg(file.path()).args(args).arg(url(&server, "/upload"));
        let said = output(Process::start(&mut command));
        assert_eq!(bytes_received(&said), Some(300_000), "{args:?}: {said}");
    }
    assert_eq!(counted(&server, 4, &[("endpoint", "upload")]).await, 4);
}

async fn h2load_counts_what_the_server_counts(protocol: Protocol) {
    let Some(program) = require("h2load") else { return };
    let server = Server::start();
    let file = content(50_000);
    let data = format!("--data={}", file.path().display());
    let shapes: [(&[&str], &str, u64); 5] = [
        (&["-n", "2001", "-c", "7", "-m", "20"], "/bin/1K", 2001),
        (&["-n", "50", "-c", "3", "-m", "5"], "/bin/300001?chunked=true", 50),
        (&["-n", "300", "-c", "3", "-m", "5", &data], "/upload", 300),
        (&["-n", "300", "-c", "2", "-m", "9", "-w", "8", "-W", "16"], "/bin/1K", 300),
        (&["-n", "300", "-c", "2", "-m", "9", "--header-table-size=0"], "/bin/1K", 300),
    ];
    let mut before = 0;
    for (args, path, total) in shapes {
        let mut command = Command::new(&program);
        command.arg(if protocol == Protocol::Http1 {
            "--no-tls-proto=http/1.1"
        } else {
            "--no-tls-proto=h2c"
        });
        let said = output(Process::start(command.args(args).arg(url(&server, path))));
        let line = format!(
            "requests: {total} total, {total} started, {total} done, {total} succeeded, 0 failed, 0 errored, 0 timeout"
        );
        assert!(said.contains(&line), "{args:?}: {said}");
        before += total;
        assert_eq!(counted(&server, before, &[label(protocol), ("status", "200")]).await, before, "{args:?}");
    }
}

async fn wrk_counts_what_the_server_counts() {
    const CONNECTIONS: u64 = 5;
    let Some(program) = require("wrk") else { return };
    let server = Server::start();
    for (shape, path) in [("GET", "/bin/1K"), ("POST", "/upload")] {
        let mut lua = NamedTempFile::new().expect("a temporary file");
        // It says nothing about replies that are well.
        writeln!(lua, "wrk.method = '{shape}'\nwrk.body = string.rep('x', 3000)")
            .expect("the script is written");
        let before = counted(&server, 0, &[]).await;
        let mut command = Command::new(&program);
        command.args(["-t", "1", "-d", "1s", "-c", &CONNECTIONS.to_string(), "-s"]).arg(lua.path());
        let said = output(Process::start(command.arg(url(&server, path))));
        assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
        let count = said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
        let count: u64 = count.unwrap_or_else(|| panic!("no count in {said}"));
        // wrk leaves with a request on each connection, of which it does not count the replies.
        let answered = counted(&server, before + count, &[("status", "200")]).await - before;
        assert!(count > 0 && (count..=count + CONNECTIONS).contains(&answered), "{answered}: {said}");
    }
}

async fn the_go_client_finds_no_fault(protocol: Protocol) {
    let Some(program) = go() else { return };
    let server = Server::start();
    let mut command = Command::new(program);
    let said =
        output(Process::start(command.args(["client", &protocol.to_string(), &server.http.to_string()])));
    let read: u64 = said.trim().parse().unwrap_or_else(|_| panic!("no count in {said:?}"));
    let labels = [("endpoint", "bin"), ("status", "200"), label(protocol)];
    // Whether the five of /bin/100M that it broke off count is the server's to say.
    let answered = counted(&server, read, &labels).await;
    assert!(read >= 318 && (read..=read + 5).contains(&answered), "{answered} and not {read}");
}

async fn python_reuses_connections_and_pipelines() {
    let Some(program) = require("python3") else { return };
    let server = Server::start();
    let mut command = script(&program, "http1.py");
    command.arg(server.http.ip().to_string()).arg(server.http.port().to_string());
    let said = output(Process::start(&mut command));
    let read: u64 = said.trim().parse().unwrap_or_else(|_| panic!("no count in {said:?}"));
    assert_eq!(counted(&server, read, &[("endpoint", "bin")]).await, read);
}

/// The functions of `h2_client.py`; it checks what it receives itself.
const PYTHON_H2: [&str; 7] = [
    "windows_of_one_byte",
    "a_window_of_zero",
    "a_window_that_becomes_negative",
    "large_heads_and_changing_tables",
    "resets_in_every_state",
    "goaway_with_streams_in_flight",
    "unknown_frames_and_settings_are_ignored",
];

async fn python_h2(scenario: &str) {
    let Some(program) = require("python3-h2") else { return };
    let server = Server::start();
    let mut command = script(&program, "h2_client.py");
    command.arg(scenario).arg(server.http.ip().to_string()).arg(server.http.port().to_string());
    let said = output(Process::start(&mut command));
    assert_eq!(said, "the end of the scenario\n");
}
