//! JSON messages against their schemas.

use entente::{
    error::Kind,
    model::{
        Absence, Absent, CompareAnswer, CompareRequest, Counts, Hello, HelloResource, ItemId, Limits, Mode, NamedRecord, Quarantined,
        Receipt, Registered, Session, SiteId, Spoken, Sum, Time,
    },
    wire::{read_json, read_receipt, refusal, write_json, write_receipt},
};
use serde_json::Value;

fn is_valid(schema: &str, message: &Value) -> bool {
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(format!("schemas/{schema}.json")).unwrap()).unwrap();
    jsonschema::validator_for(&schema).expect("the schema is one").is_valid(message)
}

fn hello() -> Hello {
    let resource = HelloResource {
        name: "office".into(),
        kind: "table".into(),
        mode: Mode::Both,
        fingerprint: "f".into(),
        head: "e1;9".into(),
        records: Some(3),
        assigned: true,
        epoch: "e1".into(),
        told: 2,
        heard: 1,
        digest: Some(Sum::from_bytes([7; 32])),
        apart: true,
        compare: true,
        waiting: Some(12),
    };
    Hello {
        uuid: SiteId::random(),
        name: "hall".into(),
        version: "0.1.0".into(),
        protocol: 1,
        time: Time(1),
        features: vec!["zstd".into()],
        limits: Limits::default(),
        paused: false,
        resources: vec![resource],
        unavailable: vec!["shop".into()],
    }
}

fn receipt() -> Receipt {
    let counts = Counts { records: 2, quarantined: 1, ..Counts::default() };
    Receipt { counts, quarantine: vec![Quarantined { uuid: "urn:x".into(), reason: "no".into() }], deletions: 0, run: 4 }
}

fn question() -> CompareRequest {
    CompareRequest {
        went_back: true,
        refused: true,
        cursor: "e1:9".into(),
        filters: vec!["~.name__eq=x".into()],
        message: Some(vec![0x61, 0, 255]),
        named: vec![ItemId([9; 32])],
        absent: vec!["urn:x".into()],
        done: true,
    }
}

fn answer() -> CompareAnswer {
    CompareAnswer {
        cursor: "e2:3".into(),
        refused: true,
        message: Some(vec![0x61]),
        named: vec![NamedRecord { id: ItemId([9; 32]), uid: "urn:x".into(), known: true, later: true }],
        absent: [Absence::Unknown, Absence::Here, Absence::Deleted, Absence::Waiting, Absence::Held, Absence::Filtered]
            .map(|state| Absent { uid: "urn:x".into(), state })
            .into(),
    }
}

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let registered = Registered {
        status: "success".into(),
        statuscode: "200".into(),
        message: "Registration successful".into(),
        sender: SiteId::random().to_string(),
        entente: Some(Spoken { protocol: 1 }),
    };
    vec![
        ("hello", write_json(&hello())),
        ("hello", write_json(&Hello { resources: vec![], unavailable: vec![], ..hello() })),
        ("compare-request", write_json(&question())),
        ("compare-answer", write_json(&answer())),
        ("receipt", write_receipt(&receipt())),
        ("receipt", write_receipt(&Receipt::default())),
        ("registered", write_json(&registered)),
        ("registered", write_json(&Registered { entente: None, ..registered })),
        ("refusal", refusal(Kind::Fence, "a newer run is at work")),
        ("session", write_json(&Session { token: "x".repeat(43), expires: 3600 })),
    ]
}

#[test]
fn every_message_follows_its_schema() {
    for (schema, message) in messages() {
        let value: Value = read_json(&message, 10_000).unwrap();
        assert!(is_valid(schema, &value), "{schema} {value}");
    }
}

#[test]
fn a_message_that_lacks_a_member_or_holds_one_of_another_type_does_not_follow_its_schema() {
    let optional = ["paused", "resources", "unavailable", "message", "entente"];
    for (schema, message) in messages() {
        let good: Value = read_json(&message, 10_000).unwrap();
        for member in good.as_object().unwrap().keys() {
            let mut wrong = good.clone();
            wrong[member] = Value::Array(vec![Value::Null]);
            assert!(!is_valid(schema, &wrong), "{schema} with a wrong {member}");
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(member);
            let needed = !optional.contains(&member.as_str()) || (schema == "receipt" && member == "entente");
            let needed = needed || (member == "message" && schema != "receipt");
            let needed = if schema.starts_with("compare") { member == "cursor" } else { needed };
            assert_eq!(is_valid(schema, &without), !needed, "{schema} without {member}");
        }
    }
}

#[test]
fn every_kind_of_refusal_is_known_to_the_schema() {
    for status in [Kind::Usage, Kind::Forbidden, Kind::Epoch, Kind::Paused, Kind::Newer, Kind::Internal, Kind::TooLarge, Kind::Stopped] {
        let message: Value = read_json(&refusal(status, "m"), 1000).unwrap();
        assert!(is_valid("refusal", &message), "{message}");
    }
}

#[test]
fn messages_are_read_as_they_are_written() {
    let back: Hello = read_json(&write_json(&hello()), 10_000).unwrap();
    assert_eq!(back.resources, hello().resources);
    assert_eq!(read_json::<CompareRequest>(&write_json(&question()), 10_000).unwrap(), question());
    assert_eq!(read_json::<CompareAnswer>(&write_json(&answer()), 10_000).unwrap(), answer());
    assert_eq!(read_receipt(&write_receipt(&receipt())).unwrap(), receipt());
}
