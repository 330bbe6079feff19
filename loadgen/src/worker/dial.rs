//! One socket to one of several addresses, from one of several: the next address begins when one fails, or when it has not
//! answered for a while (Happy Eyeballs, RFC 8305 section 5), and the first that is connected is taken.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    net::{TcpSocket, TcpStream, UnixStream},
    time::sleep,
};
use transport::{Address, Socket};

/// How long an address has to answer before the next one is tried beside it.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The bounds of what the system takes in ahead of a slow reader, in bytes.
const SMALLEST_BUFFER: u64 = 4 << 10;
const LARGEST_BUFFER: u64 = 1 << 20;

/// Where connections may come from, and what their sockets are to be like.
#[derive(Clone, Debug, Default)]
pub(super) struct SocketOptions {
    v4: Arc<[IpAddr]>,
    v6: Arc<[IpAddr]>,
    /// How much the system may receive ahead of the reader, in bytes, if that is not left to it.
    receive_buffer: Option<u32>,
}

impl SocketOptions {
    pub(super) fn new(all: &[IpAddr]) -> Self {
        let of = |is_v4: bool| all.iter().copied().filter(|ip| ip.is_ipv4() == is_v4).collect();
        Self { v4: of(true), v6: of(false), receive_buffer: None }
    }

    /// For connections that read at this rate, in bytes per second: the system takes in about a second ahead, and not megabytes, so
    /// that the other end notices.
    pub(super) fn read_at(self, per_second: Option<u64>) -> Self {
        let buffer = |rate: u64| rate.clamp(SMALLEST_BUFFER, LARGEST_BUFFER) as u32;
        Self { receive_buffer: per_second.map(buffer), ..self }
    }

    /// The one of number `turn` for connections to this address, if it is not left to the system.
    fn towards(&self, address: SocketAddr, turn: usize) -> Option<IpAddr> {
        let sources = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        (!sources.is_empty()).then(|| sources[turn % sources.len()])
    }
}

/// Connects to the address at `first`, or to another; `turn` is the number of the source.
pub(super) async fn dial(
    addresses: Arc<[Address]>,
    first: usize,
    options: SocketOptions,
    turn: usize,
) -> io::Result<Socket> {
    if let [only] = &*addresses {
        return connect(only, &options, turn).await;
    }
    let mut order = in_order(&addresses, first).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match order.next() {
            Some(index) => attempts.push(connect(&addresses[index], &options, turn)),
            None if attempts.is_empty() => return Err(last_error),
            None => {}
        }
        let is_last = order.len() == 0;
        tokio::select! {
            biased;
            Some(result) = attempts.next() => match result {
                Ok(socket) => return Ok(socket),
                Err(error) => last_error = error,
            },
            () = sleep(ATTEMPT_DELAY), if !is_last => {}
        }
    }
}

async fn connect(address: &Address, options: &SocketOptions, turn: usize) -> io::Result<Socket> {
    let address = match address {
        Address::Tcp(address) => *address,
        Address::Unix(path) => return Ok(Socket::Unix(UnixStream::connect(path).await?)),
    };
    let stream = match (options.towards(address, turn), options.receive_buffer) {
        (None, None) => TcpStream::connect(address).await?,
        (source, buffer) => {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if let Some(buffer) = buffer {
                socket.set_recv_buffer_size(buffer)?;
            }
            if let Some(source) = source {
                socket.bind(SocketAddr::new(source, 0)).map_err(|error| unbound(source, error))?;
            }
            socket.connect(address).await?
        }
    };
    transport::stream::tune(&stream)?;
    Ok(Socket::Tcp(stream))
}

/// An address that is not of this machine is not a lack of ports.
fn unbound(source: IpAddr, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => error,
        _ => io::Error::other(format!("connections can't come from {source} (--bind): {error}")),
    }
}

/// All of them from `first` on, the second of another family than the first if there is one (RFC 8305 section 4).
fn in_order(addresses: &[Address], first: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..addresses.len()).map(|at| (first + at) % addresses.len()).collect();
    let is_v4 = |index: &usize| addresses[*index].tcp().is_some_and(|address| address.is_ipv4());
    if let Some(other) = order.iter().position(|index| is_v4(index) != is_v4(&order[0])) {
        order[1..=other].rotate_right(1);
    }
    order
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn tcp(text: &str) -> Address {
        Address::Tcp(text.parse().unwrap())
    }

    #[test]
    fn the_second_address_is_of_another_family() {
        let addresses = ["127.0.0.1:1", "127.0.0.2:1", "[::1]:1", "127.0.0.3:1"].map(tcp);
        assert_eq!(in_order(&addresses, 0), [0, 2, 1, 3]);
        assert_eq!(in_order(&addresses, 2), [2, 3, 0, 1]);
        assert_eq!(in_order(&addresses, 3), [3, 2, 0, 1]);
        assert_eq!(in_order(&addresses[..2], 1), [1, 0]);
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let open = listener.local_addr().unwrap();
        let addresses: Arc<[Address]> = [closed, closed, open].map(Address::Tcp).into();
        let socket = dial(Arc::clone(&addresses), 0, SocketOptions::default(), 0).await.unwrap();
        let Socket::Tcp(stream) = socket else { panic!("it is TCP") };
        assert_eq!(stream.peer_addr().unwrap(), open);
        let refused = dial(addresses[..2].into(), 0, SocketOptions::default(), 0).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    /// A listener whose queue is full answers no client.
    #[tokio::test]
    async fn an_address_that_does_not_answer_holds_up_nobody() {
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        for _ in 0..4 {
            let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(&silent.into());
            waiting.push(client);
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let addresses: Arc<[Address]> = [silent, open].map(Address::Tcp).into();
        let Socket::Tcp(stream) = dial(addresses, 0, SocketOptions::default(), 0).await.unwrap() else {
            panic!("it is TCP")
        };
        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn a_slow_reader_has_a_small_buffer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses: Arc<[Address]> = [Address::Tcp(listener.local_addr().unwrap())].into();
        for (per_second, most) in [(1, 16 << 10), (64 << 10, 256 << 10)] {
            let options = SocketOptions::default().read_at(Some(per_second));
            let socket = dial(Arc::clone(&addresses), 0, options, 0).await.unwrap();
            let Socket::Tcp(stream) = socket else { panic!("it is TCP") };
            let size = socket2::SockRef::from(&stream).recv_buffer_size().unwrap();
            assert!(size <= most, "{per_second}: {size}");
        }
    }

    #[tokio::test]
    async fn sources_take_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses: Arc<[Address]> = [Address::Tcp(listener.local_addr().unwrap())].into();
        let options = SocketOptions::new(&["127.0.0.2", "127.0.0.3", "::1"].map(|ip| ip.parse().unwrap()));
        for (turn, expected) in [(0, "127.0.0.2"), (1, "127.0.0.3"), (2, "127.0.0.2")] {
            let socket = dial(Arc::clone(&addresses), 0, options.clone(), turn).await.unwrap();
            let Socket::Tcp(stream) = socket else { panic!("it is TCP") };
            assert_eq!(stream.local_addr().unwrap().ip().to_string(), expected);
        }
    }
}
