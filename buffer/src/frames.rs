//! What the journal's frames hold, numbers big-endian.
//!
//! Kind 1, a batch: topic (u16 length, bytes), partition i32, ordinal of the first record u64, time of acceptance i64 in
//! milliseconds since 1970, the batch as the client sent it. Kind 2, a lineage that keeps nothing: topic, partition, region,
//! epoch u64, start ordinal u64, start offset i64, gaps (u32 count; ordinal u64, records u64 each). Kind 3, one that does: the
//! same, and behind it the ordinal from which on it keeps u64. Kind 4, a hole that a start found where the journal had ended too
//! early: topic, partition, first ordinal u64, records u64. Kind 5, a lineage in a log whose topic has an id: as kind 3, and
//! behind it how often the log was made anew u32, writer u32, the topic's id (16 bytes, zeroes for none). The journal adds magic, version and checksums.

use bytes::{BufMut, Bytes, BytesMut};

use leeward_model::{FencingEpoch, TopicId, TopicPartition};

use crate::bytes_codec::{Cursor, put_list, put_partition, put_text};
use crate::partition::{Gap, Lineage};

pub(crate) const BATCH: u8 = 1;
pub(crate) const LINEAGE: u8 = 2;
pub(crate) const KEEPING_LINEAGE: u8 = 3;
pub(crate) const HOLE: u8 = 4;
pub(crate) const TOPIC_LINEAGE: u8 = 5;

/// A frame, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Batch { partition: TopicPartition, ordinal: u64, accepted_at_ms: i64, batch: Bytes },
    Lineage { partition: TopicPartition, lineage: Lineage },
    Hole { partition: TopicPartition, hole: Gap },
}

/// What stands before a batch's own bytes.
pub(crate) fn batch_head(partition: &TopicPartition, ordinal: u64, accepted_at_ms: i64) -> Bytes {
    let mut head = BytesMut::new();
    put_partition(&mut head, partition);
    head.put_u64(ordinal);
    head.put_i64(accepted_at_ms);
    head.freeze()
}

/// A lineage's frame: its kind and payload.
pub(crate) fn lineage_frame(partition: &TopicPartition, lineage: &Lineage) -> (u8, Bytes) {
    let mut payload = BytesMut::new();
    put_partition(&mut payload, partition);
    put_lineage(&mut payload, lineage);
    if lineage.topic.is_some() || lineage.turn > 0 {
        put_log(&mut payload, lineage);
        return (TOPIC_LINEAGE, payload.freeze());
    }
    let keeps = lineage.kept_from < lineage.start_ordinal;
    if keeps {
        payload.put_u64(lineage.kept_from);
    }
    (if keeps { KEEPING_LINEAGE } else { LINEAGE }, payload.freeze())
}

/// The payload of a hole's frame.
pub(crate) fn hole_frame(partition: &TopicPartition, hole: Gap) -> Bytes {
    let mut payload = BytesMut::new();
    put_partition(&mut payload, partition);
    put_gap(&mut payload, &hole);
    payload.freeze()
}

/// Reads a frame; `None` where it is none of ours.
pub(crate) fn read(kind: u8, payload: Bytes) -> Option<Frame> {
    let mut input = Cursor { rest: payload };
    let partition = input.partition()?;
    match kind {
        BATCH => {
            let ordinal = input.ordinal()?;
            let accepted_at_ms = input.i64()?;
            Some(Frame::Batch { partition, ordinal, accepted_at_ms, batch: input.rest })
        }
        LINEAGE => Some(Frame::Lineage { partition, lineage: lineage(&mut input)? }),
        KEEPING_LINEAGE => {
            let lineage = lineage(&mut input)?;
            Some(Frame::Lineage { partition, lineage: keeping(lineage, &mut input)? })
        }
        TOPIC_LINEAGE => {
            let lineage = lineage(&mut input)?;
            Some(Frame::Lineage { partition, lineage: in_log(lineage, &mut input)? })
        }
        HOLE => {
            let hole = gap(&mut input)?;
            Some(Frame::Hole { partition, hole })
        }
        _ => None,
    }
}

pub(crate) fn put_lineage(into: &mut BytesMut, lineage: &Lineage) {
    put_text(into, lineage.region.as_str());
    into.put_u64(lineage.epoch.to_wire());
    into.put_u64(lineage.start_ordinal);
    into.put_i64(lineage.start_offset);
    put_list(into, lineage.gaps.iter(), put_gap);
}

/// A lineage without what it keeps.
pub(crate) fn lineage(input: &mut Cursor) -> Option<Lineage> {
    let (region, epoch) = (input.region()?, FencingEpoch::from_wire(input.u64()?)?);
    let start_ordinal = input.ordinal()?;
    Some(Lineage {
        region,
        epoch,
        turn: 0,
        writer: 0,
        topic: None,
        kept_from: start_ordinal,
        start_ordinal,
        start_offset: input.offset()?,
        gaps: input.list(gap)?,
    })
}

pub(crate) fn put_gap(into: &mut BytesMut, gap: &Gap) {
    into.put_u64(gap.ordinal);
    into.put_u64(gap.records);
}

pub(crate) fn gap(input: &mut Cursor) -> Option<Gap> {
    Some(Gap { ordinal: input.ordinal()?, records: input.ordinal()? })
}

/// What a lineage keeps, and in which log it is.
pub(crate) fn put_log(into: &mut BytesMut, lineage: &Lineage) {
    into.put_u64(lineage.kept_from);
    into.put_u32(lineage.turn);
    into.put_u32(lineage.writer);
    into.extend_from_slice(&lineage.topic.map_or([0; 16], TopicId::to_wire));
}

/// A lineage with what [`put_log`] wrote, which is read behind it.
pub(crate) fn in_log(lineage: Lineage, input: &mut Cursor) -> Option<Lineage> {
    Some(Lineage {
        kept_from: input.ordinal()?,
        turn: input.u32().filter(|turn| *turn < u32::MAX)?,
        writer: input.u32().filter(|writer| *writer < u32::MAX)?,
        topic: TopicId::from_wire(input.bytes(16)?[..].try_into().ok()?),
        ..lineage
    })
}

/// A lineage with what it keeps, which is read behind it.
pub(crate) fn keeping(lineage: Lineage, input: &mut Cursor) -> Option<Lineage> {
    let kept_from = input.ordinal().filter(|kept_from| *kept_from <= lineage.start_ordinal)?;
    Some(Lineage { kept_from, ..lineage })
}
