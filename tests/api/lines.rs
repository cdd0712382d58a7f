//! Our own client and a served site: sessions, events, TLS, lines that break, starting and stopping.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use entente::{
    error::Kind,
    model::SiteId,
    peer::{Entente, Peer, Settings},
    web::{self, Changes, Listen},
};

use crate::served::Served;

#[test]
fn our_client_uses_one_session_for_all_its_calls_and_opens_another_when_it_is_lost() {
    let site = Served::plain();
    let peer = site.peer(SiteId::random());
    let contact = peer.hello().unwrap();
    assert_eq!(contact.hello.uuid, site.site.id);
    assert!(contact.skew.abs() < 5_000, "{}", contact.skew);
    // With the password gone, only the session can carry a second call.
    site.site.store.write(|c| entente::store::tokens::revoke_account(c, "anna")).unwrap();
    peer.hello().unwrap();
    peer.close();
    peer.hello().unwrap();
    let wrong = Entente::new(Settings { password: Some("wrong".into()), ..site.settings(SiteId::random()) }).unwrap();
    assert_eq!(wrong.hello().unwrap_err().kind(), Kind::Unauthorized);
}

#[test]
fn followers_hear_of_granted_resources_and_of_nothing_else() {
    let site = Served::plain();
    let peer = site.peer(SiteId::random());
    let (stop, changes) = (AtomicBool::new(false), site.changes.clone());
    let mut heard = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            while changes.receiver_count() == 0 {
                thread::sleep(Duration::from_millis(5));
            }
            for name in ["secret", "team"] {
                changes.send(name.into()).unwrap();
            }
        });
        peer.listen(&stop, &mut |name| {
            heard.push(name.to_owned());
            stop.store(true, Relaxed);
        })
        .unwrap();
    });
    assert_eq!(heard, ["team"]);
}

#[test]
fn a_stopping_site_ends_event_streams_and_is_gone_within_its_grace() {
    let mut site = Served::plain();
    let peer = site.peer(SiteId::random());
    let changes = site.changes.clone();
    let follower = thread::spawn(move || peer.listen(&AtomicBool::new(false), &mut |_| {}));
    while changes.receiver_count() == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let began = Instant::now();
    site.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    follower.join().unwrap().unwrap();
    assert!(TcpStream::connect(site.address).is_err());
}

#[test]
fn connections_that_idle_do_not_hold_up_a_stopping_site() {
    let mut site = Served::plain();
    let peer = site.peer(SiteId::random());
    peer.hello().unwrap();
    let began = Instant::now();
    site.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(peer.hello().unwrap_err().kind(), Kind::Unreachable);
}

#[test]
fn an_address_in_use_is_told_with_what_to_do() {
    let site = Served::plain();
    let listen = Listen { addr: site.address, tls: None };
    let error = web::serve(site.site.clone(), listen, Changes::new(1), |_| panic!("it is in use"), async {}).unwrap_err();
    assert!(error.kind() == Kind::Exists && error.chain().contains("--listen"), "{}", error.chain());
}

/// A certificate authority's file, and a certificate by it with its key.
fn certificates(dir: &std::path::Path) -> (PathBuf, PathBuf, PathBuf) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    (write("ca.pem", &ca_pem), write("cert.pem", &certificate), write("key.pem", &key.serialize_pem()))
}

#[test]
fn https_works_with_an_authority_of_ones_own_and_not_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certificates(dir.path());
    let site = Served::start(Some((certificate, key)));
    let url = format!("https://127.0.0.1:{}", site.address.port());
    let settings = || Settings { url: url.clone(), ..site.settings(SiteId::random()) };
    let trusting = Entente::new(Settings { ca_file: Some(ca), ..settings() }).unwrap();
    assert_eq!(trusting.hello().unwrap().hello.name, "hub");
    // On a machine without any authority the client says so before it calls.
    let error = Entente::new(settings()).and_then(|peer| peer.hello()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{}", error.chain());
    let unprepared = error.to_string().contains("could not be set up");
    assert!(unprepared || error.to_string().contains("is not trusted"), "{}", error.chain());
    let another = tempfile::tempdir().unwrap();
    let (stranger, ..) = certificates(another.path());
    let error = Entente::new(Settings { ca_file: Some(stranger), ..settings() }).unwrap().hello().unwrap_err();
    assert!(error.to_string().contains("is not trusted"), "{}", error.chain());
    let plain = site.settings(SiteId::random());
    assert!(Entente::new(plain).unwrap().hello().is_err(), "plain HTTP is not answered there");
    let unsecured = Served::plain();
    let url = format!("https://127.0.0.1:{}", unsecured.address.port());
    let error = Entente::new(Settings { url, ca_file: Some(dir.path().join("ca.pem")), ..settings() }).unwrap().hello().unwrap_err();
    assert!(error.to_string().contains("does not speak TLS"), "{}", error.chain());
}

#[test]
fn wrong_tls_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (_, certificate, key) = certificates(dir.path());
    let other = tempfile::tempdir().unwrap();
    let (_, _, stranger) = certificates(other.path());
    let site = Served::plain();
    let missing = dir.path().join("missing.pem");
    for (certificate, key, named) in [
        (&missing, &key, "missing.pem cannot be read"),
        (&certificate, &missing, "missing.pem cannot be read"),
        (&key, &key, "key.pem holds no certificate"),
        (&certificate, &certificate, "cert.pem holds no private key"),
        (&certificate, &stranger, "cannot be used together"),
    ] {
        let listen = Listen { addr: ([127, 0, 0, 1], 0).into(), tls: Some((certificate.clone(), key.clone())) };
        let error = web::serve(site.site.clone(), listen, Changes::new(1), |_| panic!("it must not start"), async {}).unwrap_err();
        assert!(error.kind() == Kind::Usage && error.chain().contains(named), "{named}: {}", error.chain());
    }
}

/// A line that passes on only so many bytes of each answer.
fn cutting(target: SocketAddr, allowed: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut near, mut far) = (stream.unwrap(), TcpStream::connect(target).unwrap());
            let (mut near_read, mut far_write) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || drop(std::io::copy(&mut near_read, &mut far_write)));
            let mut left = allowed.load(Relaxed);
            let mut byte = [0];
            while left > 0 && far.read(&mut byte).is_ok_and(|n| n == 1) && near.write_all(&byte).is_ok() {
                left -= 1;
            }
            let _ = near.shutdown(std::net::Shutdown::Both);
            let _ = far.shutdown(std::net::Shutdown::Both);
        }
    });
    address
}

#[test]
fn a_line_cut_at_any_byte_is_an_error_that_may_pass() {
    let site = Served::plain();
    let whole = {
        let answer = site.get("/sync/hello", "");
        answer.head.len() + 4 + answer.body.len()
    };
    let allowed = Arc::new(AtomicUsize::new(0));
    let url = format!("http://{}", cutting(site.address, allowed.clone()));
    let anonymous = |url: &str| Settings { url: url.into(), user: None, password: None, ..site.settings(SiteId::random()) };
    for cut in (0..whole - 40).step_by(3) {
        allowed.store(cut, Relaxed);
        let error = Entente::new(anonymous(&url)).unwrap().hello().unwrap_err();
        assert!(error.kind().retry(), "{cut}: {}", error.chain());
    }
    allowed.store(usize::MAX, Relaxed);
    Entente::new(anonymous(&url)).unwrap().hello().unwrap();
}
