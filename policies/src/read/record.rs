//! A mapping with fixed fields, declared once: the type, how it is read, written back and described.

/// Declares a struct that is a mapping in a policy.
///
/// `field "key": Type = default,` or, where a value must be given, `field "key": Type,`. Keys under `later`
/// are specified but not done yet, and say so.
///
/// With `with default` every field needs a default, and the struct gets `Default` from the same values.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident in $what:literal with default {
            $($(#[doc = $field_doc:literal])* $field:ident $key:literal: $type:ty = $default:expr,)*
        }
        $(later [$($later:literal),* $(,)?])?
    ) => {
        record! {
            $(#[doc = $doc])*
            $vis struct $name in $what {
                $($(#[doc = $field_doc])* $field $key: $type = $default,)*
            }
            $(later [$($later),*])?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident in $what:literal {
            $($(#[doc = $field_doc:literal])* $field:ident $key:literal: $type:ty $(= $default:expr)?,)*
        }
        $(later [$($later:literal),* $(,)?])?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $($(#[doc = $field_doc])* $vis $field: $type,)*
        }

        impl $crate::read::Value for $name {
            fn read(node: &$crate::node::Node, reader: &mut $crate::read::Reader<'_>) -> Option<Self> {
                let later: &[&str] = &[$($($later),*)?];
                reader.entries(node, $what, &[$($key),*], later)?;
                $(
                    #[allow(unused_mut, unused_assignments)]
                    let mut default: Option<fn() -> $type> = None;
                    $(default = Some(|| $default);)?
                    let $field = reader.field::<$type>(node, $what, $key, default);
                )*
                Some(Self { $($field: $field?,)* })
            }

            fn plain(&self) -> $crate::plain::Plain {
                $crate::plain::Plain::Map(vec![
                    $(($key.to_owned(), $crate::read::Value::plain(&self.$field)),)*
                ])
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut record = $crate::schema::Record::new(concat!($($doc, "\n"),*));
                $(
                    #[allow(unused_mut, unused_assignments)]
                    let mut default: Option<$crate::plain::Plain> = None;
                    $(default = Some($crate::read::Value::plain(&{ let value: $type = $default; value }));)?
                    let schema = <$type as $crate::read::Value>::schema(generator);
                    record.field($key, schema, concat!("", $($field_doc, "\n"),*), default);
                )*
                record.finish()
            }
        }
    };
}

pub(crate) use record;
