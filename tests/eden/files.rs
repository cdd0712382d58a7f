//! Documents and archives in files.

use entente::{
    model::{Limits, eden::Components},
    sync::eden::files::{Deleted, Wanted, export, import},
    wire::eden::{Sender, read, read_archive, write, write_archive},
};

use crate::hub::{Hub, document, named, organisation, uid};

fn exported(hub: &Hub, resource: &str, deleted: Deleted) -> Vec<u8> {
    let wanted = Wanted { resource: resource.into(), filters: Vec::new(), components: Components::Nested, deleted };
    let sender = Sender { site: hub.site.id, domain: String::new(), prefix: String::new(), url: String::new() };
    let mut text = String::new();
    write(&export(&hub.site, &wanted).unwrap(), &sender, &mut text).unwrap();
    text.into_bytes()
}

#[test]
fn what_one_site_exports_another_imports_and_again_changes_nothing() {
    let (from, to) = (Hub::new(), Hub::new());
    from.organisation(1, "Alpha");
    from.organisation(2, "Gone");
    from.sql(&format!("INSERT INTO org_office (uuid, name, organisation_id) VALUES ('{}', 'HQ', 1)", uid(3)));
    from.sql("INSERT INTO auth_user (uuid, email, password) VALUES ('urn:u', 'a@example.org', 'hash')");
    exported(&from, "org_organisation", Deleted::Omitted);
    from.sql("DELETE FROM org_organisation WHERE name = 'Gone'");
    let living = exported(&from, "org_organisation", Deleted::Omitted);
    assert!(!String::from_utf8_lossy(&living).contains("deleted"));
    let archive = write_archive(&[
        ("org_organisation".into(), exported(&from, "org_organisation", Deleted::Told)),
        ("auth_user".into(), exported(&from, "auth_user", Deleted::Omitted)),
    ])
    .unwrap();
    let documents: Vec<_> =
        read_archive(&archive, &Limits::default()).unwrap().iter().map(|(_, text)| read(text, &[], &Limits::default()).unwrap()).collect();
    let taken = import(&to.site, &documents, None, None).unwrap();
    let told: Vec<(&str, u64)> = taken.iter().map(|taken| (taken.resource.as_str(), taken.outcome.counts.created)).collect();
    assert_eq!(told, [("org_organisation", 1), ("org_office", 1)]);
    assert_eq!(to.one("SELECT o.name || f.name FROM org_office f JOIN org_organisation o ON o.id = f.organisation_id"), "AlphaHQ");
    assert_eq!(to.one("SELECT count(*) FROM auth_user"), "0", "accounts are not taken unless they are named");
    let again = import(&to.site, &documents, None, None).unwrap();
    assert!(again.iter().all(|taken| taken.outcome.counts.created + taken.outcome.counts.updated + taken.outcome.counts.deleted == 0));
    import(&to.site, &documents, None, Some(&["auth_user".to_owned()])).unwrap();
    assert_eq!(to.one("SELECT email || coalesce(password, '-') FROM auth_user"), "a@example.org-", "passwords never are");
}

#[test]
fn a_file_of_an_eden_is_decided_like_what_comes_over_a_line() {
    let hub = Hub::new();
    let text = document(&format!(
        "{}{}",
        organisation(1, "2001-01-01T00:00:00", &named("Old")),
        organisation(2, "2026-01-01T00:00:00", &format!("{}<data field=\"year\" value=\"9\"/>", named("Bad")))
    ));
    hub.organisation(1, "Newer");
    let documents = [read(text.as_bytes(), &[], &Limits::default()).unwrap()];
    let taken = import(&hub.site, &documents, None, None).unwrap();
    assert_eq!((taken[0].outcome.counts.kept, taken[0].outcome.counts.quarantined), (1, 1));
    assert_eq!(hub.one("SELECT name FROM org_organisation"), "Newer");
    assert_eq!(hub.one("SELECT count(*) FROM entente_history WHERE record LIKE '%Old%'"), "1");
}
