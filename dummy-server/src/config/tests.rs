//! What flags and variables are accepted, and how what is not is refused.

use std::num::NonZeroU64;

use super::*;
use crate::Format;

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = Config::from_args(&[]).unwrap();
    assert_eq!(config.addr.to_string(), "0.0.0.0:8080");
    assert_eq!(config.grpc_addr.unwrap().to_string(), "[::]:50051");
    assert_eq!(config.admin_addr.unwrap().to_string(), "127.0.0.1:9091");
    assert_eq!((config.buffer_size, config.access_log), (256 << 10, None));
    assert_eq!(config.http2, Http2::default());
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
        (["--buffer-size", "63"], "'63' for --buffer-size: write a whole number from 64 to 4096"),
        (["--buffer-size", "4097"], "from 64 to 4096"),
        (["--addr", "nonsense"], "'nonsense' for --addr: write ip:port"),
        (["--idle-timeout", "soon"], "for --idle-timeout: write a duration such as 500ms"),
        (["--workers", "0"], "for --workers: write a whole number from 1 to 1024"),
        (["--max-header-bytes", "1"], "for --max-header-bytes: write a size such as"),
        (["--instance", "a b"], "for --instance: write 1 to 256 visible"),
        (["--proxy-protocol", "on"], "'on' for --proxy-protocol: write off, optional or required"),
        (["--log-level", "loud"], "'loud' for --log-level: write error, warn, info, debug or trace"),
        (["--log-level", "3"], "'3' for --log-level: write error"),
        (["--log-format", "xml"], "'xml' for --log-format: write text or json"),
        (["--quiet=maybe", "--pin-cpus"], "'maybe' for --quiet: write true or false"),
        (["--access-log", "xml"], "'xml' for --access-log: write json, text or off"),
        (["--access-log-sample", "0"], "for --access-log-sample: write a whole number from 1"),
        (
            ["--h2-stream-window", "0"],
            "for --h2-stream-window: write a size such as 4096, 64K or 10M, from 1 to",
        ),
        (["--h2-stream-window", "2G"], "from 1 to 2147483647 bytes"),
        (["--h2-connection-window", "63k"], "from 65535 to 2147483647 bytes"),
        (["--h2-max-frame-size", "16383"], "from 16384 to 16777215 bytes"),
        (["--h2-max-frame-size", "16M"], "from 16384 to 16777215 bytes"),
        (["--h2-header-table-size", "4G"], "from 0 to 4294967295 bytes"),
        (["--admin-token", "secret!"], "'***' for --admin-token: write 8 to 1024 visible"),
        (["--admin-token", "with spaces"], "'***' for --admin-token: write 8 to 1024 visible"),
        (["--admin-token-file", "/no/such/file"], "'/no/such/file' for --admin-token-file: can't read it"),
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
    assert!(error.contains("give one of them") && !error.contains("open-sesame"), "{error}");
    std::fs::write(&path, "\n").unwrap();
    assert!(token(&[&flag]).is_err());
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
