//! JSON messages and lists of uids.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::{Error, Kind, Result},
    model::{Receipt, Refusal, Uid},
};

/// The most uids in one list.
pub const MAX_UIDS: usize = 1000;

/// The largest answer to a pushed page that we read: a page's worth of quarantined records with their reasons.
const MAX_RECEIPT: usize = 32 << 20;

/// The longest sentence of another site that we repeat, in characters.
const MAX_SENTENCE: usize = 300;

/// Reads a JSON message of at most `limit` bytes, nested at most 127 levels deep.
/// A longer one is [`Kind::TooLarge`], one that is not of this form [`Kind::Malformed`].
pub fn read_json<T: DeserializeOwned>(body: &[u8], limit: usize) -> Result<T> {
    if body.len() > limit {
        return Err(Error::new(Kind::TooLarge, format!("a message is longer than {limit} bytes")));
    }
    serde_json::from_slice(body).map_err(|error| Error::malformed("a message is not the JSON that was expected").because(error))
}

/// A message as JSON.
pub fn write_json<T: Serialize>(message: &T) -> Vec<u8> {
    // Our messages have text keys and writing to memory does not fail, so there is always a document.
    serde_json::to_vec(message).unwrap_or_else(|_| b"null".to_vec())
}

/// Eden's message with ours inside: a stock Eden reads the outer part and is content.
#[derive(Serialize, Deserialize)]
struct Answer<T> {
    status: String,
    #[serde(default)]
    statuscode: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    records: u64,
    entente: T,
}

/// The answer to a pushed page.
pub fn write_receipt(receipt: &Receipt) -> Vec<u8> {
    let counts = &receipt.counts;
    let message = format!(
        "{} records: {} created, {} updated, {} deleted, {} kept, {} quarantined",
        counts.records, counts.created, counts.updated, counts.deleted, counts.kept, counts.quarantined
    );
    let (status, statuscode) = ("success".to_owned(), "200".to_owned());
    write_json(&Answer { status, statuscode, message, records: counts.records, entente: receipt })
}

/// Reads the answer to a pushed page. One that says `failed` is the refusal it tells of; one without our part is [`Kind::Malformed`].
pub fn read_receipt(body: &[u8]) -> Result<Receipt> {
    let answer: Answer<Option<Receipt>> = read_json(body, MAX_RECEIPT).map_err(|error| error.within("The answer to a push"))?;
    if answer.status != "success" {
        return Err(read_refusal(answer.statuscode.parse().unwrap_or(500), body));
    }
    answer.entente.ok_or_else(|| Error::malformed("The answer to a push does not say what became of the records"))
}

/// The body of a refusal under `/sync`.
pub fn refusal(kind: Kind, message: &str) -> Vec<u8> {
    write_json(&Refusal {
        status: "failed".to_owned(),
        statuscode: kind.status().to_string(),
        message: message.to_owned(),
        kind: kind.word().to_owned(),
    })
}

/// The error that another site's answer with an HTTP `status` other than success stands for.
/// Its kind is the one the answer names, else that of the status; of its words, a short line without control characters is repeated.
pub fn read_refusal(status: u16, body: &[u8]) -> Error {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let (word, sentence) = match &refusal {
        Some(refusal) => (refusal.kind.as_str(), line(&refusal.message)),
        None => ("", plain_text(body)),
    };
    let sentence = if sentence.is_empty() { format!("it answered with status {status}") } else { sentence };
    Error::new(kind_of(word).unwrap_or_else(|| kind_of_status(status)), format!("The other site refused: {sentence}"))
}

fn kind_of(word: &str) -> Option<Kind> {
    let kind = Kind::from_word(word);
    (kind.word() == word).then_some(kind)
}

fn kind_of_status(status: u16) -> Kind {
    match status {
        400 => Kind::Malformed,
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        404 | 410 => Kind::NotFound,
        408 | 504 => Kind::Timeout,
        409 => Kind::Exists,
        413 => Kind::TooLarge,
        415 => Kind::Unsupported,
        429 => Kind::Limited,
        502 => Kind::Unreachable,
        503 => Kind::Busy,
        _ => Kind::Internal,
    }
}

/// A short body that is not a web page, as a line.
fn plain_text(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap_or_default();
    if text.contains('<') { String::new() } else { line(text) }
}

fn line(text: &str) -> String {
    let printable = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(MAX_SENTENCE).collect()
}

/// A list of uids, one a line.
pub fn write_uids(uids: &[String]) -> Vec<u8> {
    uids.iter().flat_map(|uid| [uid.as_bytes(), b"\n"]).flatten().copied().collect()
}

/// Reads a list of uids, one a line; empty lines are skipped. More than [`MAX_UIDS`] are [`Kind::TooLarge`].
pub fn read_uids(body: &[u8]) -> Result<Vec<String>> {
    if body.len() > MAX_UIDS * (4 * Uid::MAX + 2) {
        return Err(too_many());
    }
    let text = std::str::from_utf8(body).map_err(|_| Error::malformed("a list of uids is not UTF-8"))?;
    let lines = text.lines().filter(|line| !line.is_empty()).take(MAX_UIDS + 1);
    let uids = lines.map(|line| Uid::check(line).map(str::to_owned)).collect::<Result<Vec<_>>>()?;
    if uids.len() > MAX_UIDS { Err(too_many()) } else { Ok(uids) }
}

fn too_many() -> Error {
    Error::new(Kind::TooLarge, format!("a list has more than {MAX_UIDS} uids")).hint("Ask in several requests.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Counts, Quarantined};

    fn receipt() -> Receipt {
        let counts = Counts { records: 3, created: 1, quarantined: 1, ..Counts::default() };
        Receipt { counts, quarantine: vec![Quarantined { uuid: "urn:x".into(), reason: "it does not fit".into() }], deletions: 0, run: 7 }
    }

    #[test]
    fn a_receipt_travels_inside_a_message_of_eden() {
        let body = write_receipt(&receipt());
        assert_eq!(read_receipt(&body).unwrap(), receipt());
        let message: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&message["status"], &message["statuscode"], &message["records"]), (&"success".into(), &"200".into(), &3.into()));
        assert_eq!(message["entente"]["created"], 1);
    }

    #[test]
    fn an_answer_that_says_failed_is_an_error_although_its_status_was_200() {
        let error = read_receipt(br#"{"status":"failed","statuscode":"403","message":"Registration required"}"#).unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden);
        assert!(error.to_string().contains("Registration required"));
    }

    #[test]
    fn an_answer_without_our_part_is_no_receipt() {
        for body in ["", "{}", "[]", r#"{"status":"success","records":1}"#, r#"{"status":"success","entente":{"run":"x"}}"#] {
            assert_eq!(read_receipt(body.as_bytes()).unwrap_err().kind(), Kind::Malformed, "{body}");
        }
    }

    #[test]
    fn a_refusal_names_its_kind_and_without_one_the_status_does() {
        let error = read_refusal(409, &refusal(Kind::Fence, "a newer run is at work"));
        assert_eq!(error.kind(), Kind::Fence);
        assert!(error.to_string().ends_with("a newer run is at work"));
        for (status, body, kind) in [
            (403, "Insufficient Privileges", Kind::Forbidden),
            (401, "Authentication Required", Kind::Unauthorized),
            (500, "<html>ticket</html>", Kind::Internal),
            (429, "", Kind::Limited),
            (409, r#"{"status":"failed","statuscode":"409","message":"m","kind":"of tomorrow"}"#, Kind::Exists),
        ] {
            assert_eq!(read_refusal(status, body.as_bytes()).kind(), kind, "{status} {body}");
        }
    }

    #[test]
    fn a_hostile_sentence_is_cut_and_cannot_begin_a_line_of_the_log() {
        let text = read_refusal(500, format!("a\r\nroot logged in\u{1b}[31m{}", "x".repeat(100_000)).as_bytes()).to_string();
        assert!(text.chars().count() < 400 && !text.chars().any(char::is_control), "{text}");
    }

    #[test]
    fn json_beyond_the_limit_or_nested_without_end_is_refused() {
        let deep = "[".repeat(100_000);
        assert_eq!(read_json::<serde_json::Value>(deep.as_bytes(), 1_000_000).unwrap_err().kind(), Kind::Malformed);
        assert_eq!(read_json::<serde_json::Value>(b"[1]", 2).unwrap_err().kind(), Kind::TooLarge);
    }

    #[test]
    fn uids_are_read_as_they_are_written_up_to_a_thousand() {
        let uids: Vec<String> = (0..MAX_UIDS).map(|n| format!("urn:x:{n}")).collect();
        let mut body = write_uids(&uids);
        assert_eq!(read_uids(&body).unwrap(), uids);
        assert_eq!(read_uids(b"a\r\n\r\nb").unwrap(), ["a", "b"]);
        body.extend_from_slice(b"one more");
        assert_eq!(read_uids(&body).unwrap_err().kind(), Kind::Malformed);
        body.truncate(body.len() - 5);
        assert_eq!(read_uids(&body).unwrap_err().kind(), Kind::TooLarge);
        assert_eq!(read_uids(&vec![b'\n'; 10 << 20]).unwrap_err().kind(), Kind::TooLarge);
        assert_eq!(read_uids(b"\xff").unwrap_err().kind(), Kind::Malformed);
    }
}
