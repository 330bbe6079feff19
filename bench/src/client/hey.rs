//! hey, over HTTP/1.1.

use super::{Client, Outcome, milliseconds, url, words};
use crate::{
    certificate::NAME,
    load::{Load, Protocol},
    tools::Tool,
};

/// The program.
pub(crate) const PROGRAM: Tool = Tool::Client("hey", None);

/// hey.
#[derive(Debug)]
pub struct Hey;

impl Client for Hey {
    fn tool(&self) -> Option<Tool> {
        Some(PROGRAM)
    }

    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        let mut list = words(["-cpus", "1", "-c", &load.connections.to_string()]);
        list.extend(match load.rate.zip(load.total()) {
            // Its rate is that of one connection.
            Some((rate, total)) => {
                words(["-q", &(rate / load.connections).to_string(), "-n", &total.to_string()])
            }
            None => words(["-z", &milliseconds(load)]),
        });
        if load.protocol == Protocol::Tls {
            // It would ask for a server of the name 127.0.0.1:PORT.
            list.extend(words(["-host", NAME]));
        }
        list.push(url(load, port));
        list
    }

    /// "Total: 1.0 secs", "Requests/sec: 10.0", lists of `[200] 10 responses` and `[3] some error`.
    fn read(&self, printed: &str) -> Option<Outcome> {
        let after = |start| printed.lines().find_map(|line: &str| line.trim().strip_prefix(start));
        let seconds: f64 = after("Total:")?.split_whitespace().next()?.parse().ok()?;
        // The list of statuses stops counting at a million; the rate does not.
        let rate: f64 = after("Requests/sec:")?.trim().parse().ok()?;
        let statuses = printed.split_once("Status code distribution:")?.1;
        let (statuses, failures) = statuses.split_once("Error distribution:").unwrap_or((statuses, ""));
        let refused: u64 =
            listed(statuses).filter(|(status, _)| !(200..300).contains(status)).filter_map(|(_, n)| n).sum();
        let failed: u64 = listed(failures).map(|(count, _)| count).sum();
        Some(Outcome::closed((seconds * rate).round() as u64 - failed, refused + failed, seconds))
    }
}

/// The numbers of lines like "[200] 10 responses": the one in brackets, and the one after it.
fn listed(text: &str) -> impl Iterator<Item = (u64, Option<u64>)> {
    text.lines().filter_map(|line| {
        let (bracketed, rest) = line.trim().strip_prefix('[')?.split_once(']')?;
        Some((bracketed.parse().ok()?, rest.split_whitespace().next().and_then(|word| word.parse().ok())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_parsed_with_and_without_errors() {
        let clean = "\nSummary:\n  Total:\t2.0000 secs\n  Requests/sec:\t500.0000\n\n\
            Status code distribution:\n  [200]\t1000 responses\n\n";
        assert_eq!(Hey.read(clean), Some(Outcome::closed(1000, 0, 2.0)));
        let bad = "  Total:\t2.0000 secs\n  Requests/sec:\t500.0\n\nStatus code distribution:\n\
            \x20 [200]\t990 responses\n  [500]\t7 responses\n\nError distribution:\n  [3]\tGet \"http://[::1]:9\": refused\n";
        assert_eq!(Hey.read(bad), Some(Outcome::closed(997, 10, 2.0)));
    }
}
