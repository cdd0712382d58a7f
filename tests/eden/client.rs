//! C1 to C22: we call an Eden.

use entente::{
    error::Kind,
    model::{ApiType, Policy, Resource, SiteId},
    store::repositories,
    sync::run::Ask,
};

use crate::{
    hub::{Hub, uid},
    scripted::{SENDER, Scripted, pair},
};

const OLD: &str = "2026-01-01T00:00:00";
const MID: &str = "2026-02-01T00:00:00";
const NEW: &str = "2026-03-01T00:00:00";

fn json(text: &str) -> String {
    format!("{text:?}")
}

fn put(eden: &Scripted, number: u32, modified: &str, name: &str) {
    eden.put("org_organisation", &uid(number), modified, &[("name", &json(name))]);
}

fn named(hub: &Hub, number: u32) -> String {
    hub.one(&format!("SELECT name FROM org_organisation WHERE 'urn:uuid:' || replace(uuid, 'urn:uuid:', '') = '{}'", uid(number)))
}

fn there(eden: &Scripted, number: u32) -> Option<String> {
    eden.field("org_organisation", &uid(number), "name")
}

#[test]
fn c1_c2_we_register_in_the_way_that_the_eden_knows_and_only_a_success_counts() {
    let hub = Hub::new();
    let eden = Scripted::new();
    let (repository, warning) = hub.knows(eden.address);
    assert_eq!((warning, repository.uuid, repository.kind), (None, Some(SENDER.parse::<SiteId>().unwrap()), ApiType::Eden));
    assert!(eden.asked("POST /sync/repository/register.json")[0].head.to_lowercase().contains("content-length"));
    for (status, media, body) in [
        (401, "text/html", "Authentication Required"),
        (403, "text/html", "Insufficient Privileges"),
        (415, "application/json", r#"{"status": "failed", "statuscode": "415", "message": "x"}"#),
        (500, "text/html", "<html>Ticket</html>"),
        (200, "application/json", &format!(r#"{{"status": "failed", "statuscode": "400", "message": "no", "sender": "{SENDER}"}}"#)),
    ] {
        let (hub, eden) = (Hub::new(), Scripted::new());
        (0..4).for_each(|_| eden.instead("POST /sync/repository", status, media, body));
        let (repository, warning) = hub.knows(eden.address);
        assert!(warning.is_some() && repository.uuid.is_none(), "{status}: {warning:?}");
    }
    let (hub, eden) = (Hub::new(), Scripted::new());
    (0..2).for_each(|_| eden.instead("POST /sync/repository", 404, "text/html", "invalid function"));
    eden.instead(
        "GET /sync/repository/register.xml?repository=urn:uuid:",
        200,
        "application/json",
        &format!(r#"{{"status": "success", "statuscode": "200", "message": "", "sender": "{SENDER}"}}"#),
    );
    let (repository, warning) = hub.knows(eden.address);
    assert_eq!((warning, repository.kind, repository.uuid.is_some()), (None, ApiType::Eden, true));
}

#[test]
fn c3_c4_c5_a_pull_asks_as_an_eden_does_and_its_cursor_is_the_time_of_what_was_taken() {
    let (hub, eden, repository) = pair();
    hub.syncs(&repository);
    let first = &eden.asked("GET /sync/sync.xml?resource=org_organisation")[0];
    assert_eq!(first.path, format!("/sync/sync.xml?resource=org_organisation&repository={}&include_deleted=True", hub.site.id));
    put(&eden, 1, MID, "Alpha");
    eden.forget();
    hub.syncs(&repository);
    assert!(!eden.asked("GET /sync/sync.xml?resource=org_organisation")[0].path.contains("msince"), "nothing was taken yet");
    assert_eq!(named(&hub, 1), "Alpha");
    eden.forget();
    hub.syncs(&repository);
    let third = &eden.asked("GET /sync/sync.xml?resource=org_organisation")[0].path;
    assert!(third.contains("&msince=2026-01-31T23:55:00&include_deleted=True"), "{third}");
    let filtered = Hub::new();
    let (repository, _) = filtered.knows(eden.address);
    filtered.shares(&repository, Resource { filters: vec!["~.name__like=B*".into()], ..Resource::new(0, "org_organisation") });
    eden.forget();
    filtered.syncs(&repository);
    let path = &eden.asked("GET /sync")[0].path;
    assert!(path.ends_with("&include_deleted=True&[~]~.name__like=B%2A"), "{path}");
}

#[test]
fn c6_c7_c8_odd_times_do_not_move_the_cursor_and_a_bad_record_is_not_forgotten() {
    let (hub, eden, repository) = pair();
    put(&eden, 1, "", "Undated");
    put(&eden, 2, "2999-01-01T00:00:00", "Of the future");
    eden.put("org_organisation", &uid(3), OLD, &[("name", &json("Bad")), ("year", "9")]);
    put(&eden, 4, MID, "Good");
    let report = hub.syncs(&repository);
    assert!(report.warnings.iter().any(|warning| warning.contains("future")), "{:?}", report.warnings);
    assert_eq!((named(&hub, 1), named(&hub, 2), named(&hub, 4)), ("Undated".into(), "Of the future".into(), "Good".into()));
    let now = chrono::Utc::now().format("%Y-%m-%d").to_string();
    eden.forget();
    hub.syncs(&repository);
    let path = &eden.asked("GET /sync/sync.xml?resource=org_organisation")[0].path;
    assert!(path.contains(&format!("msince={now}")), "not of the future: {path}");
    assert_eq!(hub.one("SELECT count(*) FROM entente_waiting WHERE kind = 'quarantined'"), "1");
    eden.put("org_organisation", &uid(3), NEW, &[("year", "1999")]);
    eden.forget();
    hub.sync(&repository, &Ask { full: true, ..Ask::default() }).unwrap();
    assert_eq!((named(&hub, 3), hub.one("SELECT count(*) FROM entente_waiting")), ("Bad".into(), "0".into()));
}

#[test]
fn c9_what_is_no_document_is_an_error_and_moves_nothing() {
    let (hub, eden, repository) = pair();
    put(&eden, 1, MID, "Alpha");
    for (status, media, body, kind) in [
        (200, "text/html", r#"{"status": "failed", "statuscode": "400", "message": "Mixed"}"#, Kind::Malformed),
        (200, "text/xml", "", Kind::Malformed),
        (200, "text/xml", "<?xml version='1.0'?><s3xml><resource name='org_organisation'", Kind::Malformed),
        (500, "text/html", "<html>Internal error</html>", Kind::Internal),
        (401, "text/html", "Authentication Required", Kind::Unauthorized),
    ] {
        eden.instead("GET /sync/sync.xml?resource=org_organisation", status, media, body);
        let report = hub.sync(&repository, &Ask::default()).unwrap();
        let failed = report.resources.iter().find(|part| part.error.is_some()).unwrap();
        assert_eq!(failed.error.as_ref().unwrap().kind(), kind, "{status} {body}");
        assert!(
            report.resources.iter().all(|part| part.direction == "pull" || part.resource != "org_organisation"),
            "nothing is pushed over it"
        );
        assert_eq!(named(&hub, 1), "no row");
    }
    hub.syncs(&repository);
    assert_eq!(named(&hub, 1), "Alpha");
}

#[test]
fn c10_c15_c16_a_push_is_what_an_eden_can_read_and_no_echo() {
    let (hub, eden, repository) = pair();
    put(&eden, 1, MID, "Theirs");
    hub.organisation(2, "A <b> & \"c\" 'd'");
    hub.sql("UPDATE org_organisation SET code = 'K & L', year = 1999, active = 1, founded = '2026-02-03', comments = 'x' || char(1)");
    hub.syncs(&repository);
    let pushes = eden.asked("POST /sync/sync.xml?resource=org_organisation");
    assert_eq!(pushes.len(), 1);
    let (push, text) = (&pushes[0], String::from_utf8(pushes[0].body.clone()).unwrap());
    assert!(push.path.contains("&strategy=create,update,delete,merge&update_policy=NEWER&conflict_policy=NEWER"), "{}", push.path);
    let head = push.head.to_lowercase();
    assert!(
        head.contains("content-type: application/x-www-form-urlencoded")
            && head.contains("content-length")
            && !head.contains("content-encoding")
    );
    assert!(!text.contains(&uid(1)), "what was just pulled is not pushed back: {text}");
    assert_eq!(text.matches('&').count(), 1, "ampersands are few: {text}");
    assert!(text.contains("<data field=\"active\" value=\"true\"/><data field=\"founded\" value=\"2026-02-03\"/>"), "{text}");
    assert_eq!(there(&eden, 2).as_deref(), Some("\"A \\u003cb\\u003e \\u0026 \\\"c\\\" \\u0027d\\u0027\""));
    assert_eq!(eden.field("org_organisation", &uid(2), "code").as_deref(), Some("K &amp; L"));
    assert_eq!(eden.field("org_organisation", &uid(2), "comments").as_deref(), Some("\"x\u{FFFD}\""));
    eden.forget();
    hub.syncs(&repository);
    assert!(eden.asked("POST").is_empty(), "a quiet run gives nothing");
}

#[test]
fn long_credentials_stay_on_one_line() {
    let (hub, eden, _) = pair();
    let known = hub.site.store.read(|c| repositories::list(c, hub.site.store.key())).unwrap().remove(0);
    let long = entente::model::Repository { password: Some("x".repeat(90).into()), ..known };
    assert_eq!(entente::sync::register::change(&hub.site, &long).unwrap().warning, None);
    let head = eden.asked("POST /sync/repository")[0].head.clone();
    let line = head.lines().find(|line| line.to_lowercase().starts_with("authorization")).unwrap();
    assert!(line.len() > 130, "{line}");
}

#[test]
fn c11_what_the_eden_refuses_is_told_and_tried_again_when_it_changes() {
    let (hub, eden, repository) = pair();
    eden.state().invalid.insert("Bad".into());
    hub.organisation(1, "Bad");
    hub.organisation(2, "Good");
    let report = hub.syncs(&repository);
    assert!(
        report.warnings.iter().any(|warning| warning.contains(&uid(1)) && warning.contains("Enter an integer")),
        "{:?}",
        report.warnings
    );
    assert_eq!((there(&eden, 1), there(&eden, 2)), (None, Some("\"Good\"".into())));
    eden.forget();
    hub.syncs(&repository);
    assert!(eden.asked("POST").is_empty(), "not again as it is");
    let waits = || entente::sync::quarantine::list(&hub.site).unwrap().0;
    assert_eq!((waits().len(), waits()[0].entry.kind.as_str(), waits()[0].entry.uid.as_str()), (1, "refused", uid(1).as_str()));
    entente::sync::quarantine::retry(&hub.site, &waits()[0].number).unwrap();
    hub.syncs(&repository);
    assert_eq!((eden.asked("POST").len(), waits().len()), (1, 1), "given again on demand");
    hub.sql("UPDATE org_organisation SET name = 'Better' WHERE name = 'Bad'");
    hub.syncs(&repository);
    assert!(waits().is_empty());
    assert_eq!(there(&eden, 1).as_deref(), Some("\"Better\""));
    hub.organisation(3, "Third");
    eden.instead("POST /sync/sync.xml", 200, "text/html", r#"{"status": "failed", "statuscode": "400", "message": "no"}"#);
    let report = hub.sync(&repository, &Ask::default()).unwrap();
    assert!(report.resources.iter().any(|part| part.direction == "push" && part.error.is_some()));
    hub.syncs(&repository);
    assert!(there(&eden, 3).is_some());
}

#[test]
fn c12_where_it_forgot_us_we_register_again_once() {
    let (hub, eden, repository) = pair();
    eden.state().registered = false;
    hub.organisation(1, "Alpha");
    hub.syncs(&repository);
    assert_eq!((eden.asked("POST /sync/repository").len(), there(&eden, 1).is_some()), (1, true));
    hub.organisation(2, "Beta");
    (0..2).for_each(|_| {
        eden.instead(
            "POST /sync/sync.xml",
            403,
            "application/json",
            r#"{"status": "failed", "statuscode": "403", "message": "Registration required"}"#,
        )
    });
    let report = hub.sync(&repository, &Ask::default()).unwrap();
    assert!(report.resources.iter().any(|part| part.error.as_ref().is_some_and(|error| error.kind() == Kind::Forbidden)));
    assert_eq!(eden.asked("POST /sync/repository").len(), 2, "once a push");
}

#[test]
fn c13_policies_go_to_the_address_that_honours_them_or_hold_records_back() {
    let (hub, eden) = (Hub::new(), Scripted::new());
    let (repository, _) = hub.knows(eden.address);
    hub.shares(&repository, Resource { update: Policy::Other, conflict: Policy::Other, ..Resource::new(0, "org_organisation") });
    put(&eden, 1, MID, "Theirs");
    hub.syncs(&repository);
    hub.sql("UPDATE org_organisation SET name = 'Ours'");
    hub.organisation(2, "New");
    hub.syncs(&repository);
    assert_eq!(named(&hub, 1), "Theirs", "their version is taken back");
    assert_eq!((there(&eden, 1).as_deref(), there(&eden, 2).as_deref()), (Some("\"Theirs\""), Some("\"New\"")));
    eden.state().controllers.insert("org_organisation".into());
    eden.forget();
    hub.organisation(3, "By the controller");
    hub.syncs(&repository);
    let asked = eden.asked("POST /org/organisation/sync.xml");
    assert!(asked.len() == 1 && asked[0].path.contains("update_policy=OTHER"), "{asked:?}");
    assert!(there(&eden, 3).is_some());
}

#[test]
fn c14_one_record_over_which_the_eden_breaks_does_not_stop_the_others() {
    let (hub, eden, repository) = pair();
    eden.state().poison.insert("Poison".into());
    for number in 1..=9 {
        hub.organisation(number, if number == 6 { "Poison" } else { "Good" });
    }
    let report = hub.syncs(&repository);
    for number in 1..=9 {
        assert_eq!(there(&eden, number).is_some(), number != 6, "{number}");
    }
    assert!(report.warnings.iter().any(|warning| warning.contains(&uid(6))), "{:?}", report.warnings);
    eden.forget();
    hub.organisation(10, "Later");
    hub.syncs(&repository);
    assert_eq!((eden.asked("POST").len(), there(&eden, 10).is_some()), (1, true));
    // An Eden that breaks over everything is ill: no record is to blame.
    hub.organisation(11, "Waits");
    eden.state().poison.insert("s3xml".into());
    let report = hub.sync(&repository, &Ask::default()).unwrap();
    assert!(report.resources.iter().any(|part| part.direction == "push" && part.error.is_some()));
    eden.state().poison.remove("s3xml");
    hub.syncs(&repository);
    assert!(there(&eden, 11).is_some());
}

#[test]
fn c18_a_push_that_is_sent_elsewhere_is_refused() {
    let (hub, eden, repository) = pair();
    hub.organisation(1, "Alpha");
    eden.instead("POST /sync/sync.xml", 302, "text/html", "");
    let report = hub.sync(&repository, &Ask::default()).unwrap();
    assert!(report.resources.iter().any(|part| part.direction == "push" && part.error.is_some()));
    assert_eq!(there(&eden, 1), None);
    hub.syncs(&repository);
    assert!(there(&eden, 1).is_some());
}

#[test]
fn c18_whoever_says_nothing_or_cannot_be_trusted_ends_the_run() {
    let (hub, eden, repository) = pair();
    let caller = |url: String| {
        let timeouts = entente::peer::Timeouts { connect: std::time::Duration::from_secs(1), idle: std::time::Duration::from_millis(300) };
        let (user, password) = (Some("a".into()), Some("b".into()));
        let (proxy, ca_file, formerly, limits) = (None, None, None, entente::model::Limits::default());
        let (own, clock) = (hub.site.id, hub.site.clock());
        let settings = entente::peer::Settings { url, user, password, proxy, ca_file, own, formerly, clock, limits, retries: 0, timeouts };
        entente::peer::Eden::new(settings).unwrap()
    };
    // One that takes the call and never answers, one that is not there, and one that speaks no TLS (certificates: tests/api/lines.rs).
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (begun, urls) = (
        std::time::Instant::now(),
        [
            format!("http://{}/eden", silent.local_addr().unwrap()),
            format!("http://{nobody}/eden"),
            format!("https://{}/eden", eden.address),
        ],
    );
    for url in urls {
        let error = caller(url.clone()).test().unwrap_err();
        assert!(matches!(error.kind(), Kind::Unreachable | Kind::Timeout), "{url}: {}", error.chain());
    }
    assert!(begun.elapsed().as_secs() < 20);
    // A pull that is sent elsewhere takes nothing from there.
    put(&eden, 1, MID, "Alpha");
    eden.instead("GET /sync/sync.xml?resource=org_organisation", 302, "text/html", "");
    let report = hub.sync(&repository, &Ask::default()).unwrap();
    assert!(report.resources.iter().any(|part| part.direction == "pull" && part.error.is_some()));
    assert_eq!(named(&hub, 1), "no row");
}

#[test]
fn c20_of_two_runs_at_once_one_works_and_one_that_crashed_holds_nobody_up() {
    let (hub, eden, repository) = pair();
    (0..300).for_each(|number| put(&eden, number, MID, "x"));
    let known = hub.site.store.read(|c| repositories::by_id(c, hub.site.store.key(), repository.id)).unwrap();
    let run = |site: std::sync::Arc<entente::site::Site>, known: entente::model::Repository| {
        let mut control = entente::sync::run::Control { stop: &|| None, progress: &mut |_| {} };
        entente::sync::run::run(&site, &known, &Ask::default(), &mut control).map(drop).map_err(|error| error.kind())
    };
    let ended: Vec<_> = [(); 3]
        .map(|()| {
            let (site, known) = (hub.site.clone(), known.clone());
            std::thread::spawn(move || run(site, known))
        })
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert!(ended.iter().any(Result::is_ok), "{ended:?}");
    assert!(ended.iter().all(|end| matches!(end, Ok(()) | Err(Kind::Busy))), "{ended:?}");
    assert_eq!(hub.one("SELECT count(*) FROM org_organisation"), "300");
    // A process that is gone left its lease behind: one with another number, dead by now.
    let (me, now) = (entente::store::holder::me(), hub.site.now());
    let (process, start) = me.rsplit_once(':').unwrap();
    let gone = format!("{process}:{}", start.parse::<u64>().unwrap() + 1);
    let held = hub.site.store.write(|c| entente::store::leases::take(c, repository.id, &gone, now, now.plus_seconds(600))).unwrap();
    assert!(matches!(held, entente::store::leases::Taken::Yes(_)));
    put(&eden, 1_000, NEW, "after the crash");
    hub.syncs(&repository);
    assert_eq!(named(&hub, 1_000), "after the crash");
}

#[test]
fn c19_c20_a_transfer_that_broke_off_goes_on_and_one_run_at_a_time_holds_the_repository() {
    let (hub, eden, repository) = pair();
    for number in 0..1_500 {
        hub.organisation(number, "x");
    }
    let count = |eden: &Scripted| eden.state().records.len();
    let report = hub.syncs(&repository);
    assert_eq!(
        report
            .resources
            .iter()
            .filter(|part| part.direction == "push" && part.resource == "org_organisation")
            .map(|part| part.counts.records)
            .sum::<u64>(),
        1_500
    );
    assert_eq!((count(&eden), eden.asked("POST /sync/sync.xml").len()), (1_500, 2));
    for number in 1_500..3_000 {
        hub.organisation(number, "y");
    }
    eden.forget();
    eden.instead(
        "POST /sync/sync.xml?resource=org_organisation",
        200,
        "text/html",
        r#"{"status": "success", "statuscode": "200", "records": 1000}"#,
    );
    eden.instead(
        "POST /sync/sync.xml?resource=org_organisation",
        400,
        "application/json",
        r#"{"status": "failed", "statuscode": "400", "message": "broken"}"#,
    );
    assert!(hub.sync(&repository, &Ask::default()).unwrap().resources.iter().any(|part| part.error.is_some()));
    hub.syncs(&repository);
    assert_eq!(eden.asked("POST /sync/sync.xml").len(), 3, "the first thousand was answered for");
    let held = hub
        .site
        .store
        .write(|c| entente::store::leases::take(c, repository.id, "another", hub.site.now(), hub.site.now().plus_seconds(60)))
        .unwrap();
    assert!(matches!(held, entente::store::leases::Taken::Yes(_)));
    assert_eq!(hub.sync(&repository, &Ask::default()).unwrap_err().kind(), Kind::Busy);
}

#[test]
fn c21_values_count_more_than_texts_and_texts_are_unescaped_once_more() {
    let (hub, eden, repository) = pair();
    let inside = format!(
        "<resource name=\"org_organisation\" uuid=\"{}\" mci=\"1\" modified_on=\"{MID}\"><data field=\"name\">A &amp;amp; B</data>
         <data field=\"active\" value=\"false\">Ja</data><data field=\"year\" value=\"1999\">MCMXCIX</data></resource>",
        uid(1)
    );
    eden.instead("GET /sync/sync.xml?resource=org_organisation", 200, "text/xml", &crate::hub::document(&inside));
    hub.syncs(&repository);
    assert_eq!(hub.one("SELECT name || active || year FROM org_organisation"), "A & B01999");
}

#[test]
fn c22_what_comes_along_is_taken_where_it_is_shared_and_asked_for_by_itself() {
    let (hub, eden, repository) = pair();
    put(&eden, 1, OLD, "Alpha");
    eden.put("org_office", &uid(2), NEW, &[("name", &json("HQ"))]);
    eden.refer("org_office", &uid(2), "organisation_id", ("org_organisation", &uid(1)));
    hub.syncs(&repository);
    assert_eq!(hub.one("SELECT o.name FROM org_office f JOIN org_organisation o ON o.id = f.organisation_id"), "Alpha");
    assert_eq!(eden.asked("GET /sync/sync.xml?resource=org_office").len(), 1);
}

#[test]
fn c17_files_are_fetched_from_the_edens_own_host_alone() {
    let (hub, eden, repository) = pair();
    let upload = |number: u32, url: &str| {
        format!(
            "<resource name=\"org_organisation\" uuid=\"{}\" mci=\"1\" modified_on=\"{MID}\"><data field=\"name\">L</data>
             <data field=\"logo\" url=\"{url}\" filename=\"l.png\"/></resource>",
            uid(number)
        )
    };
    let other = Scripted::new();
    let inside = [
        upload(1, &format!("http://{}/eden/default/download/logo.png", eden.address)),
        upload(2, &format!("http://{}/eden/default/download/logo.png", other.address)),
        upload(3, "file:///etc/passwd"),
        upload(4, &format!("http://{}/eden/default/download/gone.png", eden.address)),
    ]
    .concat();
    eden.instead("GET /sync/sync.xml?resource=org_organisation", 200, "text/xml", &crate::hub::document(&inside));
    eden.instead("GET /default/download/logo.png", 200, "image/png", "PNG");
    let report = hub.syncs(&repository);
    assert_eq!(hub.one("SELECT count(*) || group_concat(logo) FROM org_organisation"), "4PNG");
    assert!(eden.asked("GET /default/download/logo.png")[0].head.to_lowercase().contains("authorization: basic"));
    assert!(other.asked("").is_empty(), "nobody else is asked");
    assert_eq!(report.warnings.iter().filter(|warning| warning.contains("could not be fetched")).count(), 3);
}

#[test]
fn records_that_match_become_one_unless_the_eden_has_both() {
    let spec = entente::model::TableSpec {
        table: "org_sector".into(),
        resource: "org_sector".into(),
        matching: vec!["name".into()],
        ..entente::model::TableSpec::default()
    };
    let hub = Hub::with("CREATE TABLE org_sector (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);", &[spec]);
    let eden = Scripted::new();
    let (repository, _) = hub.knows(eden.address);
    hub.shares(&repository, Resource::new(0, "org_sector"));
    hub.sql("INSERT INTO org_sector (name) VALUES ('Food')");
    eden.put("org_sector", &uid(1), MID, &[("name", &json("Food"))]);
    hub.syncs(&repository);
    assert_eq!(hub.one("SELECT count(*) FROM org_sector"), "1");
    assert_eq!(hub.one("SELECT count(*) FROM entente_waiting"), "0");
}

#[test]
fn an_eden_that_lost_everything_gets_it_all_again_by_a_full_run() {
    let (hub, eden, repository) = pair();
    put(&eden, 1, MID, "Theirs");
    hub.organisation(2, "Ours");
    hub.syncs(&repository);
    eden.state().records.clear();
    hub.syncs(&repository);
    assert_eq!(there(&eden, 2), None);
    hub.sync(&repository, &Ask { full: true, ..Ask::default() }).unwrap();
    assert_eq!(there(&eden, 2).as_deref(), Some("\"Ours\""));
}
