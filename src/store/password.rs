//! Passwords of accounts: argon2id.

use std::sync::{Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};

/// Memory of one hash in KiB, passes over it, lanes: the memory OWASP asks for, which many processes
/// can spare, and passes until it takes 50 to 100 ms on a small server.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 6;
const LANES: u32 = 1;
/// The longest password, bytes.
const LONGEST: usize = 1024;

/// One hash at a time in a process, so that many who log in at once cost time but not memory.
static TURN: Mutex<()> = Mutex::new(());

/// The hash of a password, as the store keeps it.
#[derive(Clone)]
pub struct Hashed(String);

impl Hashed {
    /// Hashes a password: 1 to 1,024 bytes. Takes a good part of a tenth of a second, so it is done outside of [`super::Store::write`].
    pub fn of(password: &SecretString) -> Result<Hashed> {
        let bytes = password.expose_secret().as_bytes();
        if bytes.is_empty() || bytes.len() > LONGEST {
            return Err(Error::usage(format!("a password has 1 to {LONGEST} bytes")));
        }
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let hash: PasswordHash = argon2id()?
            .hash_password(bytes)
            .map_err(|error| Error::internal("A password could not be hashed").because(error.to_string()))?;
        Ok(Hashed(hash.to_string()))
    }

    /// Whether this is the hash of `password`. Takes as long as [`Hashed::of`].
    pub fn verify(&self, password: &SecretString) -> bool {
        let bytes = password.expose_secret().as_bytes();
        if bytes.len() > LONGEST {
            return false;
        }
        let Ok(hash) = PasswordHash::new(&self.0) else { return false };
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // The parameters are the hash's own, so hashes made with older ones go on working.
        Argon2::default().verify_password(bytes, &hash).is_ok()
    }

    /// A hash of no known password, to spend the same time on a name that does not exist.
    pub(super) fn decoy() -> Hashed {
        Hashed(format!("$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${}${}", "A".repeat(22), "A".repeat(43)))
    }

    pub(super) fn stored(text: String) -> Hashed {
        Hashed(text)
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hashed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashed([REDACTED])")
    }
}

fn argon2id() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY, PASSES, LANES, None)
        .map_err(|error| Error::internal("The password parameters are off").because(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let hashed = Hashed::of(&SecretString::from("correct horse")).unwrap();
        assert!(hashed.verify(&SecretString::from("correct horse")));
        assert!(!hashed.verify(&SecretString::from("correct horsf")));
        assert!(hashed.text().starts_with(&format!("$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}$")));
        assert_eq!(format!("{hashed:?}"), "Hashed([REDACTED])");
    }

    #[test]
    fn an_empty_or_endless_password_is_refused() {
        for password in [String::new(), "x".repeat(LONGEST + 1)] {
            assert!(Hashed::of(&SecretString::from(password)).is_err());
        }
    }

    #[test]
    fn the_decoy_takes_the_work_of_a_real_hash() {
        let PasswordHash { params, hash, .. } = PasswordHash::new(Hashed::decoy().text()).unwrap();
        assert_eq!((params.get_decimal("m"), params.get_decimal("t"), params.get_decimal("p")), (Some(MEMORY), Some(PASSES), Some(LANES)));
        assert_eq!(hash.unwrap().as_bytes().len(), 32);
        assert!(!Hashed::decoy().verify(&SecretString::from("x")));
    }
}
