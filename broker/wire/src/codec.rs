//! How values become bytes: the table entry of a field, the reader, the writer, and the macro that declares messages.

mod reader;
#[cfg(test)]
pub(crate) mod sample;
mod values;
mod writer;

pub use reader::Reader;
pub(crate) use writer::{Tags, Writer};

use crate::{DecodeError, EncodeError};

/// The version of the message at hand, and whether that version uses compact lengths and tagged fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) version: i16,
    pub(crate) flexible: bool,
}

impl Shape {
    /// The shape of `version` where flexible encoding starts at `flexible_from`.
    pub(crate) const fn new(version: i16, flexible_from: i16) -> Self {
        Self { version, flexible: version >= flexible_from }
    }
}

/// A value that has a place in a message.
pub(crate) trait Wire: Sized {
    /// The fewest bytes that a value takes.
    fn min_size(shape: Shape) -> usize;
    fn put(&self, out: &mut Writer<'_>) -> Result<(), EncodeError>;
    fn take(input: &mut Reader) -> Result<Self, DecodeError>;
    fn is_null(&self) -> bool {
        false
    }
}

/// What the table says about one field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    from: i16,
    to: i16,
    null_from: i16,
    tag: Option<u32>,
    ignorable: bool,
}

impl Field {
    pub(crate) const fn new(name: &'static str, (from, to): (i16, i16)) -> Self {
        Self { name, from, to, null_from: 0, tag: None, ignorable: false }
    }

    /// A value may be dropped silently in versions without the field.
    pub(crate) const fn ignorable(mut self) -> Self {
        self.ignorable = true;
        self
    }

    /// The first version in which null is allowed.
    pub(crate) const fn null_from(mut self, version: i16) -> Self {
        self.null_from = version;
        self
    }

    /// The field is a tagged one.
    pub(crate) const fn tag(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }

    const fn is_in(&self, version: i16) -> bool {
        self.from <= version && version <= self.to
    }

    /// True when the field stands among the untagged fields of `version`.
    pub(crate) const fn is_plain(&self, version: i16) -> bool {
        self.tag.is_none() && self.is_in(version)
    }

    /// True when the field has `tag` in `version`.
    pub(crate) const fn has_tag(&self, tag: u32, version: i16) -> bool {
        self.is_in(version) && matches!(self.tag, Some(own) if own == tag)
    }
}

/// `[3..]`, `[3..=12]` of a field's line as a pair.
macro_rules! versions {
    ($from:literal ..) => {
        ($from, i16::MAX)
    };
    ($from:literal ..= $to:literal) => {
        ($from, $to)
    };
}

/// The default of a field: what its line says, else the type's.
macro_rules! default_of {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

/// The table entry of a field as a constant.
macro_rules! field_of {
    ($message:ident, $field:ident, [$($versions:tt)+] $($option:ident $(($arg:expr))?),*) => {
        const {
            $crate::codec::Field::new(concat!(stringify!($message), ".", stringify!($field)), versions!($($versions)+))
                $(.$option($($arg)?))*
        }
    };
}

/// Declares structs of the protocol, each field once:
/// `name: Type [first..=last version] = default, ignorable, null_from(version), tag(number);`.
///
/// A field outside its versions is not written, and is an error when it is neither ignorable nor at its default.
macro_rules! message {
    ($(
        $(#[$meta:meta])*
        $name:ident {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $type:ty [$($versions:tt)+] $(= $default:expr)? $(, $option:ident $(($arg:expr))?)*;
            )*
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: default_of!($($default)?),)* }
            }
        }

        impl $crate::codec::Wire for $name {
            fn min_size(shape: $crate::codec::Shape) -> usize {
                let mut size = usize::from(shape.flexible);
                $(
                    let field = field_of!($name, $field, [$($versions)+] $($option $(($arg))?),*);
                    if field.is_plain(shape.version) {
                        size += <$type as $crate::codec::Wire>::min_size(shape);
                    }
                )*
                size
            }

            fn put(&self, out: &mut $crate::codec::Writer<'_>) -> Result<(), $crate::EncodeError> {
                $(
                    let field = field_of!($name, $field, [$($versions)+] $($option $(($arg))?),*);
                    out.field(field, &self.$field, || default_of!($($default)?))?;
                )*
                if out.shape.flexible {
                    let mut tags = $crate::codec::Tags::default();
                    $(
                        let field = field_of!($name, $field, [$($versions)+] $($option $(($arg))?),*);
                        tags.field(out, field, &self.$field, || default_of!($($default)?))?;
                    )*
                    tags.finish(out);
                }
                Ok(())
            }

            fn take(input: &mut $crate::codec::Reader) -> Result<Self, $crate::DecodeError> {
                let mut value = Self::default();
                $(
                    let field = field_of!($name, $field, [$($versions)+] $($option $(($arg))?),*);
                    if field.is_plain(input.shape.version) {
                        value.$field = input.field(field)?;
                    }
                )*
                if input.shape.flexible {
                    input.tags(stringify!($name), |input, tag| {
                        $(
                            let field = field_of!($name, $field, [$($versions)+] $($option $(($arg))?),*);
                            if field.has_tag(tag, input.shape.version) {
                                value.$field = input.field(field)?;
                                return Ok(true);
                            }
                        )*
                        let _ = (&mut value, input, tag);
                        Ok(false)
                    })?;
                }
                Ok(value)
            }
        }

        #[cfg(test)]
        impl $crate::codec::sample::Sample for $name {
            fn sample(seed: &mut $crate::codec::sample::Seed, shape: $crate::codec::Shape) -> Self {
                Self {
                    $($field: seed.field(
                        field_of!($name, $field, [$($versions)+] $($option $(($arg))?),*),
                        shape,
                        default_of!($($default)?),
                    ),)*
                }
            }
        }
    )+};
}

/// Makes a struct of [`message!`] a message of its own, with the versions it has.
macro_rules! top_level {
    ($name:ident, $min:literal ..= $max:literal, flexible $flexible_from:expr) => {
        impl $crate::Message for $name {
            fn encode(&self, version: i16, out: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                let shape = $crate::codec::Shape::new(version, $flexible_from);
                $crate::codec::Writer::message(out, stringify!($name), shape, ($min, $max), self, None)
            }

            fn encode_around(
                &self,
                version: i16,
                out: &mut bytes::BytesMut,
                left_out: &mut Vec<(usize, bytes::Bytes)>,
            ) -> Result<(), $crate::EncodeError> {
                let shape = $crate::codec::Shape::new(version, $flexible_from);
                let left_out = Some(left_out);
                $crate::codec::Writer::message(out, stringify!($name), shape, ($min, $max), self, left_out)
            }

            fn decode(input: &mut $crate::Reader, version: i16) -> Result<Self, $crate::DecodeError> {
                let shape = $crate::codec::Shape::new(version, $flexible_from);
                input.message(stringify!($name), shape, ($min, $max))
            }
        }

        #[cfg(test)]
        impl $crate::tests::Sampled for $name {
            fn sampled(seed: u64, version: i16) -> Self {
                let shape = $crate::codec::Shape::new(version, $flexible_from);
                $crate::codec::sample::Sample::sample(&mut $crate::codec::sample::Seed(seed), shape)
            }
        }
    };
}

/// Ties a request to its response: `api!(Key: Request => Response, min..=max, flexible from);`.
macro_rules! api {
    ($key:ident : $request:ident => $response:ident, $min:literal ..= $max:literal, flexible $flexible_from:expr) => {
        top_level!($request, $min..=$max, flexible $flexible_from);
        top_level!($response, $min..=$max, flexible $flexible_from);

        impl $crate::Request for $request {
            const KEY: $crate::ApiKey = $crate::ApiKey::$key;
            const MIN_VERSION: i16 = $min;
            const MAX_VERSION: i16 = $max;
            const FLEXIBLE_FROM: i16 = $flexible_from;
            type Response = $response;
        }
    };
}
