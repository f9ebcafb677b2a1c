//! The records of an uncompressed payload, borrowed from it.

use super::reader::Reader;
use super::{BatchError, Malformed};

/// One record, as its batch holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Added to the batch's base offset.
    pub offset_delta: i32,
    /// Added to the batch's base timestamp, unless the batch has append time.
    pub timestamp_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
    /// Key, value and headers, encoded.
    pub(super) content: &'a [u8],
}

/// One header of a record. Keys may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// A record's headers in their order, with repetitions.
///
/// Invariant: `reader` holds exactly `left` well-formed headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    left: usize,
    reader: Reader<'a>,
}

impl<'a> Headers<'a> {
    fn parse(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let declared = reader.varint()?;
        let left = usize::try_from(declared).map_err(|_| Malformed::Length(declared))?;
        let headers = Self { left, reader: *reader };
        for _ in 0..left {
            read_header(reader)?;
        }
        Ok(headers)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(read_header(&mut self.reader).expect("checked when the record was read"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// The records of a payload, in order; ends after the first error.
///
/// Offset deltas must rise and stay within the batch's last; nothing may follow the last record.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    reader: Reader<'a>,
    index: i32,
    record_count: i32,
    previous_delta: i32,
    last_offset_delta: i32,
}

impl<'a> RecordIter<'a> {
    pub(super) fn new(payload: &'a [u8], record_count: i32, last_offset_delta: i32) -> Self {
        Self {
            reader: Reader { rest: payload },
            index: 0,
            record_count,
            previous_delta: -1,
            last_offset_delta,
        }
    }

    #[inline]
    fn read(&mut self) -> Result<Record<'a>, Malformed> {
        let record = read_record(&mut self.reader)?;
        let delta = record.offset_delta;
        if delta <= self.previous_delta || delta > self.last_offset_delta {
            return Err(Malformed::OffsetDelta(delta));
        }
        self.previous_delta = delta;
        self.index += 1;
        Ok(record)
    }

    fn end(&mut self) -> Option<Result<Record<'a>, BatchError>> {
        let bytes = self.reader.rest.len();
        self.reader.rest = &[];
        (bytes > 0).then_some(Err(BatchError::TrailingBytes { bytes }))
    }

    fn fail(&mut self, source: Malformed) -> BatchError {
        let index = self.index;
        self.index = self.record_count;
        self.reader.rest = &[];
        BatchError::Record { index, source }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.record_count {
            return self.end();
        }
        match self.read() {
            Ok(record) => Some(Ok(record)),
            Err(source) => Some(Err(self.fail(source))),
        }
    }
}

#[inline]
fn read_record<'a>(reader: &mut Reader<'a>) -> Result<Record<'a>, Malformed> {
    let mut body = Reader { rest: reader.bytes()? };
    body.take(1)?;
    let timestamp_delta = body.varlong()?;
    let offset_delta = body.varint()?;
    let content = body.rest;
    let key = body.nullable_bytes()?;
    let value = body.nullable_bytes()?;
    let headers = Headers::parse(&mut body)?;
    if !body.rest.is_empty() {
        return Err(Malformed::TrailingBytes(body.rest.len()));
    }
    Ok(Record { offset_delta, timestamp_delta, key, value, headers, content })
}

fn read_header<'a>(reader: &mut Reader<'a>) -> Result<Header<'a>, Malformed> {
    Ok(Header { key: reader.bytes()?, value: reader.nullable_bytes()? })
}
