//! Whether applications can use the promoted region: names, identity, a write and its reading.

use std::sync::Arc;

use bytes::Bytes;
use leeward_model::{FencingEpoch, RegionName};

use crate::{
    cluster::{Cluster, ClusterError},
    redirector::{RedirectError, Redirector},
};

/// Which check failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error(transparent)]
    Name(#[from] RedirectError),
    #[error("`{name}` answers region {found:?}, not {expected}")]
    Elsewhere { name: String, expected: RegionName, found: Option<RegionName> },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("the canary that was written was not read back")]
    CanaryNotRead,
}

/// Resolves every name, then connects (which checks the cluster's id), writes and reads.
pub(crate) async fn verify(
    region: &RegionName,
    epoch: FencingEpoch,
    cluster: &dyn Cluster,
    redirectors: &[Arc<dyn Redirector>],
) -> Result<(), VerifyError> {
    for redirector in redirectors {
        let published = redirector.published().await?;
        if published.region.as_ref() != Some(region) {
            let name = redirector.name().to_owned();
            return Err(VerifyError::Elsewhere { name, expected: region.clone(), found: published.region });
        }
    }
    cluster.view().await?;
    let payload = Bytes::from(format!("verify epoch {epoch}"));
    let offset = cluster.produce_canary(payload.clone()).await?;
    if cluster.fetch_canary(offset, payload).await? { Ok(()) } else { Err(VerifyError::CanaryNotRead) }
}
