//! Puts values into bytes, and refuses what the version cannot say.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Field, Shape, Wire};
use crate::{EncodeCause, EncodeError};

/// Where a message is being encoded to.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut BytesMut,
    pub(crate) shape: Shape,
    message: &'static str,
    field: &'static str,
    /// Where set, byte fields are left out of `out` and kept here with the place that they belong at.
    left_out: Option<&'a mut Vec<(usize, Bytes)>>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        out: &'a mut BytesMut,
        message: &'static str,
        field: &'static str,
        shape: Shape,
    ) -> Self {
        Self { out, shape, message, field, left_out: None }
    }

    /// Encodes a whole message; on an error `out` is as it was.
    pub(crate) fn message<T: Wire>(
        out: &'a mut BytesMut,
        name: &'static str,
        shape: Shape,
        (min, max): (i16, i16),
        value: &T,
        left_out: Option<&'a mut Vec<(usize, Bytes)>>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let mut writer = Self { left_out, ..Self::new(out, name, "version", shape) };
        let result = if (min..=max).contains(&shape.version) {
            value.put(&mut writer)
        } else {
            Err(writer.fail(EncodeCause::UnsupportedVersion { min, max }))
        };
        if result.is_err() {
            writer.out.truncate(start);
        }
        result
    }

    pub(crate) fn fail(&self, cause: EncodeCause) -> EncodeError {
        EncodeError { message: self.message, version: self.shape.version, field: self.field, cause }
    }

    /// Writes an untagged field, if the version has it.
    pub(crate) fn field<T: Wire + PartialEq>(
        &mut self,
        field: Field,
        value: &T,
        default: impl Fn() -> T,
    ) -> Result<(), EncodeError> {
        self.field = field.name;
        let version = self.shape.version;
        if !field.is_in(version) {
            let lost = !field.ignorable && *value != default();
            return if lost { Err(self.fail(EncodeCause::NotInVersion)) } else { Ok(()) };
        }
        if version < field.null_from && value.is_null() {
            return Err(self.fail(EncodeCause::NullInVersion));
        }
        if field.tag.is_some() {
            return Ok(());
        }
        value.put(self)
    }

    /// Writes the bytes of a byte field, behind their length.
    pub(crate) fn bytes(&mut self, bytes: &Bytes) {
        match &mut self.left_out {
            Some(left_out) => left_out.push((self.out.len(), bytes.clone())),
            None => self.out.put_slice(bytes),
        }
    }

    pub(crate) fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }

    /// Writes a text's length; `None` is null.
    pub(crate) fn text_len(&mut self, len: Option<usize>) -> Result<(), EncodeError> {
        let signed = self.signed(len, i16::MAX as usize)?;
        if self.shape.flexible {
            self.varint((signed + 1) as u32);
        } else {
            self.out.put_i16(signed as i16);
        }
        Ok(())
    }

    /// Writes the length of bytes or of an array; `None` is null.
    pub(crate) fn long_len(&mut self, len: Option<usize>) -> Result<(), EncodeError> {
        let signed = self.signed(len, i32::MAX as usize)?;
        if self.shape.flexible {
            self.varint((signed + 1) as u32);
        } else {
            self.out.put_i32(signed as i32);
        }
        Ok(())
    }

    fn signed(&self, len: Option<usize>, max: usize) -> Result<i64, EncodeError> {
        match len {
            None => Ok(-1),
            Some(len) if len <= max => Ok(len as i64),
            Some(len) => Err(self.fail(EncodeCause::TooLong(len))),
        }
    }
}

/// The tagged fields of one struct, gathered because their number goes first.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    count: u32,
    bytes: BytesMut,
}

impl Tags {
    /// Adds a tagged field that the version has and that is not at its default.
    pub(crate) fn field<T: Wire + PartialEq>(
        &mut self,
        out: &Writer<'_>,
        field: Field,
        value: &T,
        default: impl Fn() -> T,
    ) -> Result<(), EncodeError> {
        let Some(tag) = field.tag else { return Ok(()) };
        if !field.is_in(out.shape.version) || *value == default() {
            return Ok(());
        }
        let mut payload = BytesMut::new();
        value.put(&mut Writer::new(&mut payload, out.message, field.name, out.shape))?;
        let mut writer = Writer::new(&mut self.bytes, out.message, field.name, out.shape);
        writer.varint(tag);
        writer
            .varint(u32::try_from(payload.len()).map_err(|_| out.fail(EncodeCause::TooLong(payload.len())))?);
        writer.out.put_slice(&payload);
        self.count += 1;
        Ok(())
    }

    pub(crate) fn finish(self, out: &mut Writer<'_>) {
        out.varint(self.count);
        out.out.put_slice(&self.bytes);
    }
}
