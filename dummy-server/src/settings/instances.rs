//! The servers of one process: what each is called, and which ports and workers are its own.

use std::num::NonZeroUsize;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use transport::Address;

use super::Config;

/// Where the second server and those after it listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstancePorts {
    /// Each on the ports after those of the one before it; for port 0 each on one that the system chooses.
    Row,
    /// All on the ports of the first; the system spreads connections over them.
    Shared,
}

/// The servers of one process: one at least, each with a name.
#[derive(Clone, Debug)]
pub struct Instances {
    /// What they are called, in the order of their ports.
    pub(crate) names: Vec<String>,
    /// Where they listen.
    pub(crate) ports: InstancePorts,
}

impl Instances {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Whether there are more than one.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.count() > 1
    }

    /// Where the server of this index listens, when the first one listens on `first`.
    fn address(&self, first: &Address, index: usize) -> Address {
        match first {
            Address::Tcp(address) if self.ports == InstancePorts::Row && address.port() != 0 => {
                let mut own = *address;
                // Reading the flags has made sure that there are enough ports.
                own.set_port(address.port().saturating_add(index as u16));
                Address::Tcp(own)
            }
            other => other.clone(),
        }
    }
}

/// Under the names of the flags.
impl Serialize for Instances {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(3))?;
        map.serialize_entry("instances", &self.count())?;
        map.serialize_entry("instance-names", &self.names)?;
        map.serialize_entry("instance-ports", &self.ports)?;
        map.end()
    }
}

impl Config {
    /// The flags of addresses and where they say that a server listens, in the order in which that is done.
    pub(crate) fn addresses(&self) -> [(&'static str, Option<&Address>); 5] {
        [
            ("addr", Some(&self.addr)),
            ("grpc-addr", self.grpc_addr.as_ref()),
            ("tls-addr", self.tls.as_ref().map(|tls| &tls.addr)),
            ("admin-addr", self.admin_addr.as_ref()),
            ("pprof-addr", self.pprof_addr.as_ref()),
        ]
    }

    /// The configuration of the server of this index, as if it were alone.
    pub(crate) fn of_instance(&self, index: usize) -> Self {
        let all = &self.instances;
        let mut own = self.clone();
        let Some(name) = all.names.get(index).filter(|_| all.are_several()) else { return own };
        own.instance.clone_from(name);
        own.instances.names = vec![name.clone()];
        own.workers = part(self.workers, index, all.count());
        own.addr = all.address(&self.addr, index);
        own.grpc_addr = self.grpc_addr.as_ref().map(|first| all.address(first, index));
        if let Some(tls) = &mut own.tls {
            tls.addr = all.address(&tls.addr, index);
        }
        own
    }
}

/// One of `count` parts of the workers, each as large as the others or one larger, and one at least.
fn part(workers: NonZeroUsize, index: usize, count: usize) -> NonZeroUsize {
    let (each, rest) = (workers.get() / count, workers.get() % count);
    NonZeroUsize::new(each + usize::from(index < rest)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(words: &[&str]) -> Config {
        Config::from_args(words).unwrap()
    }

    #[test]
    fn one_server_has_the_configuration_as_it_is() {
        let config = config(&["--workers=5", "--instance=a"]);
        let own = config.of_instance(0);
        assert_eq!(format!("{own:?}"), format!("{config:?}"));
    }

    #[test]
    fn each_of_several_has_a_name_and_ports_after_those_of_the_one_before() {
        let tls = ["--tls-addr=:8443", "--tls-self-signed=ca.pem"];
        let config =
            config(&[&tls[..], &["--instances=3", "--instance=a", "--addr=:8080", "--workers=4"]].concat());
        for (index, (name, port, grpc, tls, workers)) in [
            ("a-1", "[::]:8080", "[::]:50051", "[::]:8443", 2),
            ("a-2", "[::]:8081", "[::]:50052", "[::]:8444", 1),
            ("a-3", "[::]:8082", "[::]:50053", "[::]:8445", 1),
        ]
        .into_iter()
        .enumerate()
        {
            let own = config.of_instance(index);
            assert_eq!((own.instance.as_str(), own.addr.to_string().as_str()), (name, port));
            assert_eq!(own.grpc_addr.unwrap().to_string(), grpc);
            assert_eq!(own.tls.unwrap().addr.to_string(), tls);
            assert_eq!(own.workers.get(), workers);
        }
    }

    #[test]
    fn all_share_a_port_when_asked_to_and_port_0_is_of_each_its_own() {
        let shared = config(&["--instances=2", "--instance-ports=shared"]);
        assert_eq!(shared.of_instance(1).addr.to_string(), "[::]:8080");
        let free = config(&["--instances=2", "--addr=127.0.0.1:0"]);
        assert_eq!(free.of_instance(1).addr.to_string(), "127.0.0.1:0");
    }

    #[test]
    fn workers_are_divided_and_each_server_has_one() {
        let parts = |workers, count| {
            let workers = NonZeroUsize::new(workers).unwrap();
            (0..count).map(|index| part(workers, index, count).get()).collect::<Vec<_>>()
        };
        assert_eq!((parts(8, 3), parts(2, 4), parts(1024, 1)), (vec![3, 3, 2], vec![1; 4], vec![1024]));
        assert_eq!(parts(1024, 64), [16; 64]);
    }
}
