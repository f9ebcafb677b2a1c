//! Looks at all groups of the source: asks each for its positions.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use leeward_client::{Cluster, ClusterError};
use leeward_mirror_core::groups::{Look, Position};
use leeward_model::SourceOffset;
use leeward_policies::Selector;
use tokio::time::timeout;
use tracing::debug;

use super::tail::ends_by_index;
use crate::limits::{GROUPS_ASKED_MAX, GROUPS_READ_MAX};

/// A look, and where the log of commits ended after it where that was wanted.
pub(super) type Looked = (Look, Option<BTreeMap<i32, i64>>);

/// Looks once; `None` where the source does not answer in time.
pub(super) async fn look(source: Cluster, selector: Selector, with_ends: bool) -> Option<Looked> {
    let looking = async {
        let look = ask_all(&source, &selector).await?;
        let ends = if with_ends { Some(ends_by_index(&source).await?) } else { None };
        Ok::<_, ClusterError>((look, ends))
    };
    match timeout(GROUPS_READ_MAX, looking).await {
        Ok(Ok(looked)) => Some(looked),
        Ok(Err(error)) => {
            debug!(%error, "groups of the source are not readable");
            None
        }
        Err(_) => {
            debug!("groups of the source are not readable in time");
            None
        }
    }
}

async fn ask_all(source: &Cluster, selector: &Selector) -> Result<Look, ClusterError> {
    let listed = source.list_groups().await?;
    let followed = listed.into_iter().map(|group| group.name).filter(|group| selector.matches_group(group));
    let mut answers = stream::iter(followed)
        .map(|group| async move {
            let offsets = source.fetch_last_offsets(&group).await;
            (group, offsets)
        })
        .buffer_unordered(GROUPS_ASKED_MAX);
    let mut look = Look::default();
    while let Some((group, offsets)) = answers.next().await {
        let offsets = match offsets {
            Ok(offsets) => offsets,
            Err(error) => {
                debug!(%group, %error, "group does not tell its positions");
                look.unread.insert(group);
                continue;
            }
        };
        for (partition, committed) in offsets {
            let source = SourceOffset::from_wire(committed.offset);
            if let Some(source) = source.filter(|_| !partition.topic.is_internal()) {
                let position = Position { source, metadata: committed.metadata };
                look.positions.insert((group.clone(), partition), position);
            }
        }
    }
    Ok(look)
}
