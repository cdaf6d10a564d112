//! Seals the specs of jobs that wait on disk. Values of environment variables are secrets as a rule; the key is the
//! launcher's and never on disk, so that what a dead launcher's server left behind cannot be read by anybody.

use crate::store::StoredSpec;
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use runtime_plan::link::{JobId, SealKey};
use runtime_plan::spec::Spec;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of an XChaCha20 nonce: chosen by chance, it does not repeat.
const NONCE_BYTES: usize = 24;

/// Seals and opens with the key of one launcher. The key is wiped when this is dropped.
pub(super) struct Seal {
    key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(..)")
    }
}

/// The spec cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failed to seal the spec of a job")]
pub(super) struct NotSealed;

impl Seal {
    /// Takes the key, and wipes it where it was.
    pub(super) fn take(key: &mut SealKey) -> Seal {
        let taken = Zeroizing::new(key.0);
        key.0.zeroize();
        Seal { key: taken }
    }

    /// The spec as it may lie on disk: sealed when it has values of variables, plain else, so that it outlives the launcher.
    ///
    /// # Errors
    /// Without randomness.
    pub(super) fn close(&self, job: &JobId, spec: &Spec) -> Result<StoredSpec, NotSealed> {
        let plain = Zeroizing::new(postcard::to_stdvec(spec).map_err(|_| NotSealed)?);
        if spec.env.is_empty() {
            return Ok(StoredSpec { sealed: false, bytes: plain.to_vec() });
        }
        let nonce = XNonce::try_generate().map_err(|_| NotSealed)?;
        let payload = Payload { msg: &plain, aad: job.as_str().as_bytes() };
        let sealed = self.cipher().encrypt(&nonce, payload).map_err(|_| NotSealed)?;
        Ok(StoredSpec { sealed: true, bytes: [nonce.as_slice(), &sealed].concat() })
    }

    /// The reverse; `None` when another launcher sealed it, or somebody changed it.
    pub(super) fn open(&self, job: &JobId, stored: &StoredSpec) -> Option<Spec> {
        if !stored.sealed {
            return postcard::from_bytes(&stored.bytes).ok();
        }
        let (nonce, sealed) = stored.bytes.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: job.as_str().as_bytes() };
        let plain = Zeroizing::new(self.cipher().decrypt(&XNonce::from(*nonce), payload).ok()?);
        postcard::from_bytes(&plain).ok()
    }

    /// Tells values apart without saying anything of them to whoever has not the key.
    pub(super) fn mark<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> [u8; 16] {
        // The key goes first and the answer is cut, so it can be neither guessed at nor extended.
        let mut hasher = Sha256::new();
        hasher.update(self.key.as_slice());
        hasher.update(b"values\0");
        for value in values {
            hasher.update((value.len() as u64).to_le_bytes());
            hasher.update(value);
        }
        let whole: [u8; 32] = hasher.finalize().into();
        let mut mark = [0; 16];
        mark.copy_from_slice(&whole[..16]);
        mark
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_plan::spec::UncheckedSpec;

    fn spec(env: &[(&str, &str)]) -> Spec {
        let env = env.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        Spec::check(UncheckedSpec {
            argv: vec![b"true".to_vec()],
            env: env.collect(),
            workdir: None,
            profile: "default".to_owned(),
            workspace: Default::default(),
            stdin: Default::default(),
            terminal: None,
            user: None,
            group: None,
            limits: Default::default(),
        })
        .unwrap()
    }

    fn id(text: &str) -> JobId {
        JobId::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_value_is_not_on_disk_and_comes_back_under_the_same_key_and_id_only() {
        let seal = Seal::take(&mut SealKey([7; 32]));
        let secret = spec(&[("TOKEN", "a-very-secret-value")]);
        let stored = seal.close(&id("job-1"), &secret).unwrap();
        assert!(stored.sealed && !stored.bytes.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(seal.open(&id("job-1"), &stored), Some(secret.clone()));
        assert_eq!(seal.open(&id("job-2"), &stored), None);
        assert_eq!(Seal::take(&mut SealKey([8; 32])).open(&id("job-1"), &stored), None);
        let mut changed = stored.clone();
        *changed.bytes.last_mut().unwrap() ^= 1;
        assert_eq!(seal.open(&id("job-1"), &changed), None);
        let short = StoredSpec { sealed: true, bytes: vec![0; 5] };
        assert_eq!(seal.open(&id("job-1"), &short), None);
        // Chance, not a counter: the same spec looks different each time.
        assert_ne!(seal.close(&id("job-1"), &secret).unwrap().bytes, stored.bytes);
    }

    #[test]
    fn without_values_a_spec_needs_no_key() {
        let stored = Seal::take(&mut SealKey([7; 32])).close(&id("job-1"), &spec(&[])).unwrap();
        assert!(!stored.sealed);
        assert_eq!(Seal::take(&mut SealKey([8; 32])).open(&id("job-1"), &stored), Some(spec(&[])));
    }

    #[test]
    fn a_key_that_was_taken_is_wiped() {
        let mut key = SealKey([7; 32]);
        let _seal = Seal::take(&mut key);
        assert_eq!(key.0, [0; 32]);
    }
}
