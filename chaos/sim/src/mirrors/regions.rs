//! What regions answer to a mirror's process: fetches from the source, batches and questions to the target.

use leeward_mirror_core::partition::{AuditedBatch, Command, Event};
use leeward_model::SourceOffset;
use leeward_wire::ErrorCode;
use leeward_wire::record::RecordBatch;

use super::{AGAIN, Answer, Around, Happening, target};
use crate::broker::{Refusal, Writer};
use crate::run::Violation;

/// Bytes that a model's record may have when it is decompressed.
const RECORDS_BYTES_MAX: usize = 1 << 20;
const PLAIN_BATCHES: &str = "the target is sent whole, plain batches only";

pub(super) fn fetch(who: usize, life: u64, from: SourceOffset, around: &mut impl Around) {
    let batches = 1 + around.random().below(6);
    let answer = around.fetch(who, from, batches);
    let nothing = match &answer {
        Some(Answer::Fetched(fetched)) => fetched.records.is_empty(),
        Some(Answer::OutOfRange { .. } | Answer::Recreated) => false,
        None => true,
    };
    let delay = if nothing { AGAIN } else { around.random().mostly_short(2, 100) };
    around.after(delay, Happening::FetchAnswered(who, life, answer));
}

pub(super) fn ask(who: usize, command: Command, around: &mut impl Around) -> Event {
    let fails = !around.is_calm() && around.random().one_in(12);
    let fails = fails || !around.reaches_target(who);
    match command {
        Command::AskTargetEnd { question } | Command::Audit { question, .. } if fails => {
            Event::QuestionFailed { question }
        }
        Command::AskTargetEnd { question } => {
            Event::TargetEnd { question, end: target(around.target(who).committed()) }
        }
        Command::Audit { question, from, to } => {
            let between = around.target(who).batches_between(from.to_wire(), to.to_wire());
            let batches = between.filter(|batch| batch.base >= from.to_wire()).map(|batch| AuditedBatch {
                base: target(batch.base),
                offsets: u64::from(batch.records),
                producer_id: batch.writer.producer,
            });
            Event::Audited { question, batches: batches.collect() }
        }
        other => unreachable!("{other:?} is no question"),
    }
}

pub(super) fn append(
    who: usize,
    batch: &RecordBatch,
    around: &mut impl Around,
) -> Result<Result<(i64, i64), ErrorCode>, Violation> {
    let plain = batch.verify_crc().is_ok() && batch.is_dense() && !batch.is_control();
    let plain = plain && batch.base_offset() == 0 && !batch.is_transactional();
    Violation::unless(plain, PLAIN_BATCHES, || format!("{batch:?}"))?;
    let content = batch.decompress(RECORDS_BYTES_MAX).expect("the source's records are small");
    let value = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("values have eight bytes"));
    let values: Vec<u64> = content
        .records()
        .map(|record| value(record.expect("a whole record").value.expect("records have values")))
        .collect();
    let writer = Writer {
        producer: batch.producer_id(),
        epoch: batch.producer_epoch(),
        sequence: batch.base_sequence(),
    };
    let records = values.len() as i64;
    Ok(match around.target(who).append(writer, &values) {
        Ok(taken) => {
            if taken.new {
                around.appended(who, taken.base, &values)?;
            }
            Ok((taken.base, taken.base + records))
        }
        Err(Refusal::OutOfOrder) => Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
        Err(Refusal::OldEpoch) => Err(ErrorCode::INVALID_PRODUCER_EPOCH),
        Err(Refusal::Sealed) => Err(ErrorCode::MESSAGE_TOO_LARGE),
    })
}
