//! Several servers on one store: whichever a caller comes to, it is the same site.

use entente::{
    error::Kind,
    model::SiteId,
    peer::Peer,
    store::log::{self, LogFilter},
};

use crate::{
    pages::{Application, pull_of, push},
    served::{Served, basic},
};

#[test]
fn a_session_that_one_opened_holds_at_the_other_until_one_of_them_ends_it() {
    let one = Served::plain();
    let (two, site) = (one.beside(), SiteId::random());
    let bearer = one.bearer(site);
    let hello = |server: &Served| server.get(&format!("/sync/hello?repository={site}"), &bearer).status;
    assert_eq!((hello(&one), hello(&two)), (200, 200));
    assert_eq!(two.ask("DELETE /sync/session", &bearer, b"").status, 204);
    assert_eq!((hello(&one), hello(&two)), (401, 401));
}

#[test]
fn wrong_passwords_at_one_slow_down_at_the_other() {
    let one = Served::plain();
    let (two, path) = (one.beside(), format!("/sync/session?repository={}", SiteId::random()));
    for guess in 0..6 {
        let server = if guess % 2 == 0 { &one } else { &two };
        server.post(&path, &basic("anna", "wrong"), b"").refuses(if guess < 5 { Kind::Unauthorized } else { Kind::Limited });
    }
    one.post(&path, &basic("anna", "right"), b"").refuses(Kind::Limited);
}

#[test]
fn the_pages_of_one_run_are_one_run_in_the_log_whoever_took_them() {
    let (from, one) = (Served::plain(), Served::plain());
    let (source, target) = (Application::beside(&from), Application::beside(&one));
    let two = one.beside();
    source.insert(0..300);
    let peers = [one.peer(from.site.id), two.peer(from.site.id)];
    let pages = from.peer(SiteId::random());
    let mut pull = pull_of("team");
    pull.records = 100;
    for (batch, peer) in [(7, &peers[0]), (8, &peers[1]), (9, &peers[0])] {
        let page = pages.pull(&pull).unwrap();
        pull.cursor.clone_from(&page.cursor);
        peer.hello().unwrap();
        assert_eq!(peer.push(&push(batch), &page).unwrap().counts.created, 100);
        // What was stored by the one is known to the other.
        assert_eq!(peers[1].push(&push(batch), &page).unwrap().counts.created, 100);
    }
    assert_eq!(target.names(), source.names());
    let entries = one.site.store.read(|c| log::list(c, &LogFilter { limit: 500, ..LogFilter::default() })).unwrap();
    let pushed: Vec<_> = entries.iter().filter(|entry| entry.resource.as_deref() == Some("team")).collect();
    let first = pushed.iter().map(|entry| entry.id).min().unwrap();
    assert!(pushed.len() >= 3 && pushed.iter().all(|entry| entry.id == first || entry.run == Some(first)), "{pushed:?}");
}
