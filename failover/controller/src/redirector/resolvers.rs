//! What recursive resolvers answer, asked as clients ask them and remembered nowhere.

use std::{fmt, net::SocketAddr, time::Duration};

use futures::future::join_all;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_proto::rr::RData;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
};
use leeward_model::RegionName;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::ManagedName;
use crate::dns::same_set;

/// Wait for one answer of a resolver. Reached: it counts as not agreeing, and is asked again while there is time.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Between two looks at a resolver that does not agree yet.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Resolvers that are asked. Reached: the rest of the list is left out, and the log says so.
const RESOLVERS_MAX: usize = 32;

/// One resolver's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverView {
    pub resolver: SocketAddr,
    /// Whether it answers exactly the expected targets.
    pub agrees: bool,
    /// The records, or why there are none.
    pub answer: Result<Vec<String>, String>,
}

/// The resolvers that a name is confirmed at.
pub(super) struct Vantages(Vec<(SocketAddr, TokioResolver)>);

impl Vantages {
    pub(super) fn new(resolvers: &[SocketAddr]) -> Self {
        if resolvers.len() > RESOLVERS_MAX {
            warn!(configured = resolvers.len(), asked = RESOLVERS_MAX, "too many resolvers");
        }
        let built = resolvers.iter().take(RESOLVERS_MAX).filter_map(|resolver| match build(*resolver) {
            Ok(asked) => Some((*resolver, asked)),
            Err(error) => {
                warn!(%resolver, %error, "resolver cannot be asked");
                None
            }
        });
        Self(built.collect())
    }

    /// Asks every resolver once.
    pub(super) async fn look(&self, name: &ManagedName, expected: &RegionName) -> Vec<ResolverView> {
        join_all(self.0.iter().map(|(at, resolver)| view(*at, resolver, name, expected))).await
    }

    /// Asks until all agree, or until `until`; what each answered last.
    pub(super) async fn wait_for(
        &self,
        name: &ManagedName,
        expected: &RegionName,
        until: Instant,
    ) -> Vec<ResolverView> {
        let waits = self.0.iter().map(async |(at, resolver)| {
            loop {
                let seen = view(*at, resolver, name, expected).await;
                if seen.agrees || Instant::now() + LOOK_EVERY >= until {
                    return seen;
                }
                sleep(LOOK_EVERY).await;
            }
        });
        join_all(waits).await
    }
}

impl fmt::Debug for Vantages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(at, _)| at)).finish()
    }
}

fn build(resolver: SocketAddr) -> Result<TokioResolver, hickory_net::NetError> {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    (udp.port, tcp.port) = (resolver.port(), resolver.port());
    let servers = vec![NameServerConfig::new(resolver.ip(), true, vec![udp, tcp])];
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    options.attempts = 1;
    options.timeout = ANSWER_WAIT;
    options.use_hosts_file = ResolveHosts::Never;
    TokioResolver::builder_with_config(
        ResolverConfig::from_name_servers(servers),
        TokioRuntimeProvider::default(),
    )
    .with_options(options)
    .build()
}

async fn view(
    at: SocketAddr,
    resolver: &TokioResolver,
    name: &ManagedName,
    expected: &RegionName,
) -> ResolverView {
    let found = resolver.lookup(name.name().clone(), name.kind()).await;
    let answer: Result<Vec<RData>, String> = found.map_err(|error| error.to_string()).map(|lookup| {
        let own = lookup.answers().iter().filter(|record| record.name == *name.name());
        own.filter(|record| record.record_type() == name.kind()).map(|record| record.data.clone()).collect()
    });
    let agrees = match (&answer, name.targets(expected)) {
        (Ok(answer), Some(targets)) => same_set(targets, answer),
        _ => false,
    };
    let answer = answer.map(|records| records.iter().map(ToString::to_string).collect());
    ResolverView { resolver: at, agrees, answer }
}
