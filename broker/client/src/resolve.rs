//! Turns host names into addresses: by the system, or by one DNS server that the caller names.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::future::BoxFuture;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};

/// Why a name has no address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("name `{host}` cannot be resolved")]
    Lookup { host: String, source: Arc<dyn std::error::Error + Send + Sync> },
    #[error("name `{host}` has no address")]
    NoAddress { host: String },
    #[error("resolver cannot be set up")]
    Setup { source: Arc<dyn std::error::Error + Send + Sync> },
}

/// Asks for the addresses of names. Called again for each attempt, so it must not remember answers for long.
pub trait Resolve: Send + Sync + fmt::Debug {
    /// All addresses of `host`, best first; an IP address is its own.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            if let Ok(ip) = host.parse() {
                return Ok(vec![ip]);
            }
            let found = tokio::net::lookup_host((host, 0))
                .await
                .map_err(|error| ResolveError::Lookup { host: host.to_owned(), source: Arc::new(error) })?;
            some(host, found.map(|address| address.ip()).collect())
        })
    }
}

/// One DNS server, asked on each attempt: answers are not cached.
pub struct DnsServerResolver {
    server: SocketAddr,
    resolver: TokioResolver,
}

impl DnsServerResolver {
    /// Asks the DNS server at `server`, by UDP and, for long answers, by TCP.
    ///
    /// # Errors
    ///
    /// [`ResolveError::Setup`].
    pub fn new(server: SocketAddr) -> Result<Self, ResolveError> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
            .into_iter()
            .map(|mut connection| {
                connection.port = server.port();
                connection
            })
            .collect();
        let name_server = NameServerConfig::new(server.ip(), true, connections);
        let config = ResolverConfig::from_name_servers(vec![name_server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let resolver = builder.build().map_err(|error| ResolveError::Setup { source: Arc::new(error) })?;
        Ok(Self { server, resolver })
    }
}

impl fmt::Debug for DnsServerResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsServerResolver").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Resolve for DnsServerResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            if let Ok(ip) = host.parse() {
                return Ok(vec![ip]);
            }
            // The final dot keeps search domains of this machine out.
            let name = if host.ends_with('.') { host.to_owned() } else { format!("{host}.") };
            let found = self
                .resolver
                .lookup_ip(name)
                .await
                .map_err(|error| ResolveError::Lookup { host: host.to_owned(), source: Arc::new(error) })?;
            some(host, found.iter().collect())
        })
    }
}

fn some(host: &str, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, ResolveError> {
    if addresses.is_empty() { Err(ResolveError::NoAddress { host: host.to_owned() }) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn an_ip_address_is_its_own() {
        let found = SystemResolver.resolve("127.0.0.9").await.expect("an address");

        assert_eq!(found, [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9))]);
    }
}
