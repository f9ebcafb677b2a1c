//! Turns what a source answered into batches that a target takes.
//!
//! Raw wherever the broker would take the batch unchanged; re-encoded where it would refuse or alter it; left out where it is a marker or
//! was aborted.

use std::collections::HashSet;

use leeward_model::SourceOffset;
use leeward_wire::record::{
    BatchError, ControlKind, RecordBatch, Reencode, TimestampType, reencode, split_batches,
};

use super::{AbortedTransaction, Fetched};
use crate::limits::REENCODED_BYTES_MAX;

/// A stretch of an answer.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Data(Data),
    /// Nothing to write up to here: markers, aborted records, holes.
    Skip {
        next: SourceOffset,
    },
}

/// Records to write.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) batch: RecordBatch,
    pub(super) first: SourceOffset,
    /// Where reading goes on behind the batch.
    pub(super) next: SourceOffset,
    /// Stretches that are dense at the source: first offset and length.
    pub(super) stretches: Vec<(SourceOffset, u64)>,
}

impl Data {
    pub(super) fn records(&self) -> u64 {
        self.batch.record_count().unsigned_abs().into()
    }
}

/// A batch that cannot be mirrored.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) at: SourceOffset,
    pub(super) error: BatchError,
}

/// Cuts an answer into pieces, in order; stops before the first batch that cannot be read.
pub(super) fn prepare(fetched: &Fetched) -> (Vec<Piece>, Option<Unreadable>) {
    let mut aborting = Aborting::new(&fetched.aborted);
    let mut pieces = Vec::new();
    let mut position = fetched.from;
    for batch in split_batches(fetched.records.clone()) {
        let prepared = batch.and_then(|batch| {
            batch.verify_crc()?;
            piece(&batch, position, &mut aborting)
        });
        match prepared {
            Ok(Some(piece)) => {
                position = match &piece {
                    Piece::Data(data) => data.next,
                    Piece::Skip { next } => *next,
                };
                pieces.push(piece);
            }
            Ok(None) => {}
            Err(error) => return (pieces, Some(Unreadable { at: position, error })),
        }
    }
    (pieces, None)
}

fn piece(
    batch: &RecordBatch,
    position: SourceOffset,
    aborting: &mut Aborting,
) -> Result<Option<Piece>, BatchError> {
    let dropped = aborting.drops(batch);
    let next = offset(batch.next_offset());
    if next <= position {
        return Ok(None);
    }
    if dropped || batch.is_control() || batch.record_count() == 0 {
        return Ok(Some(Piece::Skip { next }));
    }
    let first = offset(batch.base_offset());
    let raw = batch.is_dense() && batch.timestamp_type() == TimestampType::CreateTime && first >= position;
    if raw {
        let stretches = vec![(first, u64::from(batch.record_count().unsigned_abs()))];
        return Ok(Some(Piece::Data(Data { batch: batch.clone(), first, next, stretches })));
    }
    let how = Reencode {
        limit_bytes: REENCODED_BYTES_MAX,
        expected_bytes: batch.size_bytes(),
        ..Reencode::default()
    };
    let Some(made) = reencode(batch, |source| source >= position.to_wire(), how)? else {
        return Ok(Some(Piece::Skip { next }));
    };
    let stretches = stretches(&made.source_offsets);
    let first = stretches[0].0;
    Ok(Some(Piece::Data(Data { batch: made.batch, first, next, stretches })))
}

fn stretches(source_offsets: &[i64]) -> Vec<(SourceOffset, u64)> {
    source_offsets
        .chunk_by(|left, right| left + 1 == *right)
        .map(|dense| (offset(dense[0]), dense.len() as u64))
        .collect()
}

fn offset(wire: i64) -> SourceOffset {
    SourceOffset::from_wire(wire).expect("a parsed batch has no negative offset")
}

/// Whether a batch's payload can be read by whoever consumes it.
pub(super) fn readable(batch: &RecordBatch) -> Result<(), BatchError> {
    let decompressed = batch.decompress(REENCODED_BYTES_MAX)?;
    for record in decompressed.records() {
        record?;
    }
    Ok(())
}

/// Which producers' records are of aborted transactions, at a place in the log.
struct Aborting {
    /// By first offset, latest first.
    coming: Vec<AbortedTransaction>,
    open: HashSet<i64>,
}

impl Aborting {
    fn new(aborted: &[AbortedTransaction]) -> Self {
        let mut coming = aborted.to_vec();
        coming.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { coming, open: HashSet::new() }
    }

    fn drops(&mut self, batch: &RecordBatch) -> bool {
        while let Some(transaction) = self.coming.pop_if(|next| next.first_offset <= batch.last_offset()) {
            self.open.insert(transaction.producer_id);
        }
        if batch.is_control() {
            let aborts = batch.control_record().is_ok_and(|control| control.kind == ControlKind::Abort);
            if aborts {
                self.open.remove(&batch.producer_id());
            }
            return true;
        }
        batch.is_transactional() && self.open.contains(&batch.producer_id())
    }
}
