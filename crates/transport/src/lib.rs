//! Sockets for both ends: where to listen, with which options, and how state machines read and write.
//!
//! Nothing here knows a URL, a protocol or a load.
//!
//! A listener takes a port that the system chooses, and a connection writes what a state machine has put out:
//!
//! ```
//! use std::{future::poll_fn, io::Read as _};
//!
//! use tokio::net::TcpListener;
//! use transport::{Address, ListenOptions, Listener, Socket, Stream, segments};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind(&"127.0.0.1:0".parse()?, ListenOptions::default())?;
//! let (Address::Tcp(address), Listener::Tcp(listener)) = (listener.address()?, listener) else { panic!("TCP") };
//! let mut client = std::net::TcpStream::connect(address)?;
//! let (socket, _) = TcpListener::from_std(listener)?.accept().await?;
//!
//! let mut stream = Stream::from(Socket::Tcp(socket));
//! let mut output = wire::Output::new();
//! output.copy(b"hello");
//! poll_fn(|cx| segments::poll_write(&mut stream, &mut output, usize::MAX, cx)).await?;
//! assert!(output.is_empty());
//!
//! drop(stream);
//! let mut received = String::new();
//! client.read_to_string(&mut received)?;
//! assert_eq!(received, "hello");
//! # Ok(())
//! # }
//! ```

pub mod address;
mod fast_open;
pub mod listen;
pub mod proxy_protocol;
pub mod segments;
pub mod stream;
pub mod tls;
mod unsent;

pub use address::Address;
pub use listen::{ListenOptions, Listener};
pub use stream::{Socket, Stream};
