//! The documents in the body of a request, whatever it says it is.

use crate::error::{Error, Result};

/// The most parts of a body that has parts.
const MOST: usize = 64;

/// The documents in a body: all of it, or of a `multipart/form-data` the files whose names end in `.xml`.
pub fn document_of<'a>(media: &str, body: &'a [u8]) -> Result<Vec<&'a [u8]>> {
    if !media.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        return Ok(vec![body]);
    }
    let boundary = media.split(';').filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"));
    let boundary = boundary.map(|(_, value)| value.trim().trim_matches('"')).filter(|boundary| !boundary.is_empty());
    let boundary = format!("--{}", boundary.ok_or_else(|| Error::malformed("The body has parts, and nothing says where they end"))?);
    let mut documents = Vec::new();
    for part in parts(body, boundary.as_bytes()).take(MOST) {
        let Some(end) = memchr::memmem::find(part, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&part[..end]).to_ascii_lowercase();
        let file =
            head.split("filename=").nth(1).map(|rest| rest.trim_start_matches('"').split(['"', '\r', '\n', ';']).next().unwrap_or(""));
        if file.is_some_and(|name| name.ends_with(".xml")) {
            documents.push(&part[end + 4..]);
        }
    }
    if documents.is_empty() { Err(Error::malformed("XML Parse error: Document is empty")) } else { Ok(documents) }
}

/// What stands between two boundaries, without the line ends that belong to them.
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let places: Vec<usize> = memchr::memmem::find_iter(body, boundary).collect();
    let ends: Vec<usize> = places.iter().skip(1).copied().collect();
    let length = boundary.len();
    places.into_iter().zip(ends).map(move |(start, end)| {
        let part = &body[(start + length).min(end)..end];
        let part = part.strip_prefix(b"\r\n").unwrap_or(part);
        part.strip_suffix(b"\r\n").unwrap_or(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_body_with_parts_are_its_documents() {
        let body = b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.xml\"\r\nContent-Type: text/xml\r\n\r\n<s3xml/>\r\n\
                     --B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nno\r\n--B--\r\n";
        assert_eq!(document_of("multipart/form-data; boundary=B", body).unwrap(), [b"<s3xml/>"]);
        assert_eq!(document_of("application/x-www-form-urlencoded", b"<s3xml/>").unwrap(), [b"<s3xml/>"]);
        assert!(document_of("multipart/form-data; boundary=B", b"--B--").is_err());
        assert!(document_of("multipart/form-data", body).is_err());
    }
}
