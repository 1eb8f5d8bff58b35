//! From constants to bytes, at compile time: the schema, and the signatures of its entry points.
//!
//! It allocates nothing and never fails but by a failing build.
use super::{
    EMITS, EntryPointDef, FORMAT, HAS_ERRORS, ON_CANCEL, ON_EVENT, ON_SESSION_END, ON_TIMER, SchemaDef, WAITS,
};
use crate::{EnumShape, FieldShape, Shape, StructShape, VariantShape, fnv1a_64, limits};

/// Counts when it has no buffer, writes when it has one: length and bytes come from the same code.
struct Sink<'a> {
    buffer: Option<&'a mut [u8]>,
    at: usize,
    docs: bool,
}

impl Sink<'_> {
    const fn byte(&mut self, byte: u8) {
        if let Some(buffer) = &mut self.buffer {
            buffer[self.at] = byte;
        }
        self.at += 1;
    }

    const fn raw(&mut self, bytes: &[u8]) {
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
    }

    const fn count(&mut self, count: usize) {
        assert!(
            count <= u16::MAX as usize,
            "a schema's strings and lists have at most 65,535 bytes or items"
        );
        self.raw(&(count as u16).to_le_bytes());
    }

    const fn text(&mut self, text: &str) {
        self.count(text.len());
        self.raw(text.as_bytes());
    }

    const fn docs(&mut self, docs: &str) {
        self.text(if self.docs { docs } else { "" });
    }

    const fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Unit => self.byte(0),
            Shape::Bool => self.byte(1),
            Shape::U8 => self.byte(2),
            Shape::U16 => self.byte(3),
            Shape::U32 => self.byte(4),
            Shape::U64 => self.byte(5),
            Shape::U128 => self.byte(6),
            Shape::I8 => self.byte(7),
            Shape::I16 => self.byte(8),
            Shape::I32 => self.byte(9),
            Shape::I64 => self.byte(10),
            Shape::I128 => self.byte(11),
            Shape::Char => self.byte(12),
            Shape::String => self.byte(13),
            Shape::Bytes => self.byte(14),
            Shape::Token => self.byte(15),
            Shape::Time => self.byte(16),
            Shape::Revision => self.byte(17),
            Shape::SessionId => self.byte(18),
            Shape::Option(item) => {
                self.byte(19);
                self.shape(item);
            }
            Shape::List(item) => {
                self.byte(20);
                self.shape(item);
            }
            Shape::Map(key, value) => {
                self.byte(21);
                self.shape(key);
                self.shape(value);
            }
            Shape::Tuple(items) => {
                self.byte(22);
                self.count(items.len());
                let mut i = 0;
                while i < items.len() {
                    self.shape(items[i]);
                    i += 1;
                }
            }
            Shape::Struct(shape) => {
                self.byte(23);
                self.structure(shape);
            }
            Shape::Enum(shape) => {
                self.byte(24);
                self.enumeration(shape);
            }
        }
    }

    const fn fields(&mut self, fields: &[FieldShape]) {
        self.count(fields.len());
        let mut i = 0;
        while i < fields.len() {
            self.text(fields[i].name);
            self.docs(fields[i].docs);
            self.shape(fields[i].shape);
            i += 1;
        }
    }

    const fn structure(&mut self, shape: &StructShape) {
        self.text(shape.name);
        self.docs(shape.docs);
        self.fields(shape.fields);
    }

    const fn enumeration(&mut self, shape: &EnumShape) {
        self.text(shape.name);
        self.docs(shape.docs);
        self.count(shape.variants.len());
        let mut i = 0;
        while i < shape.variants.len() {
            let VariantShape { name, docs, fields } = shape.variants[i];
            self.text(name);
            self.docs(docs);
            self.fields(fields);
            i += 1;
        }
    }

    const fn entry_point(&mut self, def: &EntryPointDef) {
        self.text(def.name);
        self.docs(def.docs);
        self.fields(def.args);
        self.shape(def.result);
        let waits = if self.docs && def.waits { WAITS } else { 0 };
        match def.errors {
            None => self.byte(waits),
            Some(errors) => {
                assert!(
                    errors.codes.len() == errors.shape.variants.len(),
                    "an error enum has one code per variant"
                );
                self.byte(HAS_ERRORS | waits);
                self.enumeration(errors.shape);
                let mut i = 0;
                while i < errors.codes.len() {
                    self.raw(&errors.codes[i].code.to_le_bytes());
                    self.byte(errors.codes[i].status as u8);
                    i += 1;
                }
            }
        }
    }

    const fn entry_points(&mut self, defs: &[EntryPointDef]) {
        self.count(defs.len());
        let mut i = 0;
        while i < defs.len() {
            self.entry_point(&defs[i]);
            i += 1;
        }
    }

    const fn schema(&mut self, def: &SchemaDef) {
        self.byte(FORMAT);
        self.text(def.name);
        self.raw(&def.version.to_le_bytes());
        self.docs(def.docs);
        self.entry_points(def.operations);
        self.entry_points(def.queries);
        self.count(def.fields.len());
        let mut i = 0;
        while i < def.fields.len() {
            let field = &def.fields[i];
            self.text(field.name);
            self.docs(field.docs);
            self.raw(&field.prefix.to_le_bytes());
            self.byte(field.kind as u8);
            self.shape(field.key);
            self.shape(field.value);
            i += 1;
        }
        self.hooks(def);
    }

    const fn hooks(&mut self, SchemaDef { hooks: def, emits, .. }: &SchemaDef) {
        let mut flags = 0;
        if def.session_end {
            flags |= ON_SESSION_END;
        }
        if def.timer.is_some() {
            flags |= ON_TIMER;
        }
        if def.cancel {
            flags |= ON_CANCEL;
        }
        if def.event {
            flags |= ON_EVENT;
        }
        if emits.is_some() {
            flags |= EMITS;
        }
        if flags != 0 {
            self.byte(flags);
        }
        if let Some(payload) = def.timer {
            self.shape(payload);
        }
        if let Some(payload) = emits {
            self.shape(payload);
        }
    }
}

impl SchemaDef {
    /// Length of the encoded schema, in bytes.
    pub const fn encoded_len(&self) -> usize {
        let mut sink = Sink { buffer: None, at: 0, docs: true };
        sink.schema(self);
        sink.at
    }

    /// The encoded schema; `N` is [`SchemaDef::encoded_len`].
    pub const fn encode<const N: usize>(&self) -> [u8; N] {
        assert!(N <= limits::SCHEMA_BYTES, "the schema is too large: shorten its documentation");
        let mut bytes = [0; N];
        let mut sink = Sink { buffer: Some(&mut bytes), at: 0, docs: true };
        sink.schema(self);
        assert!(sink.at == N, "N is the encoded length");
        bytes
    }
}

impl Shape {
    /// Fingerprint of a type, without documentation: who decodes events sends it, so that bytes are
    /// never decoded as another type. `N` is [`Shape::signature_len`].
    pub const fn signature<const N: usize>(&self) -> u64 {
        let mut bytes = [0; N];
        let mut sink = Sink { buffer: Some(&mut bytes), at: 0, docs: false };
        sink.shape(self);
        fnv1a_64(&bytes)
    }

    /// The `N` of [`Shape::signature`].
    pub const fn signature_len(&self) -> usize {
        let mut sink = Sink { buffer: None, at: 0, docs: false };
        sink.shape(self);
        sink.at
    }
}

impl EntryPointDef {
    /// Fingerprint of name, arguments, result and errors, without documentation: a client sends it,
    /// so that bytes are never decoded as another type.
    pub const fn signature<const N: usize>(&self) -> u64 {
        let mut bytes = [0; N];
        let mut sink = Sink { buffer: Some(&mut bytes), at: 0, docs: false };
        sink.entry_point(self);
        fnv1a_64(&bytes)
    }

    /// The `N` of [`EntryPointDef::signature`].
    pub const fn signature_len(&self) -> usize {
        let mut sink = Sink { buffer: None, at: 0, docs: false };
        sink.entry_point(self);
        sink.at
    }
}
