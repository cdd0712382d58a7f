//! Comparing over a real connection.

use entente::{
    error::Kind,
    model::{Absence, CompareRequest, ItemId, SiteId},
    peer::Peer,
};

use crate::{pages::Application, served::Served};

fn ask() -> CompareRequest {
    CompareRequest::default()
}

#[test]
fn a_caller_learns_what_uids_and_versions_are_there() {
    let site = Served::plain();
    let application = Application::beside(&site);
    application.insert(0..40);
    let peer = site.peer(SiteId::random());
    let sample = peer.pull(&crate::pages::pull_of("team")).unwrap();
    let uid = sample.view(&sample.records[0]).uid().to_owned();
    let id = ItemId::of(&uid, &sample.records[0].version, sample.view(&sample.records[0]).digest());
    let request = CompareRequest { named: vec![id, ItemId([7; 32])], absent: vec![uid.clone(), "urn:nobody".into()], ..ask() };
    let answer = peer.compare("team", &request).unwrap();
    let named: Vec<_> = answer.named.iter().map(|named| (named.id, named.uid.clone(), named.known)).collect();
    assert_eq!(named, [(id, uid.clone(), false)]);
    let absent: Vec<_> = answer.absent.iter().map(|absent| (absent.uid.as_str(), absent.state)).collect();
    assert_eq!(absent, [(uid.as_str(), Absence::Here), ("urn:nobody", Absence::Unknown)]);
    assert_eq!(answer.message, None, "nothing else was asked");
}

#[test]
fn what_makes_no_sense_is_refused_and_the_site_goes_on() {
    let site = Served::plain();
    let application = Application::beside(&site);
    application.insert(0..40);
    let own = SiteId::random();
    let (bearer, target) = (site.bearer(own), format!("/sync/compare?resource=team&repository={own}"));
    for body in
        ["", "{\"message\": 7}", "{\"message\": \"?\"}", "{\"message\": \"\"}", "{\"message\": \"YWFhYWFhYWFh\"}", "{\"named\": [\"x\"]}"]
    {
        site.post(&target, &bearer, body.as_bytes()).refuses(Kind::Malformed);
    }
    let peer = site.peer(own);
    let many = |count: usize| (0..count).map(|at| format!("urn:{at}")).collect::<Vec<_>>();
    assert_eq!(peer.compare("team", &CompareRequest { absent: many(1_000), ..ask() }).unwrap().absent.len(), 1_000);
    let refused = peer.compare("team", &CompareRequest { absent: many(1_001), ..ask() }).unwrap_err();
    assert_eq!(refused.kind(), Kind::TooLarge);
    let unknown = CompareRequest { filters: vec!["~.nothing__eq=1".into()], message: Some(vec![0x61]), ..ask() };
    assert_eq!(peer.compare("team", &unknown).unwrap_err().kind(), Kind::Usage);
    let odd = CompareRequest { cursor: "no cursor".into(), named: vec![ItemId([7; 32])], ..ask() };
    assert_eq!(peer.compare("team", &odd).unwrap_err().kind(), Kind::Malformed);
    site.post(&format!("/sync/compare?repository={own}"), &bearer, b"{}").refuses(Kind::Malformed);
    site.post(&target, "", b"{}").refuses(Kind::Unauthorized);
    assert_eq!(peer.compare("secret", &ask()).unwrap_err().kind(), Kind::Forbidden);
    assert!(peer.compare("team", &CompareRequest { message: Some(vec![0x61]), ..ask() }).unwrap().message.is_some());
}
