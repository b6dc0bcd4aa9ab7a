//! The `serde` side of the encoder: anything `Serialize` becomes a stored tree.

use core::fmt;

use serde::ser::{self, Serialize};

use crate::encode::{Encoder, ValueError};
use crate::json;
use crate::tree;

/// serde_json's own marker for a number kept as text (its feature `arbitrary_precision`).
const SERDE_JSON_NUMBER: &str = "$serde_json::private::Number";

impl<'e, 'a> ser::Serializer for &'e mut Encoder<'a> {
    type Ok = ();
    type Error = ValueError;
    type SerializeSeq = Compound<'e, 'a>;
    type SerializeTuple = Compound<'e, 'a>;
    type SerializeTupleStruct = Compound<'e, 'a>;
    type SerializeTupleVariant = Compound<'e, 'a>;
    type SerializeMap = Compound<'e, 'a>;
    type SerializeStruct = Compound<'e, 'a>;
    type SerializeStructVariant = Compound<'e, 'a>;

    fn serialize_bool(self, value: bool) -> Result<(), ValueError> {
        self.byte(if value { tree::TRUE } else { tree::FALSE })
    }

    fn serialize_i8(self, value: i8) -> Result<(), ValueError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), ValueError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), ValueError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), ValueError> {
        match u64::try_from(value) {
            Ok(value) => self.unsigned(value),
            // In two's complement, the complement of v is -1 - v.
            Err(_) => self.negative(!value as u64),
        }
    }

    fn serialize_i128(self, value: i128) -> Result<(), ValueError> {
        self.number_display(format_args!("{value}"))
    }

    fn serialize_u8(self, value: u8) -> Result<(), ValueError> {
        self.unsigned(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), ValueError> {
        self.unsigned(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), ValueError> {
        self.unsigned(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), ValueError> {
        self.unsigned(value)
    }

    fn serialize_u128(self, value: u128) -> Result<(), ValueError> {
        self.number_display(format_args!("{value}"))
    }

    #[cfg(feature = "float")]
    fn serialize_f32(self, value: f32) -> Result<(), ValueError> {
        if !value.is_finite() {
            return Err(ValueError::NotFinite);
        }
        self.number(ryu::Buffer::new().format_finite(value))
    }

    #[cfg(not(feature = "float"))]
    fn serialize_f32(self, _value: f32) -> Result<(), ValueError> {
        Err(ValueError::FloatLeftOut)
    }

    #[cfg(feature = "float")]
    fn serialize_f64(self, value: f64) -> Result<(), ValueError> {
        if !value.is_finite() {
            return Err(ValueError::NotFinite);
        }
        self.number(ryu::Buffer::new().format_finite(value))
    }

    #[cfg(not(feature = "float"))]
    fn serialize_f64(self, _value: f64) -> Result<(), ValueError> {
        Err(ValueError::FloatLeftOut)
    }

    fn serialize_char(self, value: char) -> Result<(), ValueError> {
        self.string(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), ValueError> {
        self.string(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), ValueError> {
        self.open(tree::ARRAY)?;
        value.iter().try_for_each(|byte| self.unsigned(u64::from(*byte)))?;
        self.close()
    }

    fn serialize_none(self) -> Result<(), ValueError> {
        self.byte(tree::NULL)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ValueError> {
        self.byte(tree::NULL)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), ValueError> {
        self.byte(tree::NULL)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), ValueError> {
        self.string(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.open(tree::OBJECT)?;
        self.string(variant)?;
        value.serialize(&mut *self)?;
        self.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'e, 'a>, ValueError> {
        Compound::open(self, tree::ARRAY)
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'e, 'a>, ValueError> {
        Compound::open(self, tree::ARRAY)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'e, 'a>, ValueError> {
        Compound::open(self, tree::ARRAY)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'e, 'a>, ValueError> {
        Compound::open_variant(self, variant, tree::ARRAY)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'e, 'a>, ValueError> {
        Compound::open(self, tree::OBJECT)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'e, 'a>, ValueError> {
        if name == SERDE_JSON_NUMBER {
            return Ok(Compound { encoder: self, ends: 0 });
        }
        Compound::open(self, tree::OBJECT)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'e, 'a>, ValueError> {
        Compound::open_variant(self, variant, tree::OBJECT)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), ValueError> {
        self.text(format_args!("{value}"))
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}

impl Encoder<'_> {
    fn number_display(&mut self, digits: fmt::Arguments<'_>) -> Result<(), ValueError> {
        // An `i128` has at most 40 characters.
        let mut text = Digits { bytes: [0; 40], len: 0 };
        fmt::Write::write_fmt(&mut text, digits).map_err(|_| ValueError::Refused)?;
        let digits = text.bytes.get(..text.len).unwrap_or_default();
        json::encode_number(core::str::from_utf8(digits).unwrap_or_default(), self)
    }
}

struct Digits {
    bytes: [u8; 40],
    len: usize,
}

impl fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.bytes.get_mut(self.len..).ok_or(fmt::Error)?;
        free.get_mut(..text.len()).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = self.len.saturating_add(text.len());
        Ok(())
    }
}

/// An array or object under way.
#[derive(Debug)]
pub struct Compound<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    /// How many ends close it: 2 for a variant, 0 for a number in serde_json's disguise.
    ends: u8,
}

impl<'e, 'a> Compound<'e, 'a> {
    fn open(encoder: &'e mut Encoder<'a>, tag: u8) -> Result<Self, ValueError> {
        encoder.open(tag)?;
        Ok(Self { encoder, ends: 1 })
    }

    fn open_variant(encoder: &'e mut Encoder<'a>, variant: &str, tag: u8) -> Result<Self, ValueError> {
        encoder.open(tree::OBJECT)?;
        encoder.string(variant)?;
        encoder.open(tag)?;
        Ok(Self { encoder, ends: 2 })
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        value.serialize(&mut *self.encoder)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), ValueError> {
        if self.ends == 0 {
            return self.encoder.number_from_text(value);
        }
        self.encoder.string(key)?;
        self.value(value)
    }

    fn close(self) -> Result<(), ValueError> {
        (0..self.ends).try_for_each(|_| self.encoder.close())
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident)*) => {$(
        impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.value(value)
            }

            fn end(self) -> Result<(), ValueError> {
                self.close()
            }
        }
    )*};
}

elements! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

macro_rules! fields {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = ValueError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), ValueError> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), ValueError> {
                self.close()
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        self.encoder.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.value(value)
    }

    fn end(self) -> Result<(), ValueError> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Integers need it not; what needs it is refused by name, and nothing else is lost.
    #[test]
    fn a_floating_point_number_is_taken_or_refused_as_the_feature_says() {
        #[derive(serde::Serialize)]
        struct Weight<T> {
            kg: T,
        }
        let mut buffer = [0; 64];
        let mut encode = |value: &dyn crate::Properties| Encoder::new(&mut buffer).object(value);

        assert_eq!(encode(&Weight { kg: 70 }), Ok(()));
        let expected = if cfg!(feature = "float") { Ok(()) } else { Err(ValueError::FloatLeftOut) };
        assert_eq!(encode(&Weight { kg: 70.5_f64 }), expected);
        assert_eq!(encode(&Weight { kg: 70.5_f32 }), expected);
        assert_eq!(encode(&crate::Json(r#"{"kg":70.5}"#)), Ok(()), "text stays text");
    }
}
