//! Documents that were damaged on their way.

use entente::{
    model::{Kind, Limits, Page, Uid},
    wire::read,
};
use proptest::{prelude::*, sample::Index};

use super::pages::{page, plain_page, told, written};

fn without_digest(document: &[u8]) -> String {
    let text = std::str::from_utf8(document).unwrap();
    let at = text.find(" e:digest=").unwrap();
    format!("{}{}", &text[..at], &text[at + 76..])
}

fn try_read(document: &[u8]) -> Option<Page> {
    read(document, &Limits::default()).ok()
}

#[test]
fn a_document_cut_off_at_any_byte_is_refused() {
    let document = written(&plain_page());
    let bare = without_digest(&document);
    for end in (0..document.len()).filter(|end| *end < 3000 || document.len() - end < 3000) {
        assert!(try_read(&document[..end]).is_none(), "{end}");
    }
    for end in (0..bare.len()).filter(|end| *end < 3000 || bare.len() - end < 3000) {
        assert!(try_read(&bare.as_bytes()[..end]).is_none(), "{end}");
    }
    assert!(try_read(bare.as_bytes()).is_some());
}

#[test]
fn a_byte_changed_anywhere_between_the_tags_of_the_root_is_noticed() {
    let document = written(&plain_page());
    let inside = document.iter().position(|byte| *byte == b'>').unwrap() + 1;
    for at in (inside..document.len()).filter(|at| at % 7 == 0 || at - inside < 2000) {
        let mut damaged = document.clone();
        damaged[at] ^= 0x04;
        assert!(try_read(&damaged).is_none(), "{at}");
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, Index),
    Drop(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![proptest::sample::select(b"<>&;\"'/= x0e!?[]-#\t\0\xEF\xBF".to_vec()), any::<u8>()];
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
        any::<(Index, Index)>().prop_map(|(a, b)| Damage::Repeat(a, b)),
        any::<(Index, Index)>().prop_map(|(a, b)| Damage::Drop(a, b)),
    ]
}

fn apply(damage: &Damage, document: &mut Vec<u8>) {
    let range = |a: &Index, b: &Index| {
        let (a, b) = (a.index(document.len()), b.index(document.len()));
        a.min(b)..a.max(b)
    };
    match damage {
        Damage::Replace(at, byte) => {
            let at = at.index(document.len());
            document[at] = *byte;
        }
        Damage::Insert(at, byte) => document.insert(at.index(document.len()), *byte),
        Damage::Remove(at) => _ = document.remove(at.index(document.len())),
        Damage::Repeat(a, b) => {
            let range = range(a, b);
            let part = document[range.clone()].to_vec();
            document.splice(range.end..range.end, part);
        }
        Damage::Drop(a, b) => _ = document.drain(range(a, b)),
    }
}

/// Lists of uids are a stock Eden's alone.
fn is_ours(page: &Page) -> bool {
    page.views().flat_map(|view| view.fields()).all(|(_, value)| value.kind != Kind::Reference || Uid::check(value.text).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_is_read_from_a_damaged_document_is_a_sound_page(page in page(), damages in proptest::collection::vec(damage(), 1..5)) {
        let mut document = without_digest(&written(&page)).into_bytes();
        for damage in damages {
            if !document.is_empty() {
                apply(&damage, &mut document);
            }
        }
        if let Some(page) = try_read(&document).filter(is_ours) {
            let back = try_read(&written(&page));
            prop_assert_eq!(back.map(|back| told(&back)), Some(told(&page)));
        }
    }

    #[test]
    fn noise_is_refused(noise: Vec<u8>) {
        prop_assert!(try_read(&noise).is_none());
    }
}
