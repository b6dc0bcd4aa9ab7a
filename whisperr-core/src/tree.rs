//! Properties, traits and context as stored: a compact, self-delimiting tree of JSON values.
//!
//! One tag byte, then what it needs. Strings are stored escaped as JSON wants them, so that writing
//! a body is copying; numbers that are not plain integers are stored as their decimal text, so that
//! a caller's value is sent verbatim.
//!
//! | tag | value |
//! |---|---|
//! | `00` | end of the innermost array or object |
//! | `01` `02` `03` | null, false, true |
//! | `04` *n* | the integer *n* |
//! | `05` *n* | the integer −1 − *n* |
//! | `06` *len* bytes | number as JSON text |
//! | `07` *len* bytes | string |
//! | `08`, `09` | array: values until `00`; object: string and value in turn, until `00` |
//! | `40`–`7f` | the integers 0 to 63 |
//! | `80`–`ff` | a string of 0 to 127 bytes |
//!
//! *n* and *len* are varints as in postcard: seven bits a byte, the lowest first.

use serde::Deserialize;

use crate::json;

/// Deepest nesting of arrays and objects, the outermost object included.
pub const DEPTH_MAX: usize = 32;

pub(crate) const END: u8 = 0x00;
pub(crate) const NULL: u8 = 0x01;
pub(crate) const FALSE: u8 = 0x02;
pub(crate) const TRUE: u8 = 0x03;
pub(crate) const UNSIGNED: u8 = 0x04;
pub(crate) const NEGATIVE: u8 = 0x05;
pub(crate) const NUMBER: u8 = 0x06;
pub(crate) const STRING: u8 = 0x07;
pub(crate) const ARRAY: u8 = 0x08;
pub(crate) const OBJECT: u8 = 0x09;
pub(crate) const SMALL_INTEGER: u8 = 0x40;
pub(crate) const SHORT_STRING: u8 = 0x80;

/// The stored bytes are not a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadTree;

/// One step through a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    End,
    Null,
    Bool(bool),
    Unsigned(u64),
    /// The integer −1 − n.
    Negative(u64),
    /// JSON text of a number, as stored: [`is_valid`] checks it.
    Number(&'a [u8]),
    /// Escaped JSON text without the quotes, as stored: [`is_valid`] checks it.
    Text(&'a [u8]),
    Array,
    Object,
}

/// Reads nodes from the front of stored bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn byte(&mut self) -> Result<u8, BadTree> {
        let (byte, rest) = self.rest.split_first().ok_or(BadTree)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], BadTree> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(BadTree)?;
        self.rest = rest;
        Ok(*array)
    }

    /// A value that postcard wrote.
    pub(crate) fn postcard<T: Deserialize<'a>>(&mut self) -> Result<T, BadTree> {
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(|_| BadTree)?;
        self.rest = rest;
        Ok(value)
    }

    fn varint(&mut self) -> Result<u64, BadTree> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                return Err(BadTree);
            }
            value |= shifted;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BadTree)
    }

    fn text(&mut self, len: usize) -> Result<&'a [u8], BadTree> {
        let (text, rest) = self.rest.split_at_checked(len).ok_or(BadTree)?;
        self.rest = rest;
        Ok(text)
    }

    fn long_text(&mut self) -> Result<&'a [u8], BadTree> {
        let len = usize::try_from(self.varint()?).map_err(|_| BadTree)?;
        self.text(len)
    }

    pub(crate) fn node(&mut self) -> Result<Node<'a>, BadTree> {
        Ok(match self.byte()? {
            END => Node::End,
            NULL => Node::Null,
            FALSE => Node::Bool(false),
            TRUE => Node::Bool(true),
            UNSIGNED => Node::Unsigned(self.varint()?),
            NEGATIVE => Node::Negative(self.varint()?),
            NUMBER => Node::Number(self.long_text()?),
            STRING => Node::Text(self.long_text()?),
            ARRAY => Node::Array,
            OBJECT => Node::Object,
            tag @ SMALL_INTEGER..SHORT_STRING => Node::Unsigned(u64::from(tag & 0x3f)),
            tag @ SHORT_STRING.. => Node::Text(self.text(usize::from(tag & 0x7f))?),
            _ => return Err(BadTree),
        })
    }

    /// Steps over one value, whatever is in it.
    pub(crate) fn skip(&mut self) -> Result<(), BadTree> {
        let mut depth = 0_usize;
        loop {
            match self.node()? {
                Node::Array | Node::Object => depth = depth.saturating_add(1),
                Node::End => depth = depth.checked_sub(1).ok_or(BadTree)?,
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// A string node.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], BadTree> {
        match self.node()? {
            Node::Text(text) => Ok(text),
            _ => Err(BadTree),
        }
    }
}

/// One member of a stored object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    /// Its key, escaped.
    pub(crate) key: &'a [u8],
    /// Key and value as stored.
    pub(crate) bytes: &'a [u8],
}

/// The members of a stored object.
#[derive(Debug)]
pub(crate) struct Members<'a>(Reader<'a>);

impl<'a> Members<'a> {
    pub(crate) fn of(object: &'a [u8]) -> Result<Self, BadTree> {
        let mut reader = Reader::new(object);
        if reader.node()? == Node::Object { Ok(Self(reader)) } else { Err(BadTree) }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Member<'a>>, BadTree> {
        let start = self.0.rest();
        let key = match self.0.node()? {
            Node::End => return Ok(None),
            Node::Text(key) => key,
            _ => return Err(BadTree),
        };
        self.0.skip()?;
        let len = start.len().saturating_sub(self.0.rest().len());
        Ok(Some(Member { key, bytes: start.get(..len).ok_or(BadTree)? }))
    }
}

/// Whether stored text can stand between quotes as it is.
pub(crate) fn is_text(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok_and(json::is_escaped)
}

/// Whether a node can be written as it is: true of everything an encoder stored, not of any bytes.
pub(crate) fn is_valid(node: Node<'_>) -> bool {
    match node {
        Node::Text(text) => is_text(text),
        Node::Number(text) => json::is_number(text),
        // The magnitude of −1 − n is n + 1: no `i64` is stored as more than 2^63.
        Node::Negative(n) => i64::try_from(n).is_ok(),
        _ => true,
    }
}

/// Which of the open arrays and objects are objects, the innermost last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nesting {
    objects: u32,
    depth: u8,
}

impl Nesting {
    pub(crate) const fn new() -> Self {
        Self { objects: 0, depth: 0 }
    }

    pub(crate) fn push(&mut self, object: bool) -> Result<(), BadTree> {
        if usize::from(self.depth) >= DEPTH_MAX {
            return Err(BadTree);
        }
        self.objects = (self.objects << 1) | u32::from(object);
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    pub(crate) const fn pop(&mut self) {
        self.objects >>= 1;
        self.depth = self.depth.saturating_sub(1);
    }

    /// Whether the innermost is an object; `None` when nothing is open.
    pub(crate) const fn innermost(self) -> Option<bool> {
        if self.depth == 0 { None } else { Some(self.objects & 1 == 1) }
    }
}

const _: () = assert!(DEPTH_MAX <= u32::BITS as usize);
