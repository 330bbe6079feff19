//! A client of the crowd, which [`bench::crowd`] starts and commands.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    use bench::crowd::client::{Order, serve};
    let words: Vec<String> = std::env::args().skip(1).collect();
    serve(&Order::read(&words)?, std::io::stdin().lock(), std::io::stdout().lock())
}

#[cfg(not(target_os = "linux"))]
fn main() {}
