//! A dummy-server in this process.

use std::net::SocketAddr;

use dummy_server::{Args, Config, Running, Shutdown};

/// It ends when it is dropped.
pub(crate) struct Server(Option<Running>);

impl Server {
    /// One with these flags, on free ports of loopback.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let own = ["dummy-server", "--addr=127.0.0.1:0", "--grpc-addr=", "--admin-addr=", "--quiet"];
        let args = Args::read(own.iter().chain(flags)).unwrap();
        Self(Some(dummy_server::run(Config::try_from(args).unwrap(), Shutdown::new()).unwrap()))
    }

    fn addresses(&self) -> &dummy_server::Addresses {
        self.0.as_ref().unwrap().addresses()
    }

    /// Where HTTP/1.1 and h2c are served.
    pub(crate) fn http(&self) -> String {
        self.addresses().http.to_string()
    }

    /// Where TLS is.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.addresses().tls.as_ref().and_then(|address| address.tcp()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(running) = self.0.take() else { return };
        running.shutdown().begin();
        let _ = running.join();
    }
}
