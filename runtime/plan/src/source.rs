//! Files as data, and what is wrong in them: file, line, column. Reads nothing from disk.

/// A file that an operator (or this repository) wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, for messages; the stem is the name of what it holds.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl SourceFile {
    /// The file's name without directory and `.toml`.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.strip_suffix(".toml").unwrap_or(name)
    }

    /// The name of the directory that holds the file; empty when the path has none.
    pub fn directory(&self) -> &str {
        self.path.rsplit('/').nth(1).unwrap_or("")
    }
}

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ParseError {
    /// The file's path.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, the offending text, and what to do.
    pub message: String,
}

/// A place in a file, kept for errors that show only when files are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    line: usize,
    column: usize,
}

impl Place {
    /// The place of a byte offset.
    pub(crate) fn at(file: &SourceFile, offset: usize) -> Place {
        let before = file.text.get(..offset).unwrap_or(&file.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: file.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// An error at this place.
    pub(crate) fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError { file: self.file.clone(), line: self.line, column: self.column, message: message.into() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl ParseError {
    /// An error at a byte offset of a file.
    pub(crate) fn at(file: &SourceFile, offset: usize, message: impl Into<String>) -> ParseError {
        Place::at(file, offset).error(message)
    }
}

/// Everything that is wrong, in order of file and line. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseErrors(Vec<ParseError>);

impl ParseErrors {
    /// `value` when nothing is wrong.
    pub(crate) fn or<T>(mut errors: Vec<ParseError>, value: T) -> Result<T, ParseErrors> {
        if errors.is_empty() {
            return Ok(value);
        }
        errors.sort();
        errors.dedup();
        Err(ParseErrors(errors))
    }

    /// Each error.
    pub fn iter(&self) -> std::slice::Iter<'_, ParseError> {
        self.0.iter()
    }

    /// How many there are; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Display for ParseErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_becomes_line_and_column_in_characters() {
        let file = SourceFile { path: "/etc/p.toml".into(), text: "a = 1\nüb = 2\n".into() };
        for (offset, line, column) in [(0, 1, 1), (4, 1, 5), (6, 2, 1), (9, 2, 3), (999, 3, 1)] {
            let error = ParseError::at(&file, offset, "x");
            assert_eq!((error.line, error.column), (line, column), "offset {offset}");
        }
        assert_eq!(ParseError::at(&file, 6, "wrong").to_string(), "/etc/p.toml:2:1: wrong");
    }

    #[test]
    fn a_path_gives_stem_and_directory() {
        let file = |path: &str| SourceFile { path: path.into(), text: String::new() };
        assert_eq!(file("/etc/runtime/profiles/syscalls/mine.toml").stem(), "mine");
        assert_eq!(file("/etc/runtime/profiles/syscalls/mine.toml").directory(), "syscalls");
        assert_eq!(file("mine.toml").directory(), "");
    }
}
