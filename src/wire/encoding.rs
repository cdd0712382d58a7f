//! Compressed bodies.

use std::io::Read;

use crate::{
    error::{Error, Kind, Result},
    model::Limits,
};

/// How a body is encoded: `Content-Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// As it is.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// A body may always become this large, whatever the ratio: a page of ordinary size is no bomb however well it compresses.
const HARMLESS: u64 = 1 << 20;

/// The largest window a zstd frame may ask for, as a power of two; as much as a body may hold by default.
const WINDOW_LOG: u32 = 26;

impl Encoding {
    /// Best first.
    const ALL: [Encoding; 3] = [Encoding::Zstd, Encoding::Gzip, Encoding::Identity];

    /// The word in `Content-Encoding` and `Accept-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }

    /// Reads `Content-Encoding`; the empty text is identity. Another encoding, or several, is [`Kind::Unsupported`].
    pub fn from_header(text: &str) -> Result<Encoding> {
        let word = text.trim();
        if word.is_empty() {
            return Ok(Encoding::Identity);
        }
        let known = Encoding::ALL.into_iter().find(|encoding| encoding.is_called(word));
        known.ok_or_else(|| {
            let shown: String = word.chars().take(40).collect();
            Error::new(Kind::Unsupported, format!("the encoding {shown:?} is not known here")).hint("Send gzip, zstd or no encoding.")
        })
    }

    /// The best encoding that `Accept-Encoding` allows; identity where it allows nothing we have.
    pub fn choose(accept: &str) -> Encoding {
        let allowed = |encoding: Encoding| {
            let named = accept.split(',').find(|entry| encoding.is_called(word_of(entry)));
            named.or_else(|| accept.split(',').find(|entry| word_of(entry) == "*")).is_some_and(wanted)
        };
        Encoding::ALL.into_iter().find(|encoding| allowed(*encoding)).unwrap_or_default()
    }

    fn is_called(self, word: &str) -> bool {
        word.eq_ignore_ascii_case(self.name()) || (self == Encoding::Gzip && word.eq_ignore_ascii_case("x-gzip"))
    }
}

fn word_of(entry: &str) -> &str {
    entry.split(';').next().unwrap_or_default().trim()
}

/// Whether an entry of `Accept-Encoding` has no weight or one above 0.
fn wanted(entry: &str) -> bool {
    let weight = entry.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let weight = weight.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q")).map(|(_, q)| q.trim().parse::<f32>());
    weight.last().is_none_or(|q| q.is_ok_and(|q| q > 0.0))
}

/// A body in another encoding: zstd at level 1, gzip at its fastest.
pub fn compress(encoding: Encoding, body: &[u8]) -> Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(body.to_vec()),
        Encoding::Gzip => {
            let mut packed = Vec::with_capacity(body.len() / 4);
            flate2::read::GzEncoder::new(body, flate2::Compression::fast()).read_to_end(&mut packed).map_err(failed)?;
            Ok(packed)
        }
        Encoding::Zstd => zstd::bulk::compress(body, 1).map_err(failed),
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::internal("a body could not be compressed").because(error)
}

/// A body in the encoding wanted, or as it is where the other side, with the same limits, would take the result for a bomb
/// or where it would not be smaller.
pub fn pack(encoding: Encoding, body: Vec<u8>, limits: &Limits) -> Result<(Encoding, Vec<u8>)> {
    if encoding == Encoding::Identity {
        return Ok((encoding, body));
    }
    let packed = compress(encoding, &body)?;
    let opens = body.len() as u64 <= room(packed.len(), limits);
    Ok(if opens && packed.len() < body.len() { (encoding, packed) } else { (Encoding::Identity, body) })
}

/// How large a compressed body of this size may become.
fn room(packed: usize, limits: &Limits) -> u64 {
    let by_ratio = (packed as u64).saturating_mul(limits.ratio.into());
    by_ratio.max(HARMLESS).min(limits.body)
}

/// The body that `body` encodes. One that would be larger than `limits.body`, or larger than 1 MiB and more than
/// `limits.ratio` times its own size, is [`Kind::TooLarge`] before that much is held in memory. One that is cut off or
/// followed by something else is [`Kind::Malformed`].
pub fn decompress(encoding: Encoding, body: &[u8], limits: &Limits) -> Result<Vec<u8>> {
    if body.len() as u64 > limits.body {
        return Err(too_large(limits.body));
    }
    let room = room(body.len(), limits);
    match encoding {
        Encoding::Identity => Ok(body.to_vec()),
        Encoding::Gzip => {
            let mut decoder = flate2::bufread::GzDecoder::new(body);
            let plain = read_within(&mut decoder, room)?;
            if !decoder.into_inner().is_empty() {
                return Err(Error::malformed("something follows the compressed body"));
            }
            Ok(plain)
        }
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(broken)?;
            decoder.window_log_max(WINDOW_LOG).map_err(broken)?;
            read_within(&mut decoder, room)
        }
    }
}

fn read_within(decoder: &mut impl Read, room: u64) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    decoder.take(room + 1).read_to_end(&mut plain).map_err(broken)?;
    if plain.len() as u64 > room { Err(too_large(room)) } else { Ok(plain) }
}

fn broken(error: std::io::Error) -> Error {
    Error::malformed("a compressed body is broken or cut off").because(error)
}

fn too_large(room: u64) -> Error {
    Error::new(Kind::TooLarge, format!("a body is larger than the {room} bytes it may have")).hint("Send smaller pages.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 3] = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd];

    fn noise(len: usize) -> Vec<u8> {
        let mut reader = blake3::Hasher::new().finalize_xof();
        let mut bytes = vec![0; len];
        reader.fill(&mut bytes);
        bytes
    }

    #[test]
    fn a_body_survives_every_encoding() {
        for encoding in ALL {
            for body in [vec![], b"x".to_vec(), noise(300_000), b"<resource/>".repeat(50_000)] {
                let packed = compress(encoding, &body).unwrap();
                assert_eq!(decompress(encoding, &packed, &Limits::default()).unwrap(), body, "{encoding:?}");
                assert_eq!(Encoding::from_header(encoding.name()).unwrap(), encoding);
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_ratio_and_by_the_size_of_a_body() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let bomb = compress(encoding, &vec![0; 50 << 20]).unwrap();
            let strict = Limits { ratio: 20, ..Limits::default() };
            assert_eq!(decompress(encoding, &bomb, &strict).unwrap_err().kind(), Kind::TooLarge, "{encoding:?}");
            let small = Limits { body: 100_000, ratio: u32::MAX, ..Limits::default() };
            assert_eq!(decompress(encoding, &bomb, &small).unwrap_err().kind(), Kind::TooLarge, "{encoding:?}");
        }
        let small = Limits { body: 9, ..Limits::default() };
        assert_eq!(decompress(Encoding::Identity, &[0; 10], &small).unwrap_err().kind(), Kind::TooLarge);
    }

    #[test]
    fn what_would_be_taken_for_a_bomb_or_does_not_shrink_goes_as_it_is() {
        let limits = Limits::default();
        for body in [vec![b'a'; 8 << 20], noise(1000), vec![]] {
            let (encoding, packed) = pack(Encoding::Zstd, body.clone(), &limits).unwrap();
            assert_eq!((encoding, packed), (Encoding::Identity, body));
        }
        let body = noise(1000).repeat(4);
        let (encoding, packed) = pack(Encoding::Zstd, body.clone(), &limits).unwrap();
        assert_eq!(encoding, Encoding::Zstd);
        assert_eq!(decompress(encoding, &packed, &limits).unwrap(), body);
    }

    #[test]
    fn a_body_cut_off_at_any_byte_or_followed_by_more_is_refused() {
        let body = b"<resource name=\"a\"/>".repeat(20);
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let mut packed = compress(encoding, &body).unwrap();
            for end in 1..packed.len() {
                assert!(decompress(encoding, &packed[..end], &Limits::default()).is_err(), "{encoding:?} {end}");
            }
            packed.push(7);
            assert!(decompress(encoding, &packed, &Limits::default()).is_err(), "{encoding:?}");
        }
    }

    #[test]
    fn the_best_encoding_that_is_allowed_is_chosen() {
        for (accept, want) in [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("gzip, deflate, br", Encoding::Gzip),
            ("gzip;q=1.0, zstd;q=0.1", Encoding::Zstd),
            ("zstd;q=0, *", Encoding::Gzip),
            ("*;q=0", Encoding::Identity),
            ("ZSTD", Encoding::Zstd),
            ("zstd;q=nonsense", Encoding::Identity),
        ] {
            assert_eq!(Encoding::choose(accept), want, "{accept}");
        }
        assert_eq!(Encoding::from_header(" ").unwrap(), Encoding::Identity);
        for bad in ["br", "gzip, zstd"] {
            assert_eq!(Encoding::from_header(bad).unwrap_err().kind(), Kind::Unsupported);
        }
    }
}
