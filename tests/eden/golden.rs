//! Documents in the shape of an Eden's traffic, word for word.

use entente::{
    model::{Limits, eden::Components},
    sync::eden::files::{Deleted, Wanted, export},
    wire::eden::{Sender, read, write},
};

use crate::hub::{Hub, document, uid};

/// As an Eden of 2024 writes an organisation with an office in it, its pseudo component, a deletion, and a place that both refer to.
const THEIRS: &str = include_str!("../fixtures/eden-golden.xml");

/// As we write the same.
const OURS: &str = include_str!("../fixtures/eden-golden-answer.xml");

#[test]
fn an_edens_document_is_taken_and_given_on_word_for_word() {
    let hub = Hub::new();
    hub.register();
    let answer = hub.post(&format!("/sync/sync.xml?resource=org_organisation&repository={}", crate::hub::eden()), THEIRS);
    let said: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(said, serde_json::json!({"created": [1, 2], "records": 3, "status": "success", "statuscode": "200"}));
    assert_eq!(hub.one("SELECT o.name || '/' || f.name || '/' || coalesce(o.comments, '-') FROM org_office f JOIN org_organisation o ON o.id = f.organisation_id"),
        "Relief Agency Ärzte/Head Office/Line one\nline two & <b>markup</b> 😀");
    let given = hub.pull("org_organisation", "").body;
    assert_eq!(given, OURS.trim_end());
    // What we write is what we read.
    let document = read(given.as_bytes(), &[], &Limits::default()).unwrap();
    assert!(document.refused.is_empty());
    assert_eq!(document.page("org_organisation").unwrap().records.len(), 3);
}

#[test]
fn a_document_that_was_written_reads_back_to_the_same_document() {
    let (one, two) = (Hub::new(), Hub::new());
    one.organisation(1, "A & B <c>");
    let wanted =
        Wanted { resource: "org_organisation".into(), filters: Vec::new(), components: Components::Nested, deleted: Deleted::Told };
    let text = |hub: &Hub| {
        let sender = Sender { site: one.site.id, domain: String::new(), prefix: String::new(), url: String::new() };
        let mut out = String::new();
        write(&export(&hub.site, &wanted).unwrap(), &sender, &mut out).unwrap();
        out
    };
    let first = text(&one);
    two.register();
    two.post(&format!("/sync/sync.xml?resource=org_organisation&repository={}", crate::hub::eden()), &first);
    assert_eq!(text(&two).replace("mci=\"2\"", "mci=\"1\""), first);
    assert!(document("").len() < first.len() && first.contains(&uid(1)));
}
