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
use crate::limits::{REENCODED_BYTES_MAX, REWRITTEN_BYTES_MIN};

/// A stretch of an answer.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Data(Data),
    /// Nothing to write up to here: markers, aborted records, holes.
    Skip {
        next: SourceOffset,
    },
}

impl Piece {
    /// Where reading goes on behind it.
    fn next(&self) -> SourceOffset {
        match self {
            Self::Data(data) => data.next,
            Self::Skip { next } => *next,
        }
    }
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
            take(&batch, position, &mut aborting, &mut pieces)
        });
        position = pieces.last().map_or(position, Piece::next);
        if let Err(error) = prepared {
            return (pieces, Some(Unreadable { at: position, error }));
        }
    }
    (pieces, None)
}

/// Adds what a batch has from `position` on.
fn take(
    batch: &RecordBatch,
    position: SourceOffset,
    aborting: &mut Aborting,
    pieces: &mut Vec<Piece>,
) -> Result<(), BatchError> {
    let dropped = aborting.drops(batch);
    let next = offset(batch.next_offset());
    if next <= position {
        return Ok(());
    }
    if dropped || batch.is_control() || batch.record_count() == 0 {
        pieces.push(Piece::Skip { next });
        return Ok(());
    }
    let first = offset(batch.base_offset());
    let raw = batch.is_dense() && batch.timestamp_type() == TimestampType::CreateTime && first >= position;
    if raw {
        let stretches = vec![(first, u64::from(batch.record_count().unsigned_abs()))];
        pieces.push(Piece::Data(Data { batch: batch.clone(), first, next, stretches }));
        return Ok(());
    }
    // A producer may compress better than we do: what would be larger than it was may be larger than the target allows.
    let allowed = batch.size_bytes().max(REWRITTEN_BYTES_MIN);
    rewrite_below(batch, allowed, (position, next), pieces)
}

/// Adds the records of a batch between two offsets, encoded anew; what has more bytes than `allowed` is cut in two.
fn rewrite_below(
    batch: &RecordBatch,
    allowed: usize,
    (position, next): (SourceOffset, SourceOffset),
    pieces: &mut Vec<Piece>,
) -> Result<(), BatchError> {
    let how = Reencode {
        limit_bytes: REENCODED_BYTES_MAX,
        expected_bytes: batch.size_bytes(),
        ..Reencode::default()
    };
    let range = position.to_wire()..next.to_wire();
    let Some(made) = reencode(batch, |source| range.contains(&source), how)? else {
        pieces.push(Piece::Skip { next });
        return Ok(());
    };
    let records = made.source_offsets.len();
    if made.batch.size_bytes() > allowed && records > 1 {
        let middle = offset(made.source_offsets[records / 2]);
        rewrite_below(batch, allowed, (position, middle), pieces)?;
        return rewrite_below(batch, allowed, (middle, next), pieces);
    }
    let stretches = stretches(&made.source_offsets);
    let first = stretches[0].0;
    pieces.push(Piece::Data(Data { batch: made.batch, first, next, stretches }));
    Ok(())
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use leeward_wire::record::{BatchBuilder, Compression};

    use super::*;

    const RECORDS: i64 = 64;

    /// A batch with holes, of bytes that no codec makes smaller.
    fn noise(hole: i32) -> RecordBatch {
        let mut state = 1u64;
        let mut builder = BatchBuilder::new(Compression::Zstd);
        for delta in 0..RECORDS as i32 {
            let value: Vec<u8> = (0..2000)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            builder.append_at(delta * hole, 1, None, Some(&value), &[]).expect("a record");
        }
        builder.build().expect("a batch")
    }

    fn rewritten(batch: &RecordBatch, allowed: usize) -> Vec<Data> {
        let mut pieces = Vec::new();
        let range = (SourceOffset::FIRST, offset(batch.next_offset()));
        rewrite_below(batch, allowed, range, &mut pieces).expect("a sound batch");
        let data = pieces.into_iter().map(|piece| match piece {
            Piece::Data(data) => data,
            Piece::Skip { next } => panic!("nothing to skip up to {next:?}"),
        });
        data.collect()
    }

    fn values(batch: &RecordBatch) -> Vec<Bytes> {
        let content = batch.decompress(REENCODED_BYTES_MAX).expect("a sound batch");
        content
            .records()
            .map(|record| Bytes::copy_from_slice(record.expect("a record").value.expect("a value")))
            .collect()
    }

    #[test]
    fn what_would_be_larger_than_the_source_had_it_is_cut_until_no_part_is() {
        let batch = noise(2);
        let allowed = batch.size_bytes() / 3;

        let parts = rewritten(&batch, allowed);

        assert!(parts.iter().all(|part| part.batch.size_bytes() <= allowed));
        assert_eq!(parts.iter().flat_map(|part| values(&part.batch)).collect::<Vec<_>>(), values(&batch));
        assert_eq!(parts.iter().map(Data::records).sum::<u64>(), RECORDS.unsigned_abs());
        assert!(parts.windows(2).all(|pair| pair[0].next == pair[1].first));
        assert_eq!(parts.last().map(|part| part.next), Some(offset(batch.next_offset())));
    }

    #[test]
    fn a_single_record_is_not_cut() {
        let batch = noise(2);

        let parts = rewritten(&batch, 1);

        assert_eq!(parts.len(), RECORDS as usize);
    }
}
