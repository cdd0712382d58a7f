//! Data sets in a file: a ZIP with one document a task.

use std::io::{Cursor, Read, Write};

use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::{
    error::{Error, Kind, Result},
    model::Limits,
};

/// The most documents in an archive.
const MOST: usize = 1_000;

/// The documents of an archive, by their names without `.xml`, in its order. Each is within `limits`, and so is their sum times ten.
pub fn read_archive(bytes: &[u8], limits: &Limits) -> Result<Vec<(String, Vec<u8>)>> {
    let broken = |error: zip::result::ZipError| Error::malformed("The archive cannot be read").because(error);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    if archive.len() > MOST {
        return Err(Error::new(Kind::TooLarge, format!("The archive has more than {MOST} files")));
    }
    let (mut documents, mut total) = (Vec::new(), 0u64);
    for at in 0..archive.len() {
        let file = archive.by_index(at).map_err(broken)?;
        let path = file.name().map_err(broken)?.into_owned();
        let Some(name) = path.strip_suffix(".xml").map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()) else { continue };
        let mut document = Vec::new();
        file.take(limits.body + 1).read_to_end(&mut document).map_err(|error| Error::malformed("The archive is damaged").because(error))?;
        total += document.len() as u64;
        if document.len() as u64 > limits.body || total > limits.body.saturating_mul(10) {
            return Err(Error::new(Kind::TooLarge, format!("{name}.xml is larger than the {} bytes it may have", limits.body)));
        }
        documents.push((name, document));
    }
    if documents.is_empty() {
        Err(Error::malformed("The archive has no documents").hint("It holds one NAME.xml a task."))
    } else {
        Ok(documents)
    }
}

/// An archive of documents, by their names without `.xml`.
pub fn write_archive(documents: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let failed = |error: zip::result::ZipError| Error::internal("The archive could not be written").because(error);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, document) in documents {
        archive.start_file(format!("{name}.xml"), options).map_err(failed)?;
        archive.write_all(document).map_err(|error| Error::internal("The archive could not be written").because(error))?;
    }
    archive.finish().map(Cursor::into_inner).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_read_as_it_is_written_and_limits_hold() {
        let documents = vec![("a".to_owned(), b"<s3xml/>".to_vec()), ("b".to_owned(), vec![b'x'; 5_000])];
        let bytes = write_archive(&documents).unwrap();
        assert_eq!(read_archive(&bytes, &Limits::default()).unwrap(), documents);
        let small = Limits { body: 4_000, ..Limits::default() };
        assert_eq!(read_archive(&bytes, &small).unwrap_err().kind(), Kind::TooLarge);
        assert_eq!(read_archive(&bytes[..40], &Limits::default()).unwrap_err().kind(), Kind::Malformed);
        assert_eq!(read_archive(&write_archive(&[]).unwrap(), &Limits::default()).unwrap_err().kind(), Kind::Malformed);
    }
}
