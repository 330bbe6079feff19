//! Where the server listens: what was typed, or else the defaults, which `--port` moves.

use transport::Address;

use super::{
    ConfigError,
    typed::{address, number, optional_address},
};
use crate::settings::usual_address;

/// The addresses of flags that are not typed; that of TLS has no default.
#[derive(Debug)]
pub(super) struct DefaultAddresses {
    port: Option<u16>,
    /// The flags of those that were needed.
    pub(super) used: Vec<&'static str>,
}

impl DefaultAddresses {
    /// `port` is what `--port` says.
    pub(super) fn moved_to(port: Option<&String>) -> Result<Self, ConfigError> {
        let port = port.map(|port| number("port", port, &(0..=u16::MAX.into()))).transpose()?;
        Ok(Self { port, used: Vec::new() })
    }

    /// What was typed, or the default in its place.
    pub(super) fn unless_typed(
        &mut self,
        flag: &'static str,
        typed: Option<&String>,
    ) -> Result<Option<Address>, ConfigError> {
        if let Some(typed) = typed {
            return optional_address(flag, typed);
        }
        self.used.push(flag);
        // The other ports follow to where nothing else can be.
        let port = if flag == "addr" { self.port } else { self.port.map(|_| 0) };
        Ok(Some(match (address(flag, usual_address(flag))?, port) {
            (Address::Tcp(default), Some(port)) => Address::Tcp((default.ip(), port).into()),
            (default, _) => default,
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Config;

    fn addresses(words: &[&str]) -> [String; 4] {
        let config = Config::from_args(words).unwrap();
        let shown = |address: Option<transport::Address>| address.map_or_else(String::new, |a| a.to_string());
        [config.addr.to_string(), shown(config.grpc_addr), shown(config.admin_addr), shown(config.pprof_addr)]
    }

    #[test]
    fn one_port_moves_all_that_were_not_typed() {
        for words in [&["--port=8081"][..], &["-p", "8081"], &["-port=8081"]] {
            let [http, grpc, admin, pprof] = addresses(words);
            assert_eq!((http.as_str(), admin.as_str()), ("[::]:8081", "127.0.0.1:0"));
            assert!(grpc.ends_with(":0") && pprof.ends_with(":0"), "{grpc} {pprof}");
        }
        let [http, grpc, admin, pprof] =
            addresses(&["-p8081", "--admin-addr=:9091", "--grpc-addr=", "--pprof-addr=127.0.0.1:6061"]);
        assert_eq!([http, grpc, admin, pprof], ["[::]:8081", "", "[::]:9091", "127.0.0.1:6061"]);
        assert_eq!(addresses(&["-p8081", "--addr=127.0.0.1:8080"])[0], "127.0.0.1:8080");
    }

    #[test]
    fn a_port_is_a_number_that_a_port_can_have() {
        for port in ["65536", "-1", "http", ""] {
            let error = Config::from_args(&[&format!("--port={port}")]).unwrap_err().to_string();
            assert!(error.contains("for --port; accepted: a whole number from 0 to 65535"), "{error}");
        }
        assert!(
            Config::from_args(&["--addr="])
                .unwrap_err()
                .to_string()
                .contains("'' for --addr; accepted: ip:port")
        );
    }
}
