//! Which effects a stage needs and has not had. Starting, going on and resuming after a crash all ask here.

use leeward_model::mutation::planted;

use crate::{
    effect::{Drain, Effect},
    phases::{Kind, Operation, Stage},
    returning::TailPolicy,
};

/// Effects that the operation's stage waits for, open ones included.
pub(crate) fn needed(operation: &Operation) -> Vec<Effect> {
    let Operation { from, to, epoch, kind, .. } = operation;
    let (from, to, epoch) = (from.clone(), to.clone(), *epoch);
    match &operation.stage {
        Stage::Fencing { gateways, seal } => {
            let cut = gateways.is_none().then(|| Effect::CutGateways { region: from.clone(), epoch });
            let seal = seal.is_none().then(|| Effect::SealRegion { region: from.clone(), epoch });
            cut.into_iter().chain(seal).collect()
        }
        Stage::Draining { fence } => {
            let drain = match (kind, fence.seal()) {
                (Kind::Switchover, Some(seal))
                    if !planted("failover-drains-a-planned-move-as-far-as-it-came") =>
                {
                    Drain::To(seal.log_ends.clone())
                }
                (Kind::Failover | Kind::Switchover | Kind::Return | Kind::Resync { .. }, _) => {
                    Drain::AsFarAsItCame
                }
            };
            vec![Effect::DrainLink { source: from, target: to, epoch, drain }]
        }
        Stage::Promoting { fence, .. } => vec![Effect::Promote { region: to, fence: fence.clone() }],
        Stage::Redirecting { gateways_moved, dns_updated, .. } => {
            let gateways = (!gateways_moved).then(|| Effect::MoveGateways { region: to.clone(), epoch });
            let dns = (!dns_updated).then(|| Effect::UpdateDns { region: to.clone(), epoch });
            gateways.into_iter().chain(dns).collect()
        }
        Stage::Verifying { .. } => vec![Effect::Verify { region: to, epoch }],
        // The seal is lifted before a gateway is sent back, or it would meet refusals.
        Stage::Aborting { unsealed: false, .. } | Stage::Relinking { unsealed: false, .. } => {
            vec![Effect::UnsealRegion { region: from, epoch }]
        }
        Stage::Aborting { gateways_moved: false, .. } => vec![Effect::MoveGateways { region: from, epoch }],
        Stage::Sealing { .. } => vec![Effect::SealRegion { region: from, epoch }],
        Stage::Quarantining { divergence } => {
            let tails = divergence.tails.clone();
            vec![Effect::Quarantine { region: from, survivor: to, epoch, tails }]
        }
        Stage::Recreating { .. } => vec![Effect::RecreateTopics { region: from, epoch }],
        Stage::Relinking { resume, .. } => {
            vec![Effect::StartLink { source: to, target: from, epoch, resume: resume.clone() }]
        }
        Stage::CatchingUp => vec![Effect::AwaitCaughtUp { source: to, target: from, epoch }],
        Stage::Aborting { .. } | Stage::Over(_) => Vec::new(),
    }
}

/// Where bringing an old primary back begins.
pub(crate) fn resync_begins(
    divergence: &crate::Divergence,
    positions: &[crate::FinalPosition],
    tail: TailPolicy,
) -> Stage {
    let kept = tail == TailPolicy::Quarantine && !planted("failover-keeps-no-tail");
    if !divergence.tails.is_empty() && kept {
        Stage::Quarantining { divergence: divergence.clone() }
    } else if divergence.is_empty() {
        Stage::Relinking { unsealed: false, resume: positions.to_vec() }
    } else {
        Stage::Recreating { unkept: divergence.clone() }
    }
}
