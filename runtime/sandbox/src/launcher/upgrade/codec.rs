//! A state as bytes: written by one version of the program and read by the next.
//!
//! Any change to the types of [`super::state`], to the records of init or to the link makes another [`FORMAT`]: a program that
//! does not know the format of the one before it says so while that one still runs. Types of other rooms, which change for
//! reasons of their own, are [`Described`]: a change of theirs is noticed without a number.

use super::state::State;
use runtime_plan::link;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned},
    ser,
};

/// Version of this format.
const FORMAT: u32 = 1;
/// What the bytes begin with.
const MAGIC: &[u8; 8] = b"runtime\0";
/// Bytes before the state itself: the above, the format, the version of the link.
const HEAD_BYTES: usize = 16;
/// No state has more bytes: the plans of some thousand jobs, and the reports of as many.
pub const STATE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Why bytes are no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// They are something else.
    #[error("it is not the state of a launcher")]
    NoState,
    /// Another version wrote them.
    #[error(
        "the running daemon keeps its state in format {format} with version {link} of the link, this program knows {FORMAT} with {own}: stop the daemon and start this one",
        own = link::VERSION
    )]
    Format {
        /// Of the state.
        format: u32,
        /// Of the link.
        link: u32,
    },
    /// They are damaged.
    #[error("the state cannot be read: {0}")]
    Damaged(String),
}

/// A value with the names of its fields (JSON): a program in which they are others refuses it, instead of taking one for
/// another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described<T>(pub T);

impl<T: Serialize> Serialize for Described<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(&self.0).map_err(ser::Error::custom)?)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Described<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Described<T>, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        serde_json::from_str(text).map(Described).map_err(de::Error::custom)
    }
}

/// The bytes of a state.
///
/// # Errors
/// When it cannot be encoded, or is too large.
pub fn encode(state: &State) -> Result<Vec<u8>, StateError> {
    let mut bytes = Vec::with_capacity(64 * 1024);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&link::VERSION.to_le_bytes());
    let damaged = |why: String| StateError::Damaged(why);
    let bytes = postcard::to_extend(state, bytes).map_err(|error| damaged(error.to_string()))?;
    if bytes.len() > STATE_BYTES_MAX {
        return Err(damaged(format!("{} bytes are too many", bytes.len())));
    }
    Ok(bytes)
}

/// A state from its bytes.
///
/// # Errors
/// When another version wrote it, or it is none.
pub fn decode(bytes: &[u8]) -> Result<State, StateError> {
    let head = bytes.get(..HEAD_BYTES).filter(|head| head.starts_with(MAGIC)).ok_or(StateError::NoState)?;
    let word =
        |at: usize| head.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes);
    let (format, link) = (word(8), word(12));
    if (format, link) != (FORMAT, link::VERSION) {
        return Err(StateError::Format { format, link });
    }
    let (state, rest) = postcard::take_from_bytes(bytes.get(HEAD_BYTES..).unwrap_or_default())
        .map_err(|error| StateError::Damaged(error.to_string()))?;
    if rest.is_empty() {
        Ok(state)
    } else {
        Err(StateError::Damaged(format!("{} bytes are left over", rest.len())))
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
