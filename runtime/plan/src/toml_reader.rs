//! Reads a TOML table key by key and collects every error, each at its place in the file. A key that nobody took is an error.

use crate::{
    source::{ParseError, Place, SourceFile},
    suggest,
};
use std::{cell::RefCell, collections::BTreeSet, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One file while it is read: where errors gather.
pub(crate) struct Reader<'f> {
    file: &'f SourceFile,
    errors: RefCell<Vec<ParseError>>,
}

impl<'f> Reader<'f> {
    pub(crate) const fn new(file: &'f SourceFile) -> Self {
        Reader { file, errors: RefCell::new(Vec::new()) }
    }

    /// Notes an error at a place of the file.
    pub(crate) fn error(&self, span: &Range<usize>, message: impl Into<String>) {
        self.errors.borrow_mut().push(ParseError::at(self.file, span.start, message));
    }

    /// Where a span starts.
    pub(crate) fn place(&self, span: &Range<usize>) -> Place {
        Place::at(self.file, span.start)
    }

    /// The document's table; `None` when its syntax is wrong, which is noted.
    pub(crate) fn document(&self) -> Option<DeTable<'f>> {
        let (table, errors) = DeTable::parse_recoverable(&self.file.text);
        if errors.is_empty() {
            return Some(table.into_inner());
        }
        for error in errors {
            let message = format!("this is not TOML: {}", error.message().replace('\n', "; "));
            self.error(&error.span().unwrap_or(0..0), message);
        }
        None
    }

    /// What was noted.
    pub(crate) fn into_errors(self) -> Vec<ParseError> {
        self.errors.into_inner()
    }
}

/// One table while it is read.
pub(crate) struct Table<'r, 'f> {
    reader: &'r Reader<'f>,
    entries: &'r DeTable<'f>,
    /// What the table is, for messages: "a profile", "[limits]".
    what: &'static str,
    /// Where the table is, for what it lacks.
    span: Range<usize>,
    known: RefCell<BTreeSet<&'static str>>,
}

/// A value and its place.
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

impl<'r, 'f> Table<'r, 'f> {
    pub(crate) fn new(
        reader: &'r Reader<'f>,
        entries: &'r DeTable<'f>,
        what: &'static str,
        span: Range<usize>,
    ) -> Self {
        Table { reader, entries, what, span, known: RefCell::default() }
    }

    /// The value of a key, if it is there. Every key that is asked for counts as known.
    pub(crate) fn get(&self, key: &'static str) -> Option<&'r Spanned<DeValue<'f>>> {
        self.known.borrow_mut().insert(key);
        self.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    pub(crate) fn string(&self, key: &'static str) -> Option<Placed<String>> {
        let value = self.get(key)?;
        self.expect(key, value, "a string in quotes", value.get_ref().as_str().map(str::to_owned))
    }

    pub(crate) fn boolean(&self, key: &'static str) -> Option<Placed<bool>> {
        let value = self.get(key)?;
        self.expect(key, value, "true or false", value.get_ref().as_bool())
    }

    /// A whole number from 0; hexadecimal and octal are fine.
    pub(crate) fn number(&self, key: &'static str) -> Option<Placed<u64>> {
        let value = self.get(key)?;
        self.expect(key, value, "a whole number from 0", integer(value.get_ref()))
    }

    pub(crate) fn strings(&self, key: &'static str) -> Option<Vec<Placed<String>>> {
        let value = self.get(key)?;
        let array = self.expect(key, value, "an array of strings", value.get_ref().as_array())?.value;
        let strings = array.iter().filter_map(|item| {
            self.expect(
                key,
                item,
                "an array of strings in quotes",
                item.get_ref().as_str().map(str::to_owned),
            )
        });
        Some(strings.collect())
    }

    pub(crate) fn table(&self, key: &'static str, what: &'static str) -> Option<Table<'r, 'f>> {
        let value = self.get(key)?;
        let entries = self.expect(key, value, "a table", value.get_ref().as_table())?;
        Some(Table::new(self.reader, entries.value, what, entries.span))
    }

    /// `[[key]]`, or an array of inline tables.
    pub(crate) fn tables(&self, key: &'static str, what: &'static str) -> Option<Vec<Table<'r, 'f>>> {
        let value = self.get(key)?;
        let array = self.expect(key, value, "an array of tables", value.get_ref().as_array())?.value;
        let tables = array.iter().filter_map(|item| {
            let entries = self.expect(key, item, "a table", item.get_ref().as_table())?;
            Some(Table::new(self.reader, entries.value, what, entries.span))
        });
        Some(tables.collect())
    }

    /// Every entry, for tables whose keys are free.
    pub(crate) fn entries(
        &self,
    ) -> impl Iterator<Item = (Placed<String>, &'r Spanned<DeValue<'f>>)> + use<'r, 'f> {
        self.entries
            .iter()
            .map(|(name, value)| (Placed { value: name.get_ref().to_string(), span: name.span() }, value))
    }

    /// The value as text: strings as they are, numbers as they are written. `None` for anything else.
    pub(crate) fn scalar_text(value: &DeValue<'_>) -> Option<String> {
        match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn error(&self, span: &Range<usize>, message: impl Into<String>) {
        self.reader.error(span, message);
    }

    pub(crate) fn place(&self, span: &Range<usize>) -> Place {
        self.reader.place(span)
    }

    /// Notes that the table lacks a key.
    pub(crate) fn missing(&self, key: &str, why: &str) {
        self.error(&self.span, format!("{} lacks `{key}`: {why}", self.what));
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Notes each key that was never asked for.
    pub(crate) fn finish(&self) {
        let known = self.known.borrow();
        let names: Vec<&str> = known.iter().copied().collect();
        for (name, _) in self.entries.iter().filter(|(name, _)| !known.contains(name.get_ref().as_ref())) {
            let key = name.get_ref();
            self.error(
                &name.span(),
                format!("{} has no key `{key}`: {}", self.what, suggest::hint(key, &names)),
            );
        }
    }

    fn expect<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'f>>,
        wanted: &str,
        got: Option<T>,
    ) -> Option<Placed<T>> {
        if got.is_none() {
            let kind = value.get_ref().type_str();
            self.error(&value.span(), format!("`{key}` must be {wanted}, and is of type {kind}"));
        }
        got.map(|got| Placed { value: got, span: value.span() })
    }
}

/// The whole number from 0 of a value, if it is one.
pub(crate) fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}
