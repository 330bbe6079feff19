//! The peer of the WebSocket row: an echo on tokio-tungstenite, as its users write it, on one thread, with the allocator
//! that dummy-server has. Its one argument is the address, or `--version`.

use std::{error::Error, io::Write, net::SocketAddr};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1).ok_or("the argument is an address")?;
    if argument == "--version" {
        return Ok(writeln!(std::io::stdout(), "tokio-tungstenite {}", env!("TUNGSTENITE_VERSION"))?);
    }
    let address: SocketAddr = argument.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(serve(address))?)
}

async fn serve(address: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            while let Some(Ok(message)) = socket.next().await {
                if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                    return;
                }
            }
        });
    }
}
