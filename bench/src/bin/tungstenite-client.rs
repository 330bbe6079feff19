//! The peer of the clients' WebSocket row: messages on tokio-tungstenite, as its users write it, on one thread. On each
//! connection one message follows the echo of the last one, and every echo is compared with its message. The arguments
//! are the address, the number of connections and the seconds, or `--version`.

use std::{
    error::Error,
    io::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_tungstenite::tungstenite::{self, Message};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes in a message.
const MESSAGE: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout();
    let [address, connections, seconds] = match &arguments[..] {
        [flag] if flag == "--version" => {
            return Ok(writeln!(out, "tokio-tungstenite {}", env!("TUNGSTENITE_VERSION"))?);
        }
        [address, connections, seconds] => [address, connections, seconds],
        _ => return Err("the arguments are an address, a number of connections and one of seconds".into()),
    };
    let (address, connections) = (address.parse()?, connections.parse()?);
    let time = Duration::try_from_secs_f64(seconds.parse()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (Counts { messages, failed }, took) = runtime.block_on(load(address, connections, time));
    let seconds = took.as_secs_f64();
    Ok(writeln!(out, "{{\"messages\":{messages},\"failed\":{failed},\"seconds\":{seconds}}}")?)
}

/// What happened to messages.
#[derive(Default)]
struct Counts {
    /// Those whose echo has come.
    messages: u64,
    /// Echoes that are not their message, and messages and connections without an answer.
    failed: u64,
}

async fn load(address: SocketAddr, connections: u32, time: Duration) -> (Counts, Duration) {
    let start = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..connections {
        all.spawn(async move {
            let mut counts = Counts::default();
            if messages(address, start + time, &mut counts).await.is_err() {
                counts.failed += 1;
            }
            counts
        });
    }
    let mut sum = Counts::default();
    while let Some(one) = all.join_next().await {
        let one = one.unwrap_or(Counts { messages: 0, failed: 1 });
        sum.messages += one.messages;
        sum.failed += one.failed;
    }
    (sum, start.elapsed())
}

/// Sends messages on a connection until `end`.
async fn messages(address: SocketAddr, end: Instant, counts: &mut Counts) -> Result<(), tungstenite::Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{address}/ws"), stream).await?;
    while Instant::now() < end {
        // No two in a row are the same.
        let mut content = vec![b'x'; MESSAGE];
        content[..8].copy_from_slice(&counts.messages.to_be_bytes());
        let message = Message::binary(content);
        socket.send(message.clone()).await?;
        let echo = socket.next().await.ok_or(tungstenite::Error::ConnectionClosed)??;
        counts.failed += u64::from(echo != message);
        counts.messages += 1;
    }
    socket.close(None).await
}
