//! Whether and where one position is carried over to the target.
//!
//! A group that lives on the target is never moved from outside, and a position never goes back, except where the group itself was
//! rewound at the source and nobody touched it at the target.

use leeward_model::{SourceOffset, TargetOffset};

use crate::map::{NotThere, Translation};

/// What the target says of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupancy {
    /// No members, or no such group: positions may be committed from outside.
    Vacant,
    /// Members are there; the group decides for itself.
    Live,
    /// Not asked yet, or no answer.
    Unknown,
}

/// A position that was carried over earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    pub source: SourceOffset,
    pub target: TargetOffset,
}

/// All that the decision about one group and partition needs.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The position at the source.
    pub source: SourceOffset,
    pub translation: Translation<TargetOffset>,
    /// What this link committed last; `None` where it never did or does not remember.
    pub carried: Option<Carried>,
    /// The group's position at the target.
    pub at_target: Option<TargetOffset>,
    pub occupancy: Occupancy,
    /// The position is written even where it is the right one already: its time there is to begin anew, or its metadata differ.
    pub anew: bool,
}

/// What to do about one group and partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Commit(TargetOffset),
    /// The target's position is the right one already.
    Done(TargetOffset),
    /// Ask again once the target has more, or has answered.
    Wait(NotThere),
    WaitForOccupancy,
    Skip(SkipReason),
}

/// Why a position is not carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The group has members at the target.
    TargetLive,
    /// The target's position is further than the source's, and was not put there by this link.
    TargetAhead { at_target: TargetOffset, wanted: TargetOffset },
}

impl SkipReason {
    pub fn code(self) -> &'static str {
        match self {
            Self::TargetLive => "skipped-active",
            Self::TargetAhead { .. } => "skipped-ahead",
        }
    }
}

/// Decides about one group and partition.
pub fn decide(question: Question) -> Decision {
    let wanted = match question.translation {
        Translation::Exact(target) | Translation::NotThere(NotThere::BeforeStart { target, .. }) => target,
        Translation::NotThere(reason) => return Decision::Wait(reason),
    };
    let writable = question.occupancy == Occupancy::Vacant;
    if question.at_target == Some(wanted) && !(question.anew && writable) {
        return Decision::Done(wanted);
    }
    match question.occupancy {
        Occupancy::Live => return Decision::Skip(SkipReason::TargetLive),
        Occupancy::Unknown => return Decision::WaitForOccupancy,
        Occupancy::Vacant => {}
    }
    let Some(at_target) = question.at_target.filter(|at_target| *at_target > wanted) else {
        return Decision::Commit(wanted);
    };
    let rewound = question
        .carried
        .is_some_and(|carried| carried.target == at_target && question.source < carried.source);
    if rewound {
        Decision::Commit(wanted)
    } else {
        Decision::Skip(SkipReason::TargetAhead { at_target, wanted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(offset: i64) -> SourceOffset {
        SourceOffset::from_wire(offset).unwrap()
    }

    fn target(offset: i64) -> TargetOffset {
        TargetOffset::from_wire(offset).unwrap()
    }

    fn question(at_source: i64, at_target: Option<i64>) -> Question {
        Question {
            source: source(at_source),
            translation: Translation::Exact(target(at_source)),
            carried: None,
            at_target: at_target.map(target),
            occupancy: Occupancy::Vacant,
            anew: false,
        }
    }

    #[test]
    fn a_live_group_is_never_moved() {
        let live = Question { occupancy: Occupancy::Live, ..question(10, Some(5)) };

        assert_eq!(decide(live), Decision::Skip(SkipReason::TargetLive));
    }

    #[test]
    fn a_position_goes_forward() {
        assert_eq!(decide(question(10, Some(5))), Decision::Commit(target(10)));
    }

    #[test]
    fn a_position_does_not_go_back_by_itself() {
        let behind = question(10, Some(15));

        let (at_target, wanted) = (target(15), target(10));
        assert_eq!(decide(behind), Decision::Skip(SkipReason::TargetAhead { at_target, wanted }));
    }

    #[test]
    fn a_rewind_at_the_source_is_followed_where_nobody_touched_the_target() {
        let carried = Some(Carried { source: source(15), target: target(15) });
        let rewound = Question { carried, ..question(10, Some(15)) };

        assert_eq!(decide(rewound), Decision::Commit(target(10)));
    }

    #[test]
    fn a_position_that_the_target_has_is_written_anew_where_that_is_wanted() {
        let anew = Question { anew: true, ..question(10, Some(10)) };

        assert_eq!(decide(question(10, Some(10))), Decision::Done(target(10)));
        assert_eq!(decide(anew), Decision::Commit(target(10)));
    }

    #[test]
    fn a_position_that_the_target_has_lost_is_written_again() {
        let carried = Some(Carried { source: source(10), target: target(10) });
        let lost = Question { carried, ..question(10, None) };

        assert_eq!(decide(lost), Decision::Commit(target(10)));
    }

    #[test]
    fn a_group_that_has_gone_on_at_the_target_is_not_written_anew() {
        let carried = Some(Carried { source: source(10), target: target(10) });
        let gone_on = Question { carried, anew: true, ..question(10, Some(15)) };
        let live = Question { occupancy: Occupancy::Live, ..gone_on };
        let live_at_the_same = Question { at_target: Some(target(10)), ..live };

        let (at_target, wanted) = (target(15), target(10));
        assert_eq!(decide(gone_on), Decision::Skip(SkipReason::TargetAhead { at_target, wanted }));
        assert_eq!(decide(live), Decision::Skip(SkipReason::TargetLive));
        assert_eq!(decide(live_at_the_same), Decision::Done(target(10)));
    }

    #[test]
    fn a_position_ahead_of_the_data_waits() {
        let not_yet = NotThere::NotYet { replicated_to: source(7) };
        let ahead = Question { translation: Translation::NotThere(not_yet), ..question(10, None) };

        assert_eq!(decide(ahead), Decision::Wait(not_yet));
    }
}
