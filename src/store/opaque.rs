//! Texts that prove by being known. The store keeps their SHA-256 alone; 80 or more random bits need no slow hash.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

const CODE_LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A token for programs: 256 random bits as base64url.
pub(super) fn token() -> SecretString {
    SecretString::from(BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// A code for people to type: 80 random bits as four groups of four letters and digits that are not taken for one another.
pub(super) fn code() -> String {
    let letters = rand::random::<[u8; 16]>().map(|byte| char::from(CODE_LETTERS[usize::from(byte % 32)]));
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// The form in which a typed code is hashed: capitals without hyphens and spaces, look-alikes read as what they stand for.
pub(super) fn plain(typed: &str) -> String {
    let letters = typed.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase());
    letters
        .map(|c| {
            if c == 'O' {
                '0'
            } else if matches!(c, 'I' | 'L') {
                '1'
            } else {
                c
            }
        })
        .collect()
}

/// What the store keeps of such a text.
pub(super) fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_token_has_256_bits_and_no_two_are_alike() {
        let (one, two) = (token(), token());
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(one.expose_secret()).unwrap().len(), 32);
        assert_ne!(one.expose_secret(), two.expose_secret());
    }

    #[test]
    fn a_code_may_be_typed_carelessly() {
        let code = code();
        assert_eq!((code.len(), code.matches('-').count()), (19, 3));
        assert_eq!(plain(&code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l")), plain(&code));
    }
}
