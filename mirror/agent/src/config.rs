//! What a link is told.

use std::{path::PathBuf, time::Duration};

use leeward_client::ClientConfig;
use leeward_mirror_core::{
    partition::GapPolicy,
    topics::{Following, Naming},
};
use leeward_model::{FencingEpoch, LinkName, RegionName};
use leeward_policies::Selector;

/// Where a topic begins that the target does not have yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    #[default]
    Earliest,
    Latest,
}

/// Leave to write, and what the target has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    pub epoch: FencingEpoch,
    /// The link in the other direction, which was sealed: the target's content up to there is the source's.
    pub inverse_of: Option<LinkName>,
    /// The decision that sealed the link was undone, or its seal is made once more: the link may go on under that
    /// decision's own epoch, and no older one.
    pub takes_back_seal: bool,
    /// The target's topics were deleted so that the link makes them anew: what is stored about the deleted ones is
    /// forgotten. Safe to repeat.
    pub topics_made_anew: bool,
}

impl Leave {
    /// Leave for a link that goes on from its own map.
    pub fn under(epoch: FencingEpoch) -> Self {
        Self { epoch, inverse_of: None, takes_back_seal: false, topics_made_anew: false }
    }
}

/// How one link runs.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    pub name: LinkName,
    /// Metric label.
    pub topology: String,
    pub source_region: RegionName,
    pub target_region: RegionName,
    pub source: ClientConfig,
    pub target: ClientConfig,
    pub topics: Selector,
    pub naming: Naming,
    pub begin: Begin,
    pub gap: GapPolicy,
    /// Whose positions are carried over; `None` for no group's.
    pub groups: Option<Selector>,
    /// Time between looks at the groups' positions.
    pub groups_every: Duration,
    /// Time between looks at the topics' settings.
    pub configs_every: Duration,
    /// What of topics follows beside their records.
    pub following: Following,
    pub heartbeat_every: Duration,
    /// Of topics that the link creates; `None` takes the target's default.
    pub replication_factor: Option<i16>,
    /// `None` waits for a start.
    pub leave: Option<Leave>,
    /// The link's own folder.
    pub data_dir: PathBuf,
}

impl LinkConfig {
    /// A link between two regions with everything else at its default.
    pub fn between(
        (source_region, source): (RegionName, ClientConfig),
        (target_region, target): (RegionName, ClientConfig),
        data_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: LinkName::between(&source_region, &target_region),
            topology: "leeward".to_owned(),
            source_region,
            target_region,
            source,
            target,
            topics: Selector::everything(),
            naming: Naming::Identity,
            begin: Begin::Earliest,
            gap: GapPolicy::Stop,
            groups: Some(Selector::everything()),
            groups_every: Duration::from_millis(250),
            configs_every: Duration::from_secs(5),
            following: Following::default(),
            heartbeat_every: Duration::from_millis(500),
            replication_factor: None,
            leave: None,
            data_dir: data_dir.into(),
        }
    }
}
