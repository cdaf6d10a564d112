//! Random bytes of the kernel: getrandom(2). For keys; no other source is ever asked.

use crate::error::{Errno, Error, Result, check};

/// So many random bytes, at most 256: so few come whole (getrandom(2)). Waits, early at boot, until the kernel has enough entropy.
///
/// # Errors
/// `EINVAL` for more than 256 bytes; `ENOSYS` before Linux 3.17.
pub fn bytes<const COUNT: usize>() -> Result<[u8; COUNT]> {
    if COUNT > 256 {
        return Err(Error::new("getrandom", Errno::EINVAL));
    }
    let mut bytes = [0; COUNT];
    loop {
        // SAFETY: getrandom(2) writes at most `COUNT` bytes to the address, which is that of a live array of that size.
        let written = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), COUNT, 0) };
        match check("getrandom", i64::try_from(written).unwrap_or(i64::MAX)) {
            Err(error) if error.errno == Errno::EINTR => {}
            Err(error) => return Err(error),
            Ok(written) if usize::try_from(written).is_ok_and(|written| written == COUNT) => {
                return Ok(bytes);
            }
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ_and_fill_the_whole_array() {
        let (first, second) = (bytes::<32>().expect("bytes"), bytes::<32>().expect("bytes"));
        assert_ne!(first, second);
        assert!(first.iter().any(|byte| *byte != 0) && first[16..].iter().any(|byte| *byte != 0));
        assert!(bytes::<257>().is_err());
    }
}
