//! The flags of several servers in one process: how many, their names, and whether there are ports for all.

use std::{collections::HashSet, ops::RangeInclusive};

use transport::Address;

use super::{
    ConfigError,
    typed::{because, instance, number, one_of, refused},
};
use crate::{
    args::Args,
    settings::{Config, InstancePorts, Instances},
};

/// Servers in one process.
const COUNT: RangeInclusive<u64> = 1..=64;
const LONGEST_NAME: usize = 256;
const NAMES: &str =
    "1 to 64 different names of letters, digits, dots, hyphens and underscores, with commas between";

/// What is common to the names, which is the name of the only server; and the servers.
pub(super) fn parse(args: &Args) -> Result<(String, Instances), ConfigError> {
    let ports = [("row", InstancePorts::Row), ("shared", InstancePorts::Shared)];
    let ports = one_of("instance-ports", &args.instance_ports, &ports)?;
    let common = instance(args.instance.as_ref())?;
    let count: Option<usize> =
        args.instances.as_ref().map(|text| number("instances", text, &COUNT)).transpose()?;
    let names = if args.instance_names.is_empty() {
        numbered(&common, count.unwrap_or(1), args.instance.is_some())?
    } else {
        let names = listed(&args.instance_names)?;
        if let Some(count) = count.filter(|count| *count != names.len()) {
            return Err(because(
                refused("instance-names", &args.instance_names, format!("{count} names, or no --instances")),
                format!("--instances={count} needs as many names"),
            ));
        }
        names
    };
    let only = names.first().filter(|_| names.len() == 1).cloned();
    Ok((only.unwrap_or(common), Instances { names, ports }))
}

/// A name and a number for each of several.
fn numbered(common: &str, count: usize, is_typed: bool) -> Result<Vec<String>, ConfigError> {
    if count == 1 {
        return Ok(vec![common.to_owned()]);
    }
    // What the machine is called is made to fit.
    let common = if is_typed { common.to_owned() } else { common.replace(|c| !is_of_name(c), "-") };
    let names: Vec<_> = (1..=count).map(|number| format!("{common}-{number}")).collect();
    if names.iter().all(|name| is_name(name)) {
        return Ok(names);
    }
    let accepted = "with several servers, 1 to 250 letters, digits, dots, hyphens and underscores";
    Err(refused("instance", &common, accepted))
}

fn listed(text: &str) -> Result<Vec<String>, ConfigError> {
    let names: Vec<_> = text.split(',').map(str::to_owned).collect();
    let different = names.iter().collect::<HashSet<_>>().len() == names.len();
    let is_many = names.len() as u64 > *COUNT.end();
    if different && !is_many && names.iter().all(|name| is_name(name)) {
        return Ok(names);
    }
    Err(refused("instance-names", text, NAMES))
}

/// What may stand in the path of a request and in a certificate as it is.
fn is_name(name: &str) -> bool {
    // Those two are steps in a path.
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_of_name) && !matches!(name, "." | "..")
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// Refuses addresses from which on there are not enough ports, and those whose rows meet. `moved` says that there is a `--port`.
pub(super) fn check_ports(config: &Config, moved: bool) -> Result<(), ConfigError> {
    let instances = &config.instances;
    if !instances.are_several() {
        return Ok(());
    }
    let count = instances.count();
    let steps = if instances.ports == InstancePorts::Row { count - 1 } else { 0 };
    let mut rows: Vec<Row> = Vec::new();
    for (flag, address) in config.addresses() {
        let Some(address) = address else { continue };
        rows.extend(match flag {
            "admin-addr" | "pprof-addr" => Row::of(flag, address, 0, 1)?,
            "addr" if moved && config.moved_by_port.contains(&flag) => {
                Row::of("port", address, steps, count)?
            }
            _ => Row::of(flag, address, steps, count)?,
        });
    }
    if steps == 0 {
        // The same address for two purposes is refused when it is bound, as with one server.
        return Ok(());
    }
    for (index, row) in rows.iter().enumerate() {
        if let Some(other) = rows[..index].iter().find(|other| other.meets(row)) {
            let accepted = format!(
                "--addr, --grpc-addr, --tls-addr and others {count} ports apart, or --instance-ports=shared"
            );
            let reason = format!("{other} and {row} overlap");
            return Err(because(refused(row.flag, &row.address.to_string(), accepted), reason));
        }
    }
    Ok(())
}

/// The ports that an address stands for.
struct Row {
    flag: &'static str,
    address: std::net::SocketAddr,
    last: u16,
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address.port() {
            first if first == self.last => write!(f, "port {first} of --{}", self.flag),
            first => write!(f, "ports {first} to {} of --{}", self.last, self.flag),
        }
    }
}

impl Row {
    /// None for a port that the system chooses.
    fn of(
        flag: &'static str,
        address: &Address,
        steps: usize,
        count: usize,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(tcp) = address.tcp() else {
            let accepted = format!("ip:port, [ip6]:port, name:port or :port with {count} servers");
            return if count > 1 { Err(refused(flag, &address.to_string(), accepted)) } else { Ok(None) };
        };
        if tcp.port() == 0 {
            return Ok(None);
        }
        // At most 63.
        match tcp.port().checked_add(steps as u16) {
            Some(last) => Ok(Some(Self { flag, address: tcp, last })),
            None => {
                let value = if flag == "port" { tcp.port().to_string() } else { address.to_string() };
                let accepted =
                    format!("a port from 1 to {}, or 0 for free ones", usize::from(u16::MAX) - steps);
                let last = usize::from(tcp.port()) + steps;
                let reason = format!("{count} servers in a row need ports up to {last}");
                Err(because(refused(flag, &value, accepted), reason))
            }
        }
    }

    fn meets(&self, other: &Self) -> bool {
        let (one, two) = (self.address.ip(), other.address.ip());
        let same_place = one == two || one.is_unspecified() || two.is_unspecified();
        same_place && self.address.port() <= other.last && other.address.port() <= self.last
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Config;

    fn names(words: &[&str]) -> Vec<String> {
        Config::from_args(words).unwrap().instances.names
    }

    fn refused(words: &[&str]) -> String {
        Config::from_args(words).unwrap_err().to_string()
    }

    #[test]
    fn names_are_numbered_or_listed() {
        assert_eq!(names(&["--instances=2", "--instance=a"]), ["a-1", "a-2"]);
        assert_eq!(names(&["--instance-names=a,b.c,d_e"]), ["a", "b.c", "d_e"]);
        assert_eq!(names(&["--instances=2", "--instance-names=a,b"]), ["a", "b"]);
        let config = Config::from_args(&["--instance-names=only"]).unwrap();
        assert_eq!((config.instance.as_str(), config.instances.count()), ("only", 1));
        // One server alone may be called what it likes.
        assert_eq!(names(&["--instance=a/b"]), ["a/b"]);
        assert_eq!(names(&["--instances=64"]).len(), 64);
        let longest = "x".repeat(253);
        assert_eq!(names(&["--instances=64", &format!("--instance={longest}")])[63].len(), 256);
    }

    #[test]
    fn names_that_cannot_be_part_of_a_path_or_are_the_same_are_refused() {
        let many: Vec<_> = (0..65).map(|number| number.to_string()).collect();
        for list in ["a,a", "a,", ",", "a/b,c", "a,b c", "..,a", "ä,b", &many.join(","), &"x".repeat(257)] {
            let said = refused(&[&format!("--instance-names={list}")]);
            assert!(said.contains("for --instance-names; accepted: 1 to 64 different names"), "{said}");
        }
        let said = refused(&["--instances=3", "--instance-names=a,b"]);
        assert!(said.contains("--instances=3 needs as many names; accepted: 3 names"), "{said}");
        let said = refused(&["--instances=2", "--instance=a/b"]);
        assert!(said.contains("'a/b' for --instance; accepted: with several servers"), "{said}");
        let said = refused(&["--instance-ports=many"]);
        assert!(said.contains("'many' for --instance-ports; accepted: row or shared; example: "), "{said}");
    }

    #[test]
    fn there_are_ports_for_all() {
        for (words, said) in [
            (
                ["--instances=2", "--addr=127.0.0.1:65535"],
                "'127.0.0.1:65535' for --addr: 2 servers in a row need ports up to 65536; accepted: \
                 a port from 1 to 65534, or 0 for free ones; example: --addr=:8080",
            ),
            (["--instances=64", "--port=65473"], "'65473' for --port: 64 servers in a row need"),
            (["--instances=2", "--grpc-addr=:65535"], "for --grpc-addr: 2 servers"),
            (["--instances=2", "--addr=unix:/tmp/x"], "'unix:/tmp/x' for --addr; accepted: ip:port"),
            (
                ["--instances=4", "--grpc-addr=:8083"],
                "'[::]:8083' for --grpc-addr: ports 8080 to 8083 of --addr and ports 8083 to 8086 of --grpc-addr \
                 overlap; accepted: ",
            ),
            (["--instances=2", "--addr=:9090"], "ports 9090 to 9091 of --addr and port 9091 of --admin-addr"),
        ] {
            let error = refused(&words);
            assert!(error.contains(said), "{error}");
        }
        for words in [
            &["--instances=64", "--port=65472"][..],
            &["--instances=2", "--addr=127.0.0.2:9090"],
            &["--instances=2", "--addr=:65535", "--instance-ports=shared"],
            &["--instances=1", "--addr=unix:/tmp/x"],
            &["--instances=64", "--addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0"],
        ] {
            let read = Config::from_args(words);
            assert!(read.is_ok(), "{words:?}: {:?}", read.err());
        }
    }
}
