//! Listening sockets: SO_REUSEPORT, Fast Open, backlog.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{Address, fast_open};

/// How long the queues of a listening socket may get.
pub const BACKLOG: i32 = 4096;

/// What a listening socket is opened with.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListenOptions {
    /// Several sockets, here or in other processes of the same user, may listen on the port
    /// (`SO_REUSEPORT`); the kernel spreads connections over them. Ignored where the system has no such thing.
    pub share_port: bool,
}

/// A listening socket that does not block.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix domain socket.
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

impl Listener {
    /// Binds and listens. `[::]` takes IPv4 connections too; on a system without IPv6 it means `0.0.0.0`.
    /// The file of a Unix socket that no process listens on any more is replaced.
    ///
    /// # Errors
    /// The address is in use, not of this machine, or not allowed; `AlreadyExists` when something that is not a socket
    /// has the path.
    pub fn bind(address: &Address, options: ListenOptions) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => both_families(*address, |address| tcp(address, options)).map(Self::Tcp),
            Address::Unix(path) => unix(path),
        }
    }

    /// The address that it is bound to: the port that the system chose for port 0.
    ///
    /// # Errors
    /// The system does not report it.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            #[cfg(unix)]
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(Address::Unix(address.as_pathname().map(Path::to_path_buf).unwrap_or_default()))
            }
        }
    }
}

/// Whether anyone listens on `address`: a bind without `SO_REUSEPORT` fails then, also when the other one
/// set it.
///
/// # Errors
/// The error of that bind.
pub fn probe(address: &Address) -> io::Result<()> {
    match address {
        Address::Tcp(_) => Listener::bind(address, ListenOptions::default()).map(drop),
        // Binding would show it, but leaves a file behind: so check whether a connection is accepted.
        Address::Unix(path) => answers(path),
    }
}

/// Opens `address`; for all interfaces of IPv6, those of IPv4 instead where IPv6 is off. Depending on how it was
/// turned off, the system knows no such sockets (EAFNOSUPPORT), or not even the unspecified address.
fn both_families<T>(address: SocketAddr, open: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    const EAFNOSUPPORT: i32 = 97;
    let everywhere = address.is_ipv6() && address.ip().is_unspecified();
    let lacks_ipv6 = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable)
            || error.raw_os_error() == Some(EAFNOSUPPORT)
    };
    match open(address) {
        Err(error) if everywhere && lacks_ipv6(&error) => {
            open((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        result => result,
    }
}

/// The file of a Unix domain socket that is listened on. Dropped, it is removed, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    /// File systems give the number of a removed file to the next one, unless it is still open.
    _open: Option<fs::File>,
}

impl SocketFile {
    /// That of an address that has just been bound; others have none.
    #[must_use]
    pub fn of(address: &Address) -> Option<Self> {
        match address {
            Address::Tcp(_) => None,
            Address::Unix(path) => {
                Some(Self { path: path.clone(), identity: identity(path), _open: open_path(path) })
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // What can't be removed is replaced by the next server that listens there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A handle that can do nothing but keep the file's number: a socket can't be opened otherwise.
#[cfg(target_os = "linux")]
fn open_path(path: &Path) -> Option<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path).ok()
}

#[cfg(not(target_os = "linux"))]
fn open_path(_path: &Path) -> Option<fs::File> {
    None
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<(u64, u64)> {
    None
}

fn tcp(address: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restarted server must not wait for the last one's connections in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(options.share_port)?;
    #[cfg(not(target_os = "linux"))]
    let _ = options;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    fast_open::enable(&socket, BACKLOG);
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// An error if a process listens on the socket. Only a refusal shows that none does: a full queue makes a client wait,
/// and a socket of somebody else may not be connected to.
#[cfg(unix)]
fn answers(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::WouldBlock => Err(io::ErrorKind::AddrInUse.into()),
            _ => Err(error),
        },
    }
}

#[cfg(not(unix))]
fn answers(_path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn unix(path: &Path) -> io::Result<Listener> {
    use std::os::unix::fs::FileTypeExt as _;
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        answers(path)?;
        fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Unix(socket.into()))
}

#[cfg(not(unix))]
fn unix(_path: &Path) -> io::Result<Listener> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> Address {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn a_shared_port_can_be_bound_again_but_the_probe_sees_it() {
        let shared = ListenOptions { share_port: true };
        let first = Listener::bind(&loopback(), shared).unwrap();
        let address = first.address().unwrap();
        let second = Listener::bind(&address, shared).unwrap();
        assert_eq!(second.address().unwrap(), address);
        assert_eq!(probe(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop((first, second));
        probe(&address).unwrap();
    }

    #[test]
    fn all_interfaces_means_both_families() {
        let listener = Listener::bind(&":0".parse().unwrap(), ListenOptions::default()).unwrap();
        let port = listener.address().unwrap().tcp().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn all_interfaces_means_ipv4_alone_where_ipv6_is_off() {
        let without_ipv6 = |error: fn() -> io::Error| {
            move |address: SocketAddr| if address.is_ipv6() { Err(error()) } else { Ok(address) }
        };
        let off: [fn() -> io::Error; 2] =
            [|| io::Error::from_raw_os_error(97), || io::ErrorKind::AddrNotAvailable.into()];
        for off in off {
            let opened = |address: &str| both_families(address.parse().unwrap(), without_ipv6(off));
            assert_eq!(opened("[::]:80").unwrap().to_string(), "0.0.0.0:80");
            assert_eq!(opened("10.0.0.1:80").unwrap().to_string(), "10.0.0.1:80");
            // An explicit IPv6 address is reported as unavailable.
            opened("[::1]:80").unwrap_err();
        }
        let taken = without_ipv6(|| io::ErrorKind::AddrInUse.into());
        assert_eq!(
            both_families("[::]:80".parse().unwrap(), taken).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Unix(folder.path().join("s"));
        let options = ListenOptions::default();
        let first = Listener::bind(&address, options).unwrap();
        assert_eq!(first.address().unwrap(), address);
        assert_eq!(Listener::bind(&address, options).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(probe(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        probe(&address).unwrap();
        Listener::bind(&address, options).unwrap();
    }

    #[test]
    fn a_file_that_is_not_a_socket_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "x").unwrap();
        let address = Address::Unix(path.clone());
        let error = Listener::bind(&address, ListenOptions::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(path).unwrap(), "x");
    }

    #[test]
    fn the_file_of_a_socket_is_removed_unless_it_has_been_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let address = Address::Unix(path.clone());
        let bind = || {
            let listener = Listener::bind(&address, ListenOptions::default()).unwrap();
            let file = SocketFile::of(&address).unwrap();
            (listener, file)
        };
        let (listener, file) = bind();
        drop(listener);
        let (_listener, replacement) = bind();
        drop(file);
        assert!(path.exists());
        drop(replacement);
        assert!(!path.exists());
        assert!(SocketFile::of(&loopback()).is_none());
    }

    #[test]
    fn a_socket_with_a_full_queue_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
                client.set_nonblocking(true).unwrap();
                // The queue has room for the first; the last finds none.
                let _ = client.connect(&SockAddr::unix(&path).unwrap());
                client
            })
            .collect();
        assert_eq!(probe(&Address::Unix(path)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(clients);
    }
}
