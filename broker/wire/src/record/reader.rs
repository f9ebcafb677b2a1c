//! Reads a record's varints and byte strings; every length is checked against what is left.

use super::Malformed;

/// A cursor over bytes that may be hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn varint(&mut self) -> Result<i32, Malformed> {
        let zigzag = u32::try_from(self.unsigned(5)?).map_err(|_| Malformed::Varint)?;
        Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
    }

    #[inline]
    pub(super) fn varlong(&mut self) -> Result<i64, Malformed> {
        let zigzag = self.unsigned(10)?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A byte string after its length.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| Malformed::Length(length))?)
    }

    /// A byte string after its length, where -1 stands for none.
    #[inline]
    pub(super) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed::Length(length))?;
                self.take(length).map(Some)
            }
        }
    }

    #[inline]
    fn unsigned(&mut self, bytes_max: u32) -> Result<u64, Malformed> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            _ => self.unsigned_of_many(bytes_max),
        }
    }

    fn unsigned_of_many(&mut self, bytes_max: u32) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for place in 0..bytes_max {
            let [byte, rest @ ..] = self.rest else {
                return Err(Malformed::Truncated);
            };
            self.rest = rest;
            if place == 9 && *byte > 1 {
                return Err(Malformed::Varint);
            }
            value |= u64::from(*byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }
}
