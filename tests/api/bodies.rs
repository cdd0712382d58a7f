//! What callers may send, and what is refused of it.

use std::time::{Duration, Instant};

use entente::{
    error::Kind,
    model::{Limits, SiteId},
};

use crate::served::{Served, page};

#[test]
fn a_body_over_the_limit_is_refused_by_its_length_and_while_it_comes() {
    let site = Served::plain();
    let own = SiteId::random();
    let (bearer, page) = (site.bearer(own), page(own));
    let limit = Limits::default().body;
    site.ask(&format!("POST {page}"), &format!("{bearer}Content-Length: {}\r\n", limit + 1), b"").refuses(Kind::TooLarge);
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &[b'x'; 1 << 20], b"\r\n"].concat();
    let chunks = [chunk.repeat(usize::try_from(limit >> 20).unwrap() + 1).as_slice(), b"0\r\n\r\n"].concat();
    site.ask(&format!("POST {page}"), &format!("{bearer}Transfer-Encoding: chunked\r\n"), &chunks).refuses(Kind::TooLarge);
}

#[test]
fn nobody_can_make_the_site_read_a_body_before_it_knows_who_calls() {
    let site = Served::plain();
    let began = Instant::now();
    site.ask(&format!("POST {}", page(SiteId::random())), "Content-Length: 1000000\r\n", b"only the beginning").refuses(Kind::Unauthorized);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_refusal_reaches_a_caller_who_is_still_sending() {
    let site = Served::plain();
    let body = vec![b' '; 16 << 20];
    for _ in 0..5 {
        site.post(&page(SiteId::random()), "Authorization: Bearer x\r\n", &body).refuses(Kind::Unauthorized);
    }
}

#[test]
fn bombs_unknown_encodings_and_what_is_no_page_are_refused() {
    let site = Served::plain();
    let own = SiteId::random();
    let (bearer, page) = (site.bearer(own), page(own));
    let bomb = zstd::encode_all(vec![b' '; 100 << 20].as_slice(), 1).unwrap();
    site.post(&page, &format!("{bearer}Content-Encoding: zstd\r\n"), &bomb).refuses(Kind::TooLarge);
    site.post(&page, &format!("{bearer}Content-Encoding: br\r\n"), b"<s3xml/>").refuses(Kind::Unsupported);
    site.post(&page, &format!("{bearer}Content-Encoding: gzip\r\n"), b"no gzip").refuses(Kind::Malformed);
    for body in ["", "hello", "<s3xml>", "{}"] {
        site.post(&page, &bearer, body.as_bytes()).refuses(Kind::Malformed);
    }
    site.post("/sync/sync.xml?resource=team", &bearer, b"<s3xml/>").refuses(Kind::Malformed);
}
