//! From the host that connections go to to its addresses, before the run and, on request, every so often during it.
//!
//! Nothing here opens a connection.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6, ToSocketAddrs as _},
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use command_line::Refusal;
use contract::quantity;
use transport::Address;

use runtime::mutex::lock;

use crate::plan::{Endpoint, RouteOverride, Site, Target};

/// Where connections go; what is found later takes the place of what was found before.
#[derive(Clone, Debug)]
pub(crate) struct Addresses(Arc<Mutex<Arc<[Address]>>>);

impl Addresses {
    /// Those that are known now. Asked for once for each connection.
    pub(crate) fn get(&self) -> Arc<[Address]> {
        Arc::clone(&lock(&self.0))
    }

    fn set(&self, found: Arc<[Address]>) {
        *lock(&self.0) = found;
    }

    /// Looks up where connections to a server go.
    ///
    /// # Errors
    /// The name can't be found, or has no address of a family that connections may come from.
    pub(crate) fn of(site: &Site) -> anyhow::Result<Self> {
        Ok(find(site)?.into())
    }

    /// Whether that is a name that only the system knows.
    pub(crate) fn are_looked_up(site: &Site) -> bool {
        let route = site.route();
        let is_known = |endpoint: &Endpoint| {
            let is_given = route.resolved.iter().any(|known| known.is_of(endpoint));
            is_given || endpoint.host.parse::<IpAddr>().is_ok()
        };
        route.endpoint(site.target()).is_some_and(|endpoint| !is_known(&endpoint))
    }

    /// Looks it up again every so often, on its own thread, until what is returned is dropped. What can't be found stays
    /// as it is.
    ///
    /// # Errors
    /// There can be no more threads.
    pub(crate) fn keep_up(&self, site: &Site) -> anyhow::Result<Option<mpsc::SyncSender<()>>> {
        let Some(every) = site.route().resolve_every else { return Ok(None) };
        let site = site.clone();
        self.keep_up_with(every, move || find(&site)).map(Some)
    }

    fn keep_up_with(
        &self,
        every: Duration,
        mut find: impl FnMut() -> anyhow::Result<Arc<[Address]>> + Send + 'static,
    ) -> anyhow::Result<mpsc::SyncSender<()>> {
        let (sender, ended) = mpsc::sync_channel(1);
        let addresses = self.clone();
        let keep_up = move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                if let Ok(found) = find() {
                    addresses.set(found);
                }
            }
        };
        let thread = thread::Builder::new().name("loadgen-resolve".to_owned()).spawn(keep_up);
        thread.context("can't start the thread that looks up names")?;
        Ok(sender)
    }
}

impl From<Arc<[Address]>> for Addresses {
    fn from(found: Arc<[Address]>) -> Self {
        Self(Arc::new(Mutex::new(found)))
    }
}

fn find(site: &Site) -> anyhow::Result<Arc<[Address]>> {
    let (target, route) = (site.target(), site.route());
    let Some(endpoint) = route.endpoint(target) else {
        let Some(RouteOverride::Unix(path)) = &route.instead else { unreachable!("there is an endpoint") };
        return Ok([Address::Unix(path.clone())].into());
    };
    let known = route.resolved.iter().find(|known| known.is_of(&endpoint));
    let found = match known {
        Some(known) => known.addresses.iter().map(|ip| SocketAddr::new(*ip, endpoint.port)).collect(),
        None => look_up(&endpoint, target)?,
    };
    let is_reached = |address: &SocketAddr| {
        route.sources.is_empty() || route.sources.iter().any(|source| source.is_ipv4() == address.is_ipv4())
    };
    let reached: Arc<[Address]> = found.iter().copied().filter(is_reached).map(Address::Tcp).collect();
    if reached.is_empty() {
        let family = if route.sources.iter().any(IpAddr::is_ipv4) { "IPv4" } else { "IPv6" };
        let shown = format!("can't connect to '{}' from the addresses of --bind", endpoint.host);
        let accepted = "addresses of the family of the host's addresses";
        return Err(Refusal::new(shown, accepted, "--bind=127.0.0.2-127.0.0.9")
            .because(format!("it has no {family} address"))
            .into());
    }
    Ok(reached)
}

fn look_up(endpoint: &Endpoint, target: &Target) -> anyhow::Result<Vec<SocketAddr>> {
    let Endpoint { host, zone, port } = endpoint;
    if let (Some(zone), Ok(address)) = (zone, host.parse()) {
        let scope = interface(zone).map_err(|error| {
            let shown = format!("can't find interface '{zone}' of {target}");
            let accepted = "an interface of this machine, by name or number";
            Refusal::new(shown, accepted, "[fe80::1%eth0]:8080").because(error.to_string())
        })?;
        return Ok(vec![SocketAddrV6::new(address, *port, 0, scope).into()]);
    }
    let unknown = || {
        let shown = format!("can't find host '{host}'");
        Refusal::new(shown, "an address, or a name that this machine can resolve", "localhost:8080")
    };
    let found: Vec<SocketAddr> = (host.as_str(), *port)
        .to_socket_addrs()
        .map_err(|error| unknown().because(error.to_string()))?
        .collect();
    if found.is_empty() { Err(unknown().because("it has no address").into()) } else { Ok(found) }
}

/// The number of a network interface.
fn interface(zone: &str) -> io::Result<u32> {
    if let Some(number) = quantity::count(zone) {
        return u32::try_from(number).map_err(|_| io::ErrorKind::NotFound.into());
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with};
        // Any socket will do to ask the kernel.
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(name_to_index(socket, zone)?)
    }
    #[cfg(not(target_os = "linux"))]
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_looked_up_again_and_stay_where_they_cannot_be_found() {
        let at = |last: u8| -> Arc<[Address]> { [Address::Tcp(([127, 0, 0, last], 80).into())].into() };
        let addresses = Addresses::from(at(1));
        // Those that connections of a run hold are the same.
        let of_run = addresses.clone();
        let (asked, questions) = mpsc::sync_channel(1);
        let (answers, answered) = mpsc::sync_channel::<Option<Arc<[Address]>>>(1);
        let find = move || {
            asked.send(())?;
            answered.recv()?.context("the name server is down")
        };
        let going = addresses.keep_up_with(Duration::from_millis(1), find).unwrap();
        for (answer, known) in
            [(Some(at(2)), at(1)), (None, at(2)), (Some(at(3)), at(2)), (Some(at(3)), at(3)), (None, at(3))]
        {
            questions.recv().unwrap();
            assert_eq!(of_run.get(), known);
            answers.send(answer).unwrap();
        }
        // The questions end with the run.
        drop((going, answers));
        while questions.recv().is_ok() {}
    }
}
