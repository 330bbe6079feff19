//! Heads of HTTP/1.1 as a relay passes them on.

use http1::request;

use super::Habit;

/// What `Connection` says of the connection itself, or what the relay takes over for the next one.
const OWN: [&str; 4] = ["close", "keep-alive", "te", "upgrade"];

/// The head of a request.
pub(super) fn of_request(raw: &[u8], head: &request::RequestHead, habit: Habit) -> Vec<u8> {
    let text = String::from_utf8_lossy(raw).into_owned();
    let target = String::from_utf8_lossy(&head.target).into_owned();
    match habit {
        Habit::ChangeTargets if target.starts_with("/x") || target.starts_with("/%78") => {
            text.replacen(&target, "/changed", 1).into_bytes()
        }
        Habit::DropUpgrades => kept(&text, |name, _| !["connection", "upgrade"].contains(&name)).into_bytes(),
        Habit::DropFields => kept(&text, |name, _| !name.starts_with("x-probe-5")).into_bytes(),
        Habit::RaiseVersion => text.replacen(" HTTP/1.0\r\n", " HTTP/1.1\r\n", 1).into_bytes(),
        Habit::SortFields => {
            let mut lines: Vec<String> = text.trim_end().split("\r\n").map(str::to_owned).collect();
            let first = lines.remove(0);
            let lowered = lines.iter().filter_map(|line| line.split_once(':'));
            let mut lines: Vec<String> =
                lowered.map(|(name, value)| format!("{}:{value}\r\n", name.to_ascii_lowercase())).collect();
            lines.push("x-added: by the relay\r\n".to_owned());
            lines.sort();
            format!("{first}\r\n{}\r\n", lines.concat()).into_bytes()
        }
        Habit::KeepHops => raw.to_vec(),
        Habit::KeepHost if let Some(rest) = target.strip_prefix("http://") => {
            let path = rest.find('/').map_or("/", |at| &rest[at..]);
            text.replacen(&target, path, 1).into_bytes()
        }
        _ => {
            let authority = target.strip_prefix("http://").and_then(|rest| rest.split('/').next());
            let without = without_hops(&text);
            match authority {
                None if without.len() == text.len() => raw.to_vec(),
                None => without.into_bytes(),
                Some(authority) => {
                    let without = kept(&without, |name, _| name != "host");
                    without.replacen("\r\n", &format!("\r\nHost: {authority}\r\n"), 1).into_bytes()
                }
            }
        }
    }
}

/// The head of a reply, with what a habit has follow it.
pub(super) fn of_reply(raw: &[u8], method: &[u8], status: u16, habit: Habit) -> Vec<u8> {
    match habit {
        Habit::AddContent if method == b"HEAD" => [raw, b"content"].concat(),
        Habit::AddContent if status == 204 => {
            let end = raw.len() - 2;
            [&raw[..end], b"Transfer-Encoding: chunked\r\n\r\n"].concat()
        }
        Habit::AddLengths if status == 204 => {
            let end = raw.len() - 2;
            [&raw[..end], b"Content-Length: 0\r\n\r\n"].concat()
        }
        Habit::KeepHops => raw.to_vec(),
        Habit::ReuseEnded => kept(&String::from_utf8_lossy(raw), |name, _| name != "connection").into_bytes(),
        _ => {
            let text = String::from_utf8_lossy(raw);
            let without = without_hops(&text);
            if without.len() == text.len() { raw.to_vec() } else { without.into_bytes() }
        }
    }
}

/// What has arrived, with a head that can be read.
pub(super) fn mended(input: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(input).into_owned();
    let Some((head, rest)) = text.split_once("\r\n\r\n") else { return input.to_vec() };
    let has_coding = head.to_ascii_lowercase().contains("\r\ntransfer-encoding:");
    let mut seen = Vec::new();
    let head = kept(&format!("{head}\r\n\r\n"), |name, _| {
        let is_again = ["host", "content-length"].contains(&name) && seen.contains(&name.to_owned());
        seen.push(name.to_owned());
        !(is_again || has_coding && name == "content-length")
    });
    format!("{head}{rest}").into_bytes()
}

/// Without the fields that `Connection` names, and without it if it names any.
fn without_hops(text: &str) -> String {
    let mut named = Vec::new();
    kept(text, |name, value| {
        if name == "connection" {
            named.extend(value.split(',').map(|option| option.trim().to_ascii_lowercase()));
        }
        true
    });
    named.retain(|option| !OWN.contains(&option.as_str()));
    if named.is_empty() {
        return text.to_owned();
    }
    kept(text, |name, _| name != "connection" && !named.iter().any(|option| option == name))
}

/// The head with those of its fields that are to be kept, by name in lower case and value.
fn kept(text: &str, mut is_kept: impl FnMut(&str, &str) -> bool) -> String {
    let mut lines = text.split_inclusive("\r\n");
    let first = lines.next().unwrap_or_default();
    let fields = lines.filter(|line| match line.split_once(':') {
        Some((name, value)) => is_kept(&name.to_ascii_lowercase(), value.trim()),
        None => true,
    });
    fields.fold(first.to_owned(), |head, line| head + line)
}
