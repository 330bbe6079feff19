//! What flags and variables are accepted, and how what is not is refused.

use std::{num::NonZeroU64, time::Duration};

use super::*;
use crate::settings::AccessLog;

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = Config::from_args(&[]).unwrap();
    assert_eq!(config.addr.to_string(), "[::]:8080");
    assert_eq!(config.grpc_addr.unwrap().to_string(), "[::]:50051");
    assert_eq!(config.admin_addr.unwrap().to_string(), "127.0.0.1:9091");
    assert_eq!((config.buffer_size, config.access_log), (256 << 10, None));
    let Http2 { stream_window, connection_window, max_frame_size, header_table_size } = config.http2;
    // One slow stream must not hold up the others.
    assert_eq!((stream_window, connection_window), (256 << 10, 64 << 20));
    assert_eq!((max_frame_size, header_table_size), (16 << 10, 4 << 10));
    assert!(config.admin_token.is_none());
    assert_eq!(config.limits.idle_timeout, Some(Duration::from_secs(75)));
    assert_eq!(config.limits.header_timeout, Some(Duration::from_secs(10)));
    assert_eq!(config.limits.stall_timeout, Some(Duration::from_secs(60)));
    assert_eq!((config.limits.ws_max_message, config.limits.ws_max_frame), (16 << 20, 16 << 20));
    assert_eq!(config.limits.ws_message_timeout, Some(Duration::from_secs(60)));
    assert_eq!((config.limits.max_connections, config.limits.max_header_bytes), (262_144, 64 << 10));
    assert_eq!((config.drain_delay, config.drain_timeout), (Duration::ZERO, Duration::from_secs(60)));
    assert!(!config.instance.is_empty());
    assert_eq!((config.log_level, config.log_format, config.mem_interval), (Level::INFO, Format::Text, None));
}

#[test]
fn a_bad_value_is_named_with_what_is_accepted() {
    for (words, said) in [
        (["--buffer-size", "63"], "'63' for --buffer-size; accepted: a whole number from 64 to 4096"),
        (["--buffer-size", "4097"], "from 64 to 4096"),
        (["--addr", "nonsense"], "'nonsense' for --addr; accepted: ip:port"),
        (
            ["--idle-timeout", "soon"],
            "for --idle-timeout; accepted: a duration from 0 to 8760h, such as 500ms, 10s or 1m30s, or a number of seconds",
        ),
        (["--workers", "0"], "for --workers; accepted: a whole number from 1 to 1024"),
        (["--max-header-bytes", "1"], "for --max-header-bytes; accepted: a size from 8192 to"),
        (["--instance", "a b"], "for --instance; accepted: 1 to 256 visible"),
        (["--proxy-protocol", "on"], "'on' for --proxy-protocol; accepted: off, optional or required"),
        (["--log-level", "loud"], "'loud' for --log-level; accepted: error, warn, info, debug or trace"),
        (["--log-level", "3"], "'3' for --log-level; accepted: error"),
        (["--log-format", "xml"], "'xml' for --log-format; accepted: text or json"),
        (["--quiet=maybe", "--pin-cpus"], "'maybe' for --quiet; accepted: true or false"),
        (["--access-log", "xml"], "'xml' for --access-log; accepted: json, text or off"),
        (["--access-log-sample", "0"], "for --access-log-sample; accepted: a whole number from 1"),
        (
            ["--h2-stream-window", "0"],
            "for --h2-stream-window; accepted: a size from 1 to 2147483647 bytes, such as 4096, 64K or 10M",
        ),
        (["--h2-stream-window", "2G"], "from 1 to 2147483647 bytes"),
        (["--h2-connection-window", "63k"], "from 65535 to 2147483647 bytes"),
        (["--h2-max-frame-size", "16383"], "from 16384 to 16777215 bytes"),
        (["--h2-max-frame-size", "16M"], "from 16384 to 16777215 bytes"),
        (["--h2-header-table-size", "4G"], "from 0 to 4294967295 bytes"),
        (["--admin-token", "secret!"], "'***' for --admin-token; accepted: 8 to 1024 visible"),
        (["--admin-token", "with spaces"], "'***' for --admin-token; accepted: 8 to 1024 visible"),
        (["--admin-token-file", "/no/such/file"], "'/no/such/file' for --admin-token-file: No such file"),
    ] {
        let error = Config::from_args(&words).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn empty_and_zero_are_off() {
    let config = Config::from_args(&["-grpc-addr=", "-pprof-addr=", "-admin-addr=", "-idle-timeout=0"]);
    let config = config.unwrap();
    assert!(config.grpc_addr.is_none() && config.pprof_addr.is_none() && config.admin_addr.is_none());
    assert_eq!(config.limits.idle_timeout, None);
}

#[test]
fn a_number_of_seconds_is_a_duration() {
    let config = Config::from_args(&["--idle-timeout=90", "--drain-delay=0.5"]).unwrap();
    assert_eq!(config.limits.idle_timeout, Some(Duration::from_secs(90)));
    assert_eq!(config.drain_delay, Duration::from_millis(500));
}

#[test]
fn the_access_log_has_a_form_and_a_sample() {
    let log = |words: &[&str]| Config::from_args(words).unwrap().access_log;
    let of = |format, one_in| Some(AccessLog { format, one_in: NonZeroU64::new(one_in).unwrap() });
    assert_eq!(log(&["--quiet=false"]), of(Format::Text, 1));
    assert_eq!(log(&["--quiet=false", "--access-log=json"]), of(Format::Json, 1));
    assert_eq!(log(&["--quiet=false", "--access-log=off"]), None);
    assert_eq!(log(&["--access-log=text", "--access-log-sample=100"]), of(Format::Text, 100));
}

#[test]
fn a_token_is_typed_or_in_a_file_but_not_both() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "open-sesame\n").unwrap();
    let flag = format!("--admin-token-file={}", path.display());
    let token = |words: &[&str]| Config::from_args(words).map(|config| config.admin_token.unwrap());
    assert!(token(&[&flag]).unwrap().is(b"open-sesame"));
    assert!(token(&["--admin-token=open-sesame"]).unwrap().is(b"open-sesame"));
    let error = token(&[&flag, "--admin-token=open-sesame"]).unwrap_err().to_string();
    assert!(error.contains("either this or --admin-token") && !error.contains("open-sesame"), "{error}");
    std::fs::write(&path, "\n").unwrap();
    assert!(token(&[&flag]).is_err());
    let error = token(&["--admin-token-file=/dev/zero"]).unwrap_err().to_string();
    assert!(error.contains("it has more than 64K"), "{error}");
    assert!(token(&["--admin-token="]).is_err());
}

#[test]
fn the_configuration_is_shown_under_the_names_of_the_flags_and_without_secrets() {
    let words = ["--admin-token=open-sesame", "--idle-timeout=90s", "--h2-stream-window=1M", "-grpc-addr="];
    let config = Config::from_args(&words).unwrap();
    let shown = serde_json::to_value(&config).unwrap();
    let typed: Vec<_> = {
        use clap::CommandFactory as _;
        let command = Args::command();
        command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
    };
    for flag in &typed {
        let elsewhere = ["port", "quiet", "admin-token", "admin-token-file", "access-log-sample"];
        let expected = !elsewhere.contains(&flag.as_str()) && !flag.starts_with("tls-");
        assert_eq!(shown.get(flag).is_some(), expected, "{flag}: {shown}");
    }
    let over_tls = Config::from_args(&["--tls-addr=:8443", "--tls-self-signed=ca.pem"]).unwrap();
    let over_tls = serde_json::to_value(&over_tls).unwrap();
    for flag in typed.iter().filter(|flag| flag.starts_with("tls-")) {
        assert!(over_tls.get(flag).is_some(), "{flag}: {over_tls}");
    }
    assert_eq!((&shown["idle-timeout"], &shown["grpc-addr"]), (&"1m 30s".into(), &serde_json::Value::Null));
    assert_eq!((&shown["log-level"], &shown["log-format"]), (&"info".into(), &"text".into()));
    assert_eq!((&shown["drain-delay"], &shown["h2-stream-window"]), (&"0s".into(), &(1 << 20).into()));
    for text in [shown.to_string(), format!("{config:?}")] {
        assert!(!text.contains("sesame"), "{text}");
    }
}

/// A flag with a number: the least and the greatest value that are accepted, those beside them, and how the help says
/// it. An empty text is where there is no value beside.
type Bounds = (&'static str, [&'static str; 2], [&'static str; 2], &'static str);

const NUMBERS: &[Bounds] = &[
    ("buffer-size", ["64", "4096"], ["63", "4097"], "(64 to 4096)"),
    ("instances", ["1", "64"], ["0", "65"], "(1 to 64)"),
    ("workers", ["1", "1024"], ["0", "1025"], "(1 to 1024)"),
    ("max-connections", ["1", "100000000"], ["0", "100000001"], "(1 to 100000000)"),
    ("max-streams", ["1", "2147483647"], ["0", "2147483648"], "(1 to 2147483647)"),
    ("memory-budget", ["1M", "1T"], ["1048575", "1099511627777"], "(1M to 1T)"),
    ("max-header-bytes", ["8K", "16M"], ["8191", "16777217"], "(8K to 16M)"),
    ("max-body-echo", ["0", "1G"], ["", "1073741825"], "(0 to 1G)"),
    ("grpc-max-message", ["1", "2G"], ["0", "2147483649"], "(1 to 2G)"),
    ("ws-max-message", ["1", "2G"], ["0", "2147483649"], "(1 to 2G)"),
    ("ws-max-frame", ["1", "2G"], ["0", "2147483649"], "(1 to 2G)"),
    ("access-log-sample", ["1", "4294967295"], ["0", "4294967296"], "(1 to 4294967295)"),
    ("h2-stream-window", ["1", "2147483647"], ["0", "2G"], "(1 to 2147483647)"),
    ("h2-connection-window", ["65535", "2147483647"], ["65534", "2G"], "(65535 to 2147483647)"),
    ("h2-max-frame-size", ["16K", "16777215"], ["16383", "16M"], "(16K to 16777215)"),
    ("h2-header-table-size", ["0", "4294967295"], ["", "4G"], "(0 to 4294967295)"),
];

#[test]
fn every_flag_with_a_number_takes_its_documented_ends_and_nothing_beyond() {
    use clap::CommandFactory as _;
    let command = Args::command();
    let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    assert!(after.contains("from 0 to 8760h"), "{after}");
    for arg in command.get_arguments() {
        let (Some(flag), Some([value])) = (arg.get_long(), arg.get_value_names()) else { continue };
        let bounds = match value.as_str() {
            "DURATION" => &(flag, ["0", "8760h"], ["-1ns", "31536001s"], ""),
            "COUNT" | "SIZE" | "KIB" => NUMBERS
                .iter()
                .find(|(known, ..)| *known == flag)
                .unwrap_or_else(|| panic!("--{flag} has no bounds in this test")),
            _ => continue,
        };
        let (_, accepted, beside, documented) = *bounds;
        let help = arg.get_long_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains(documented), "--{flag}: {help}");
        let read = |value: &str| Config::from_args(&[&format!("--{flag}={value}")]);
        for value in accepted {
            assert!(read(value).is_ok(), "--{flag}={value}");
        }
        let far = ["99999999999999999999", "9223372036854775807s", "-1", "NaN", "0x10", " 1"];
        // Seconds may be written like any decimal number.
        let exponent = Some("1e3").filter(|_| value.as_str() != "DURATION");
        for value in beside.into_iter().chain(far).chain(exponent).filter(|value| !value.is_empty()) {
            let error = read(value).expect_err(&format!("--{flag}={value}")).to_string();
            assert!(
                error.contains(&format!("invalid value '{value}' for --{flag}; accepted: a ")),
                "{error}"
            );
        }
    }
}
