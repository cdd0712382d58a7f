//! What is said of a pushed document.

use serde_json::{Map, Value, json};

use crate::{
    error::{Error, Kind, Result},
    model::eden::{EdenAnswer, Refused},
    wire::read_refusal,
};

/// The largest answer that is read.
const LARGEST: usize = 64 << 20;

/// The longest reason that is kept, in characters.
const LONGEST: usize = 300;

/// The answer to a pushed document, in the words that an Eden knows. The numbers in it count; keys of rows stay here.
pub fn write_answer(answer: &EdenAnswer) -> Vec<u8> {
    let mut message = json!({ "status": "success", "statuscode": "200", "records": answer.records.unwrap_or(0) });
    let numbers = [("created", answer.created), ("updated", answer.updated), ("deleted", answer.deleted)];
    for (name, count) in numbers.into_iter().filter(|(_, count)| *count > 0) {
        message[name] = (1..=count).collect::<Vec<u64>>().into();
    }
    if !answer.message.is_empty() {
        message["message"] = answer.message.clone().into();
    }
    if !answer.refused.is_empty() {
        message["message"] = "Validation error - invalid items ignored".into();
        let mut tree = Map::new();
        for refused in &answer.refused {
            let entry = json!({ "@uuid": refused.uid, "@error": refused.reason });
            if let Value::Array(list) = tree.entry(format!("$_{}", refused.resource)).or_insert_with(|| json!([])) {
                list.push(entry);
            }
        }
        message["tree"] = tree.into();
    }
    serde_json::to_vec(&message).unwrap_or_default()
}

/// Reads the answer to a pushed document of `resource`. One that says `failed` is the refusal it tells of; one that is no JSON of this form, empty
/// for example, is [`Kind::Malformed`]: nobody knows what became of the records.
pub fn read_answer(body: &[u8]) -> Result<EdenAnswer> {
    if body.len() > LARGEST {
        return Err(Error::new(Kind::TooLarge, format!("The answer to a push has more than {LARGEST} bytes")));
    }
    let unclear = || Error::malformed("The answer to a push does not say what became of the records");
    let answer: Value = serde_json::from_slice(body).map_err(|error| unclear().because(error))?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("status") {
        "success" => {}
        "failed" => return Err(read_refusal(text("statuscode").parse().unwrap_or(400), body)),
        _ => return Err(unclear()),
    }
    let count = |name: &str| answer.get(name).and_then(Value::as_array).map_or(0, |list| list.len() as u64);
    let mut refused = Vec::new();
    if let Some(Value::Object(tree)) = answer.get("tree") {
        collect(tree, &mut refused);
    }
    let (created, updated, deleted) = (count("created"), count("updated"), count("deleted"));
    let records = answer.get("records").and_then(Value::as_u64);
    Ok(EdenAnswer { records, created, updated, deleted, refused, message: line(text("message")) })
}

/// The elements of an error tree. One that stands inside another is told with it.
fn collect(tree: &Map<String, Value>, refused: &mut Vec<Refused>) {
    for (name, elements) in tree {
        let Some(resource) = name.strip_prefix("$_") else { continue };
        let list = match elements {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        for element in list.iter().filter_map(Value::as_object) {
            let uid = element.get("@uuid").and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut reasons = Vec::new();
            errors(element, 0, &mut reasons);
            let reason = if reasons.is_empty() { "refused without a reason".to_owned() } else { line(&reasons.join("; ")) };
            refused.push(Refused { resource: resource.to_owned(), uid, reason });
        }
    }
}

fn errors(element: &Map<String, Value>, depth: usize, reasons: &mut Vec<String>) {
    if depth > 8 || reasons.len() > 8 {
        return;
    }
    // What is said of fields says more than what is said of the whole.
    let before = reasons.len();
    for (name, value) in element.iter().filter(|(name, _)| !name.starts_with('@')) {
        let inner = match value {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        for inner in inner.iter().filter_map(Value::as_object) {
            match inner.get("@error").and_then(Value::as_str) {
                Some(error) if !name.starts_with("$_") => {
                    let field = name.trim_start_matches("$k_");
                    reasons.push(if error.starts_with(field) { error.to_owned() } else { format!("{field}: {error}") });
                }
                _ => errors(inner, depth + 1, reasons),
            }
        }
    }
    if reasons.len() == before
        && let Some(error) = element.get("@error").and_then(Value::as_str)
    {
        reasons.push(error.to_owned());
    }
}

fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_is_written() {
        let refused = vec![Refused { resource: "org_office".into(), uid: "urn:x:1".into(), reason: "name: too long".into() }];
        let message = "Validation error - invalid items ignored".to_owned();
        let answer = EdenAnswer { records: Some(3), created: 2, updated: 1, deleted: 0, refused, message };
        assert_eq!(read_answer(&write_answer(&answer)).unwrap(), answer);
    }

    #[test]
    fn an_error_tree_names_each_record_and_why() {
        let body = br#"{"status":"success","statuscode":"200","message":"Validation error - invalid items ignored","records":1,"created":[5],
          "tree":{"$_org_organisation":[{"@uuid":"urn:uuid:x","@error":"Validation error","year":{"@value":9,"@error":"year: Enter an integer"}},
          {"@uuid":"urn:uuid:y","@error":"Validation error","$_org_office":[{"@uuid":"urn:z","$k_location_id":{"@error":"reference import(s) failed"}}]}]}}"#;
        let answer = read_answer(body).unwrap();
        let told: Vec<(&str, &str)> = answer.refused.iter().map(|refused| (refused.uid.as_str(), refused.reason.as_str())).collect();
        assert_eq!(told, [("urn:uuid:x", "year: Enter an integer"), ("urn:uuid:y", "location_id: reference import(s) failed")]);
    }

    #[test]
    fn an_answer_that_is_none_or_failed_is_an_error() {
        for body in [&b""[..], b"<html/>", b"{}", b"[]"] {
            assert_eq!(read_answer(body).unwrap_err().kind(), Kind::Malformed);
        }
        assert!(read_answer(br#"{"status":"failed","statuscode":"400","message":"x"}"#).is_err());
    }
}
