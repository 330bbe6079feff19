//! Values as they are typed: each is read, or refused with what is accepted.

use std::{
    io,
    num::{NonZeroU64, NonZeroUsize},
    ops::RangeInclusive,
    time::Duration,
};

use command_line::Refusal;
use contract::quantity::{self, LONGEST_TIME};
use tracing::Level;
use transport::Address;

use super::ConfigError;
use crate::{
    args::{Args, example},
    behaviour::Behaviour,
    boolean,
    secret::Secret,
    settings::{AccessLog, Format, PushUrl},
};

const DURATION: &str = "a duration from 0 to 8760h, such as 500ms, 10s or 1m30s, or a number of seconds";

pub(super) fn refused(flag: &'static str, value: &str, accepted: impl Into<String>) -> ConfigError {
    ConfigError(Refusal::of_value(flag, value, accepted, example(flag)))
}

pub(super) fn because(ConfigError(refusal): ConfigError, reason: String) -> ConfigError {
    ConfigError(refusal.because(reason))
}

/// What a port may be served on.
pub(super) const ADDRESS: &str = "ip:port, [ip6]:port, name:port, :port for all interfaces, or unix:/path";

pub(super) fn address(flag: &'static str, text: &str) -> Result<Address, ConfigError> {
    text.parse().map_err(|_| refused(flag, text, ADDRESS))
}

pub(super) fn optional_address(flag: &'static str, text: &str) -> Result<Option<Address>, ConfigError> {
    if text.is_empty() { Ok(None) } else { address(flag, text).map(Some) }
}

pub(super) fn ledger_push(text: &str) -> Result<Option<PushUrl>, ConfigError> {
    let accepted = "http://host:port, with a path if there is one; empty posts nothing";
    let read = || PushUrl::read(text).ok_or_else(|| refused("ledger-push", text, accepted));
    (!text.is_empty()).then(read).transpose()
}

pub(super) fn number<T: TryFrom<u64>>(
    flag: &'static str,
    text: &str,
    bounds: &RangeInclusive<u64>,
) -> Result<T, ConfigError> {
    quantity::count_within(text, bounds).and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        refused(flag, text, format!("a whole number from {} to {}", bounds.start(), bounds.end()))
    })
}

pub(super) fn workers(text: &str) -> Result<NonZeroUsize, ConfigError> {
    let count: usize = number("workers", text, &(1..=1024))?;
    Ok(NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN))
}

pub(super) fn size<T: TryFrom<u64>>(
    flag: &'static str,
    text: &str,
    bounds: &RangeInclusive<u64>,
) -> Result<T, ConfigError> {
    quantity::size_within(text, bounds).and_then(|size| T::try_from(size).ok()).ok_or_else(|| {
        refused(
            flag,
            text,
            format!("a size from {} to {} bytes, such as 4096, 64K or 10M", bounds.start(), bounds.end()),
        )
    })
}

pub(super) fn duration(flag: &'static str, text: &str) -> Result<Duration, ConfigError> {
    quantity::duration_or_seconds(text, LONGEST_TIME).ok_or_else(|| refused(flag, text, DURATION))
}

pub(super) fn unless_zero(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

pub(super) fn switch(flag: &'static str, text: &str) -> Result<bool, ConfigError> {
    boolean::read(text).ok_or_else(|| refused(flag, text, boolean::ACCEPTED))
}

pub(super) fn behaviour(typed: &str) -> Result<String, ConfigError> {
    match Behaviour::parse(typed) {
        Ok(behaviour) => Ok(behaviour.to_string()),
        Err(bad) => Err(because(refused("behaviour", typed, bad.accepted), bad.error)),
    }
}

/// `--quiet` is the flag of the Go server of the same purpose.
pub(super) fn access_log(args: &Args) -> Result<Option<AccessLog>, ConfigError> {
    let quiet = switch("quiet", &args.quiet)?;
    let one_in = number("access-log-sample", &args.access_log_sample, &(1..=u64::from(u32::MAX)))?;
    let one_in = NonZeroU64::new(one_in).unwrap_or(NonZeroU64::MIN);
    let format = match args.access_log.as_deref() {
        None if quiet => return Ok(None),
        Some("off") => return Ok(None),
        None | Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some(other) => return Err(refused("access-log", other, "json, text or off")),
    };
    Ok(Some(AccessLog { format, one_in }))
}

pub(super) fn log_level(text: &str) -> Result<Level, ConfigError> {
    let levels = ["error", "warn", "info", "debug", "trace"];
    let known = levels.contains(&text).then(|| text.parse().ok()).flatten();
    known.ok_or_else(|| refused("log-level", text, "error, warn, info, debug or trace"))
}

pub(super) fn log_format(text: &str) -> Result<Format, ConfigError> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(refused("log-format", text, "text or json")),
    }
}

/// The largest file of a token, in bytes.
const MAX_TOKEN_FILE: u64 = 64 << 10;

/// A token comes from one place, and it is not repeated in a complaint.
pub(super) fn admin_token(typed: Option<Secret>, file: &str) -> Result<Option<Secret>, ConfigError> {
    let (flag, shown, token) = match (typed, file) {
        (None, "") => return Ok(None),
        (Some(token), "") => ("admin-token", "***", token),
        (Some(_), path) => {
            return Err(refused("admin-token-file", path, "either this or --admin-token"));
        }
        (None, path) => {
            let unread = |error: io::Error| {
                let refusal = refused("admin-token-file", path, "the path of a readable file");
                because(refusal, error.to_string())
            };
            let text = runtime::files::read(path.as_ref(), MAX_TOKEN_FILE).map_err(unread)?;
            let text = String::from_utf8(text).map_err(|_| unread(io::ErrorKind::InvalidData.into()))?;
            ("admin-token-file", path, Secret::from(text.trim_end().to_owned()))
        }
    };
    let form = "8 to 1024 visible ASCII characters without spaces";
    if token.is_token() { Ok(Some(token)) } else { Err(refused(flag, shown, form)) }
}

pub(super) fn instance(typed: Option<&String>) -> Result<String, ConfigError> {
    let Some(name) = typed.filter(|name| !name.is_empty()) else { return Ok(visible(&host_name())) };
    if name.len() <= 256 && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(name.clone())
    } else {
        Err(refused("instance", name, "1 to 256 visible ASCII characters without spaces"))
    }
}

/// A name as a field may carry it.
fn visible(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).collect()
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "localhost".to_owned())
}
