//! SHA-256 of values, in one canonical form: postcard's, which has no field names, no spaces and sorted maps.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 of `value` under a `domain` that keeps two kinds of value apart; lower-case hex.
pub(crate) fn of<T: Serialize>(domain: &str, value: &T) -> String {
    let mut hasher = Sha256::new();
    hasher.update(domain.as_bytes());
    hasher.update([0]);
    match postcard::to_stdvec(value) {
        Ok(bytes) => hasher.update(&bytes),
        // Postcard fails on sequences without a length only, and none of our types has one. The text of the error would then
        // stand in for the value, and the digest would still not equal any other value's.
        Err(error) => hasher.update(error.to_string().as_bytes()),
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
