//! Secrets at rest: a key file beside the store, and what it seals.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::error::{Error, Result};

const FILE: &str = "key";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// The first byte of what is sealed: how it was sealed. 1 = nonce, then AES-256-GCM ciphertext with tag.
const FORM: u8 = 1;

/// The key that seals secrets in the store. It lives in the file `key` of the data directory, readable by its owner alone.
pub struct Key(SecretBox<[u8; KEY_BYTES]>);

impl Key {
    /// Reads the key file; `None` where there is none.
    pub(super) fn find(dir: &Path) -> Result<Option<Key>> {
        let path = dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                keep_private(&path)?;
                let bytes = <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| damaged(&path))?;
                Ok(Some(Key(SecretBox::new(Box::new(bytes)))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot("read", &path, error)),
        }
    }

    /// Makes a key and its file. The caller sees to it that nobody does the same at this moment.
    pub(super) fn make(dir: &Path) -> Result<Key> {
        make(dir).map_err(|error| cannot("make", &dir.join(FILE), error))
    }

    /// Seals a secret. `purpose` says what it is for; it opens for the same purpose only.
    pub fn seal(&self, secret: &SecretString, purpose: &str) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: purpose.as_bytes() };
        let sealed =
            self.cipher().encrypt(&Nonce::from(nonce), payload).map_err(|_| Error::internal("A secret is too long to be sealed"))?;
        Ok([&[FORM][..], &nonce, &sealed].concat())
    }

    /// Opens what was sealed; `None` if it was sealed with another key or for another purpose, or is damaged.
    pub fn unseal(&self, sealed: &[u8], purpose: &str) -> Option<SecretString> {
        let (nonce, msg) = sealed.strip_prefix(&[FORM])?.split_first_chunk::<NONCE_BYTES>()?;
        let plain = self.cipher().decrypt(&Nonce::from(*nonce), Payload { msg, aad: purpose.as_bytes() }).ok()?;
        String::from_utf8(plain).ok().map(SecretString::from)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.0.expose_secret().into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key([REDACTED])")
    }
}

// Written beside and moved into place, so that a key file is whole or not there.
fn make(dir: &Path) -> io::Result<Key> {
    let key: [u8; KEY_BYTES] = rand::random();
    let draft = dir.join(format!("{FILE}.{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&draft, dir.join(FILE))?;
    #[cfg(unix)]
    fs::File::open(dir)?.sync_all()?;
    Ok(Key(SecretBox::new(Box::new(key))))
}

#[cfg(unix)]
fn keep_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_err(|error| cannot("read", path, error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!("Others could read the key file {}; now its owner alone can", path.display());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|error| cannot("protect", path, error))
}

#[cfg(not(unix))]
fn keep_private(_path: &Path) -> Result<()> {
    Ok(())
}

fn damaged(path: &Path) -> Error {
    Error::internal(format!("The key file {} is damaged", path.display())).hint(
        "Restore it from a backup. Without one, remove it: a new one is made, and the passwords of repositories have to be set again.",
    )
}

fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    Error::internal(format!("Cannot {what} the key file {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (tempfile::TempDir, Key) {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::make(dir.path()).unwrap();
        (dir, key)
    }

    #[test]
    fn a_sealed_secret_opens_with_its_key_and_for_its_purpose_only() {
        let ((_dir, ours), (_other, theirs)) = (key(), key());
        let sealed = ours.seal(&SecretString::from("tops3cret"), "a").unwrap();
        assert_eq!(ours.unseal(&sealed, "a").unwrap().expose_secret(), "tops3cret");
        assert!(ours.unseal(&sealed, "b").is_none() && theirs.unseal(&sealed, "a").is_none());
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(ours.unseal(&bent, "a").is_none() && ours.unseal(&sealed[..at], "a").is_none(), "{at}");
        }
    }

    #[test]
    fn a_secret_is_sealed_differently_each_time_and_never_shown() {
        let (_dir, key) = key();
        let secret = SecretString::from("tops3cret");
        let sealed = key.seal(&secret, "a").unwrap();
        assert_ne!(sealed, key.seal(&secret, "a").unwrap());
        assert!(!sealed.windows(9).any(|part| part == b"tops3cret"));
        assert_eq!(format!("{key:?}"), "Key([REDACTED])");
    }

    #[test]
    fn a_key_is_made_once_and_a_damaged_one_is_refused() {
        let (dir, first) = key();
        let sealed = first.seal(&SecretString::from("x"), "a").unwrap();
        assert!(Key::find(dir.path()).unwrap().unwrap().unseal(&sealed, "a").is_some());
        fs::write(dir.path().join(FILE), b"short").unwrap();
        let error = Key::find(dir.path()).unwrap_err();
        assert!(error.next_step().unwrap().contains("backup"), "{}", error.chain());
    }

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_its_owners_alone_also_after_somebody_opened_it_up() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, _key) = key();
        let path = dir.path().join(FILE);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        Key::find(dir.path()).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
