//! A borrowed tree of values, and the macro that writes one.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A JSON value that borrows everything, so that properties need no heap.
///
/// ```
/// use whisperr_core::{Value, props};
///
/// let tags = [Value::from("front"), Value::from("left")];
/// let properties = props! { "door" => 3, "open" => true, "tags" => &tags[..], "ratio" => 0.5 };
/// assert_eq!(serde_json::to_string(&properties).unwrap(), r#"{"door":3,"open":true,"tags":["front","left"],"ratio":0.5}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that may be negative.
    Signed(i64),
    /// An integer from 0 up.
    Unsigned(u64),
    /// A floating-point number; it must be finite. With the feature `float`.
    #[cfg(feature = "float")]
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Values in order.
    Array(&'a [Self]),
    /// Names and values in order.
    Object(&'a [(&'a str, Self)]),
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(value),
            Self::Signed(value) => serializer.serialize_i64(value),
            Self::Unsigned(value) => serializer.serialize_u64(value),
            #[cfg(feature = "float")]
            Self::Float(value) => serializer.serialize_f64(value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Object(members) => object(members, serializer),
        }
    }
}

/// The names and values that [`props!`](crate::props) wrote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Props<'a, const N: usize>([(&'a str, Value<'a>); N]);

impl<'a, const N: usize> Props<'a, N> {
    /// Takes names and values in order; [`props!`](crate::props) is shorter.
    #[must_use]
    pub const fn new(members: [(&'a str, Value<'a>); N]) -> Self {
        Self(members)
    }

    /// The same as a value, to nest it in another object.
    #[must_use]
    pub const fn as_value(&'a self) -> Value<'a> {
        Value::Object(&self.0)
    }
}

impl<const N: usize> Serialize for Props<'_, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object(&self.0, serializer)
    }
}

fn object<S: Serializer>(members: &[(&str, Value<'_>)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(members.len()))?;
    members.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
    map.end()
}

macro_rules! from {
    ($($type:ty => |$value:ident| $made:expr;)*) => {$(
        impl<'a> From<$type> for Value<'a> {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )*};
}

from! {
    bool => |value| Self::Bool(value);
    i8 => |value| Self::Signed(value.into());
    i16 => |value| Self::Signed(value.into());
    i32 => |value| Self::Signed(value.into());
    i64 => |value| Self::Signed(value);
    isize => |value| Self::Signed(value as i64);
    u8 => |value| Self::Unsigned(value.into());
    u16 => |value| Self::Unsigned(value.into());
    u32 => |value| Self::Unsigned(value.into());
    u64 => |value| Self::Unsigned(value);
    usize => |value| Self::Unsigned(value as u64);
    &'a str => |value| Self::Text(value);
    &'a [Value<'a>] => |value| Self::Array(value);
    &'a [(&'a str, Value<'a>)] => |value| Self::Object(value);
    () => |_value| Self::Null;
}

#[cfg(feature = "float")]
from! {
    // Through the shortest text, so that 0.1_f32 does not become 0.10000000149011612.
    f32 => |value| Self::Float(ryu::Buffer::new().format(value).parse().unwrap_or(f64::from(value)));
    f64 => |value| Self::Float(value);
}

impl<'a, const N: usize> From<&'a Props<'a, N>> for Value<'a> {
    fn from(value: &'a Props<'a, N>) -> Self {
        value.as_value()
    }
}

impl<'a, T> From<Option<T>> for Value<'a>
where
    Self: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Self::from)
    }
}

/// Writes properties, traits or context: names and values, borrowed, without a heap.
///
/// ```
/// use whisperr_core::props;
///
/// let price = props! { "amount" => 42, "currency" => "USD" };
/// let properties = props! { "price" => &price, "coupon" => None::<&str> };
/// assert_eq!(
///     serde_json::to_string(&properties).unwrap(),
///     r#"{"price":{"amount":42,"currency":"USD"},"coupon":null}"#,
/// );
/// ```
#[macro_export]
macro_rules! props {
    ($($name:expr => $value:expr),* $(,)?) => {
        $crate::Props::new([$(($name, $crate::Value::from($value))),*])
    };
}
