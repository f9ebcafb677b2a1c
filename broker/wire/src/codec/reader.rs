//! Takes values out of bytes. Every length is held against the bytes that remain before anything is allocated.

use bytes::{Buf, Bytes};

use super::{Field, Shape, Wire};
use crate::limits::{PREALLOCATED_ELEMENTS, UNKNOWN_TAGS_MAX};
use crate::{ApiKey, DecodeCause, DecodeError};

const VARINT_BYTES_MAX: u32 = 5;

/// Bytes that are being decoded; byte fields come out as slices of them, not as copies.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
    /// Offset one past the last of `bytes`, counted from the start of the input.
    end: usize,
    pub(crate) shape: Shape,
    message: &'static str,
    field: &'static str,
}

impl Reader {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        let end = bytes.len();
        Self { bytes, end, shape: Shape { version: 0, flexible: false }, message: "input", field: "start" }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes read so far.
    pub fn offset(&self) -> usize {
        self.end - self.bytes.len()
    }

    /// The bytes not read yet, without a copy.
    pub fn into_rest(self) -> Bytes {
        self.bytes
    }

    /// True when the bytes not read yet begin with `prefix`.
    pub(crate) fn starts_with(&self, prefix: &[u8]) -> bool {
        self.bytes.starts_with(prefix)
    }

    /// Succeeds when nothing is left.
    ///
    /// # Errors
    ///
    /// [`DecodeCause::TrailingBytes`].
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(self.fail(DecodeCause::TrailingBytes(self.bytes.len())))
        }
    }

    pub(crate) fn fail(&self, cause: DecodeCause) -> DecodeError {
        DecodeError {
            message: self.message,
            version: self.shape.version,
            field: self.field,
            offset: self.offset(),
            cause,
        }
    }

    /// Names what is read next, for errors.
    pub(crate) fn enter(&mut self, message: &'static str, field: &'static str, shape: Shape) {
        self.message = message;
        self.field = field;
        self.shape = shape;
    }

    pub(crate) fn message<T: Wire>(
        &mut self,
        name: &'static str,
        shape: Shape,
        (min, max): (i16, i16),
    ) -> Result<T, DecodeError> {
        self.enter(name, "version", shape);
        if !(min..=max).contains(&shape.version) {
            return Err(self.fail(DecodeCause::UnsupportedVersion { min, max }));
        }
        T::take(self)
    }

    /// The error of an API that has no message here.
    pub(crate) fn no_message(&self, api: ApiKey) -> DecodeError {
        DecodeError { message: api.name(), ..self.fail(DecodeCause::NoMessage) }
    }

    pub(crate) fn field<T: Wire>(&mut self, field: Field) -> Result<T, DecodeError> {
        self.field = field.name;
        let value = T::take(self)?;
        if self.shape.version < field.null_from && value.is_null() {
            self.field = field.name;
            return Err(self.fail(DecodeCause::UnexpectedNull));
        }
        Ok(value)
    }

    /// Reads the tagged fields; `known` takes a tag's value and returns true, or leaves it and returns false.
    pub(crate) fn tags(
        &mut self,
        name: &'static str,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        self.field = name;
        let count = self.varint()?;
        let mut unknown = 0;
        for _ in 0..count {
            self.field = name;
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            let mut value = self.part(size)?;
            if known(&mut value, tag)? {
                value.finish()?;
            } else {
                unknown += 1;
                if unknown > UNKNOWN_TAGS_MAX {
                    return Err(self.fail(DecodeCause::TooManyTags(UNKNOWN_TAGS_MAX)));
                }
            }
        }
        Ok(())
    }

    /// Splits off a reader over the next `size` bytes whose errors still count from the start of the input.
    fn part(&mut self, size: usize) -> Result<Self, DecodeError> {
        let bytes = self.slice(size)?;
        Ok(Self { end: self.offset(), bytes, shape: self.shape, message: self.message, field: self.field })
    }

    pub(crate) fn need(&self, needed: usize) -> Result<(), DecodeError> {
        let remaining = self.bytes.len();
        if needed > remaining { Err(self.fail(DecodeCause::Truncated { needed, remaining })) } else { Ok(()) }
    }

    pub(crate) fn slice(&mut self, size: usize) -> Result<Bytes, DecodeError> {
        self.need(size)?;
        Ok(self.bytes.split_to(size))
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.need(N)?;
        let mut value = [0; N];
        self.bytes.copy_to_slice(&mut value);
        Ok(value)
    }

    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value: u64 = 0;
        for at in 0..VARINT_BYTES_MAX {
            let [byte] = self.fixed()?;
            value |= u64::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| self.fail(DecodeCause::VarintTooLong));
            }
        }
        Err(self.fail(DecodeCause::VarintTooLong))
    }

    /// Reads a text's length; `None` is null.
    pub(crate) fn text_len(&mut self) -> Result<Option<usize>, DecodeError> {
        let len = if self.shape.flexible {
            self.compact_len()?
        } else {
            i64::from(i16::from_be_bytes(self.fixed()?))
        };
        if len > i64::from(i16::MAX) {
            return Err(self.fail(DecodeCause::TextTooLong(len)));
        }
        self.checked_len(len)
    }

    /// Reads the length of bytes or of an array; `None` is null.
    pub(crate) fn long_len(&mut self) -> Result<Option<usize>, DecodeError> {
        let len = if self.shape.flexible {
            self.compact_len()?
        } else {
            i64::from(i32::from_be_bytes(self.fixed()?))
        };
        self.checked_len(len)
    }

    fn compact_len(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from(self.varint()?) - 1)
    }

    fn checked_len(&self, len: i64) -> Result<Option<usize>, DecodeError> {
        match len {
            -1 => Ok(None),
            len => usize::try_from(len).map(Some).map_err(|_| self.fail(DecodeCause::NegativeLength(len))),
        }
    }

    /// Reads an array; `None` is null.
    pub(crate) fn array<T: Wire>(&mut self) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.long_len()? else {
            return Ok(None);
        };
        let remaining = self.bytes.len();
        if count > remaining / T::min_size(self.shape).max(1) {
            return Err(self.fail(DecodeCause::TooManyElements { count, remaining }));
        }
        let mut elements = Vec::with_capacity(count.min(PREALLOCATED_ELEMENTS));
        let field = self.field;
        for _ in 0..count {
            self.field = field;
            elements.push(T::take(self)?);
        }
        Ok(Some(elements))
    }
}
