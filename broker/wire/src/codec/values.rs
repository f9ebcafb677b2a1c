//! The protocol's value types.

use bytes::{BufMut, Bytes};

use super::{Reader, Shape, Wire, Writer};
use crate::{DecodeCause, DecodeError, EncodeError, Uuid};

macro_rules! integers {
    ($($type:ty, $put:ident;)+) => {$(
        impl Wire for $type {
            fn min_size(_: Shape) -> usize {
                size_of::<Self>()
            }

            fn put(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
                out.out.$put(*self);
                Ok(())
            }

            fn take(input: &mut Reader) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(input.fixed()?))
            }
        }
    )+};
}

integers! {
    i8, put_i8;
    i16, put_i16;
    i32, put_i32;
    i64, put_i64;
}

impl Wire for bool {
    fn min_size(_: Shape) -> usize {
        1
    }

    fn put(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.out.put_u8(u8::from(*self));
        Ok(())
    }

    fn take(input: &mut Reader) -> Result<Self, DecodeError> {
        let [byte] = input.fixed()?;
        Ok(byte != 0)
    }
}

impl Wire for Uuid {
    fn min_size(_: Shape) -> usize {
        size_of::<Self>()
    }

    fn put(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.out.put_slice(&self.0);
        Ok(())
    }

    fn take(input: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self(input.fixed()?))
    }
}

/// Values whose length goes first; `Option` of one is the same bytes with room for null.
trait Prefixed: Wire {
    fn put_nullable(value: Option<&Self>, out: &mut Writer<'_>) -> Result<(), EncodeError>;
    fn take_nullable(input: &mut Reader) -> Result<Option<Self>, DecodeError>;

    fn take_present(input: &mut Reader) -> Result<Self, DecodeError> {
        match Self::take_nullable(input)? {
            Some(value) => Ok(value),
            None => Err(input.fail(DecodeCause::UnexpectedNull)),
        }
    }
}

impl Prefixed for String {
    fn put_nullable(value: Option<&Self>, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.text_len(value.map(String::len))?;
        out.out.put_slice(value.map_or(&[], |text| text.as_bytes()));
        Ok(())
    }

    fn take_nullable(input: &mut Reader) -> Result<Option<Self>, DecodeError> {
        let Some(len) = input.text_len()? else {
            return Ok(None);
        };
        let bytes = input.slice(len)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(input.fail(DecodeCause::NotUtf8)),
        }
    }
}

impl Prefixed for Bytes {
    fn put_nullable(value: Option<&Self>, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.long_len(value.map(Bytes::len))?;
        if let Some(bytes) = value {
            out.bytes(bytes);
        }
        Ok(())
    }

    fn take_nullable(input: &mut Reader) -> Result<Option<Self>, DecodeError> {
        let Some(len) = input.long_len()? else {
            return Ok(None);
        };
        input.slice(len).map(Some)
    }
}

impl<T: Wire> Prefixed for Vec<T> {
    fn put_nullable(value: Option<&Self>, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.long_len(value.map(Vec::len))?;
        value.into_iter().flatten().try_for_each(|element| element.put(out))
    }

    fn take_nullable(input: &mut Reader) -> Result<Option<Self>, DecodeError> {
        input.array()
    }
}

macro_rules! prefixed {
    ($([$($parameter:tt)*] $type:ty, $short:literal;)+) => {$(
        impl<$($parameter)*> Wire for $type {
            fn min_size(shape: Shape) -> usize {
                if shape.flexible { 1 } else { $short }
            }

            fn put(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
                Prefixed::put_nullable(Some(self), out)
            }

            fn take(input: &mut Reader) -> Result<Self, DecodeError> {
                Prefixed::take_present(input)
            }
        }

        impl<$($parameter)*> Wire for Option<$type> {
            fn min_size(shape: Shape) -> usize {
                if shape.flexible { 1 } else { $short }
            }

            fn put(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
                Prefixed::put_nullable(self.as_ref(), out)
            }

            fn take(input: &mut Reader) -> Result<Self, DecodeError> {
                Prefixed::take_nullable(input)
            }

            fn is_null(&self) -> bool {
                self.is_none()
            }
        }
    )+};
}

prefixed! {
    [] String, 2;
    [] Bytes, 4;
    [T: Wire] Vec<T>, 4;
}
