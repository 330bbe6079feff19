//! Values as they are typed: each is read, or refused with what is accepted.

use std::{io, ops::RangeInclusive, time::Duration};

use command_line::Refusal;
use contract::quantity::{self, LONGEST_TIME};
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
    let accepted = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
    fitting(quantity::count_within(text, bounds)).ok_or_else(|| refused(flag, text, accepted()))
}

pub(super) fn size<T: TryFrom<u64>>(
    flag: &'static str,
    text: &str,
    bounds: &RangeInclusive<u64>,
) -> Result<T, ConfigError> {
    let (least, most) = (bounds.start(), bounds.end());
    let accepted = || format!("a size from {least} to {most} bytes, such as 4096, 64K or 10M");
    fitting(quantity::size_within(text, bounds)).ok_or_else(|| refused(flag, text, accepted()))
}

fn fitting<T: TryFrom<u64>>(number: Option<u64>) -> Option<T> {
    number.and_then(|number| T::try_from(number).ok())
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
    let typed = args.access_log.as_deref().unwrap_or(if quiet { "off" } else { "text" });
    let formats = [("json", Some(Format::Json)), ("text", Some(Format::Text)), ("off", None)];
    Ok(one_of("access-log", typed, &formats)?.map(|format| AccessLog { format, one_in }))
}

/// One of some words, and what it stands for.
pub(super) fn one_of<T: Copy>(
    flag: &'static str,
    text: &str,
    words: &[(&'static str, T)],
) -> Result<T, ConfigError> {
    let known = words.iter().find(|(word, _)| *word == text);
    known.map(|(_, meant)| *meant).ok_or_else(|| {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        refused(flag, text, command_line::either(&names))
    })
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
    let Some(name) = typed.filter(|name| !name.is_empty()) else {
        return Ok(visible(&runtime::host::name().unwrap_or_else(|| "localhost".to_owned())));
    };
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
