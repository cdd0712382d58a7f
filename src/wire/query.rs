//! What the query of a pull or a push says (WIRE.md). Pairs are decoded; percent signs are the HTTP library's matter.

use std::{borrow::Cow, str::FromStr};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::{
    error::{Error, Result},
    model::{Greeting, Lives, MANY, Policy, PullRequest, PushRequest, SiteId, Strategy, Uid, Want},
};

/// Name and value of query parameters, as they are sent.
pub type Pairs = Vec<(Cow<'static, str>, String)>;

/// Records in a page where the request does not say.
const RECORDS: u32 = 5_000;

/// Bytes of text in a page where the request does not say.
const BYTES: u64 = 4 << 20;

/// The longest value of a parameter, in bytes.
const LONGEST: usize = 4096;

/// The word for [`Want::Verdict`].
const VERDICT: &str = "verdict";

/// The most terms of filters in a query.
const MOST_FILTERS: usize = 512;

/// The most cursors in a greeting, and the most bytes of them that are sent: what is left out is not counted by the other side.
const MOST_CURSORS: usize = 1_000;
const CURSORS: usize = 6_000;

/// The query by which `site` says hello.
pub fn greeting_query(greeting: &Greeting, site: SiteId) -> Pairs {
    let mut pairs = plain([("repository", site.to_string())]);
    pairs.extend(greeting.waiting.map(|records| (Cow::Borrowed("waiting"), records.to_string())));
    let mut room = CURSORS;
    // A cursor is the other side's text; what would be read as something else is not sent back.
    for (resource, cursor) in greeting.at.iter().filter(|(_, cursor)| !cursor.contains(char::is_whitespace)) {
        let value = format!("{resource} {cursor}");
        let Some(left) = room.checked_sub(value.len()) else { break };
        room = left;
        pairs.push((Cow::Borrowed("at"), value));
    }
    pairs
}

/// Reads what a caller says with its hello. More than [`MANY`] records are [`MANY`]; what cannot be understood is
/// [`crate::error::Kind::Malformed`].
pub fn parse_greeting(pairs: &[(String, String)]) -> Result<Greeting> {
    let at = pairs.iter().filter(|(name, _)| name == "at").map(|(_, value)| {
        let (resource, cursor) = value.rsplit_once(' ').filter(|_| value.len() <= LONGEST).ok_or_else(|| no_value("at"))?;
        Ok((resource.to_owned(), cursor.to_owned()))
    });
    let at: Vec<_> = at.collect::<Result<_>>()?;
    if at.len() > MOST_CURSORS {
        return Err(no_value("at"));
    }
    Ok(Greeting { waiting: parsed::<u64>(pairs, "waiting")?.map(|records| records.min(u64::from(MANY))), at })
}

/// The query by which `site` asks for a page.
pub fn pull_query(request: &PullRequest, site: SiteId) -> Pairs {
    let mut pairs = plain([
        ("resource", request.resource.clone()),
        ("repository", site.to_string()),
        ("cursor", request.cursor.clone()),
        ("records", request.records.to_string()),
        ("bytes", request.bytes.to_string()),
        ("run", request.run.to_string()),
        ("heard", request.heard.to_string()),
        ("life", request.life.clone()),
    ]);
    if request.want == Want::Verdict {
        pairs.push(("want".into(), VERDICT.into()));
    }
    pairs.extend(request.filters.iter().flat_map(|filter| filter.split('&')).map(filter_pair));
    pairs
}

fn plain<const N: usize>(pairs: [(&'static str, String); N]) -> Pairs {
    pairs.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect()
}

/// A term of a filter as Eden sends it: `[~]SELECTOR__OP=VALUE`. In the term its value is spelt with percent signs; here it is plain.
fn filter_pair(term: &str) -> (Cow<'static, str>, String) {
    let (key, value) = term.split_once('=').unwrap_or((term, ""));
    (format!("[~]{key}").into(), percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// The filters of a query: those of the resource itself. There are no components whose records could be left out of one.
pub(super) fn filters(pairs: &[(String, String)], resource: &str) -> Result<Vec<String>> {
    const SPELT: &AsciiSet = &CONTROLS.add(b'%').add(b'&');
    let bracketed = pairs.iter().filter_map(|(key, value)| Some((key.strip_prefix('[')?, key, value)));
    let terms = bracketed.map(|(rest, key, value)| match rest.split_once(']') {
        Some((of, _)) if value.len() > LONGEST || of.len() > LONGEST => Err(no_value("filter")),
        Some(("~" | "", term)) => Ok((term, value)),
        Some((of, term)) if of == resource => Ok((term, value)),
        _ => Err(Error::malformed(format!("The filter {:?} is not one of {resource}", key.chars().take(80).collect::<String>()))
            .hint("Filter the resource itself: [~]~.FIELD__OP=VALUE.")),
    });
    let spelt = terms.map(|term| term.map(|(term, value)| format!("{term}={}", utf8_percent_encode(value, SPELT))));
    let filters: Vec<String> = spelt.collect::<Result<_>>()?;
    if filters.len() > MOST_FILTERS { Err(no_value("filter")) } else { Ok(filters) }
}

/// Reads the query of a pull: what is asked for, and who asks. Without `records` and `bytes` it is a page of 5,000 and 4 MiB;
/// without `run` and `heard` they are 0. Anything that cannot be understood is [`crate::error::Kind::Malformed`]; parameters
/// that we do not know are ignored.
pub fn parse_pull(pairs: &[(String, String)]) -> Result<(PullRequest, SiteId)> {
    let request = PullRequest {
        resource: resource(pairs)?,
        cursor: value(pairs, "cursor")?.unwrap_or_default().to_owned(),
        records: parsed(pairs, "records")?.unwrap_or(RECORDS),
        bytes: parsed(pairs, "bytes")?.unwrap_or(BYTES),
        run: parsed(pairs, "run")?.unwrap_or(0),
        heard: parsed(pairs, "heard")?.unwrap_or(0),
        filters: filters(pairs, &resource(pairs)?)?,
        life: life(pairs)?,
        want: want(pairs)?,
    };
    Ok((request, required(pairs, "repository")?))
}

/// The query by which `site` gives a page of `resource`.
pub fn push_query(resource: &str, request: &PushRequest, site: SiteId) -> Pairs {
    plain([
        ("resource", resource.to_owned()),
        ("repository", site.to_string()),
        ("batch", request.batch.hyphenated().to_string()),
        ("fence", request.run.to_string()),
        ("heard", request.heard.to_string()),
        ("strategy", request.strategy.to_string()),
        ("update_policy", request.update.to_string()),
        ("conflict_policy", request.conflict.to_string()),
        ("merge_fields", request.merge_fields.to_string()),
        ("life", request.life.clone()),
    ])
}

/// Reads the query of a push: the resource, what goes with the page, and who gives it. `batch` and `fence` have to be there;
/// without the others: all methods, NEWER, no merging by field. Errors are as [`parse_pull`]'s.
pub fn parse_push(pairs: &[(String, String)]) -> Result<(String, PushRequest, SiteId)> {
    let request = PushRequest {
        batch: required(pairs, "batch")?,
        run: required(pairs, "fence")?,
        heard: parsed(pairs, "heard")?.unwrap_or(0),
        strategy: parsed::<Strategy>(pairs, "strategy")?.unwrap_or_default(),
        update: parsed::<Policy>(pairs, "update_policy")?.unwrap_or_default(),
        conflict: parsed::<Policy>(pairs, "conflict_policy")?.unwrap_or_default(),
        merge_fields: parsed(pairs, "merge_fields")?.unwrap_or(false),
        life: life(pairs)?,
    };
    if request.update == Policy::Manual {
        return Err(no_value("update_policy"));
    }
    Ok((resource(pairs)?, request, required(pairs, "repository")?))
}

fn life(pairs: &[(String, String)]) -> Result<String> {
    match value(pairs, "life")?.unwrap_or_default() {
        name if name.is_empty() || Lives::is_name(name) => Ok(name.to_owned()),
        _ => Err(no_value("life")),
    }
}

fn want(pairs: &[(String, String)]) -> Result<Want> {
    match value(pairs, "want")? {
        None => Ok(Want::Page),
        Some(VERDICT) => Ok(Want::Verdict),
        Some(_) => Err(no_value("want")),
    }
}

pub(super) fn resource(pairs: &[(String, String)]) -> Result<String> {
    let name = value(pairs, "resource")?.ok_or_else(|| missing("resource"))?;
    if name.is_empty() || name.chars().count() > Uid::MAX || name.chars().any(char::is_control) {
        return Err(no_value("resource"));
    }
    Ok(name.to_owned())
}

/// The one value of a parameter.
pub(super) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>> {
    let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let first = values.next();
    if values.next().is_some() {
        return Err(Error::malformed(format!("The parameter {name} is there twice")));
    }
    if first.is_some_and(|value| value.len() > LONGEST) {
        return Err(no_value(name));
    }
    Ok(first)
}

fn parsed<T: FromStr>(pairs: &[(String, String)], name: &str) -> Result<Option<T>> {
    value(pairs, name)?.map(|text| text.parse().map_err(|_| no_value(name))).transpose()
}

fn required<T: FromStr>(pairs: &[(String, String)], name: &str) -> Result<T> {
    parsed(pairs, name)?.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Error {
    Error::malformed(format!("The parameter {name} is missing"))
}

fn no_value(name: &str) -> Error {
    Error::malformed(format!("The parameter {name} has a value that cannot be understood"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn owned(pairs: Pairs) -> Vec<(String, String)> {
        pairs.into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
    }

    fn push() -> PushRequest {
        PushRequest {
            batch: uuid::Uuid::from_u128(5),
            run: 9,
            heard: 8,
            strategy: "create,delete".parse().unwrap(),
            update: Policy::This,
            conflict: Policy::Manual,
            merge_fields: true,
            life: "b2".into(),
        }
    }

    #[test]
    fn queries_are_read_as_they_are_written() {
        let site = SiteId::random();
        let (resource, cursor) = ("org & office".to_owned(), "e=1;a=5".to_owned());
        let filters = vec!["~.name__like=B*".to_owned(), "~.a!=x%26y%25, \"z\"".to_owned()];
        for want in [Want::Page, Want::Verdict] {
            let (resource, cursor, filters, life) = (resource.clone(), cursor.clone(), filters.clone(), "a1-b".to_owned());
            let pull = PullRequest { resource, cursor, records: 10, bytes: 20, run: 3, heard: 2, filters, life, want };
            assert_eq!(parse_pull(&owned(pull_query(&pull, site))).unwrap(), (pull, site));
        }
        assert_eq!(parse_push(&owned(push_query("t", &push(), site))).unwrap(), ("t".to_owned(), push(), site));
    }

    #[test]
    fn a_greeting_is_read_as_it_is_written_within_bounds() {
        let site = SiteId::random();
        let at = vec![("org & office".to_owned(), "e1:9:f".to_owned()), ("new".to_owned(), String::new())];
        let greeting = Greeting { waiting: Some(12), at };
        assert_eq!(parse_greeting(&owned(greeting_query(&greeting, site))).unwrap(), greeting);
        assert_eq!(parse_greeting(&owned(greeting_query(&Greeting::default(), site))).unwrap(), Greeting::default());
        let waits = |text: &str| parse_greeting(&[("waiting".to_owned(), text.to_owned())]);
        assert_eq!(waits(&u64::MAX.to_string()).unwrap().waiting, Some(u64::from(MANY)));
        for bad in ["-1", "many", "99999999999999999999", ""] {
            assert_eq!(waits(bad).unwrap_err().kind(), Kind::Malformed, "{bad}");
        }
        let says = |at: &str| parse_greeting(&[("at".to_owned(), at.to_owned())]);
        assert!(says("nothing").is_err() && says(&format!("t {}", "x".repeat(LONGEST))).is_err());
        assert!(parse_greeting(&vec![("at".to_owned(), "t e:1".to_owned()); MOST_CURSORS + 1]).is_err());
        let many = Greeting { waiting: None, at: vec![("t".repeat(100), "e".repeat(100)); 1_000] };
        let length: usize = greeting_query(&many, site).iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(length < 2 * CURSORS, "an address stays short enough for every server: {length}");
        let strange = Greeting { waiting: None, at: vec![("t".into(), "a b".into())] };
        assert!(parse_greeting(&owned(greeting_query(&strange, site))).unwrap().at.is_empty());
    }

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_unknown_is_ignored() {
        let site = SiteId::random();
        let pairs = owned(plain([("resource", "t".into()), ("repository", site.to_string()), ("tz_offset", "x".into())]));
        let (pull, _) = parse_pull(&pairs).unwrap();
        assert_eq!((pull.cursor.as_str(), pull.records, pull.bytes, pull.run, pull.heard), ("", 5_000, 4 << 20, 0, 0));
        assert!(pull.filters.is_empty());
        let batch = owned(plain([("batch", uuid::Uuid::nil().to_string()), ("fence", "1".into())]));
        let (_, push, _) = parse_push(&[pairs, batch].concat()).unwrap();
        assert_eq!((push.update, push.conflict, push.strategy), (Policy::Newer, Policy::Newer, Strategy::default()));
    }

    #[test]
    fn filters_of_the_resource_are_read_in_each_of_edens_forms_and_others_are_refused() {
        let query = |key: &str| {
            vec![("resource".to_owned(), "t".into()), ("repository".into(), SiteId::random().to_string()), (key.into(), "B*".into())]
        };
        for key in ["[~]~.name__like", "[]~.name__like", "[t]~.name__like"] {
            assert_eq!(parse_pull(&query(key)).unwrap().0.filters, ["~.name__like=B*"], "{key}");
        }
        for key in ["life", "want", "[office]~.name", "[t", "["] {
            assert_eq!(parse_pull(&query(key)).unwrap_err().kind(), Kind::Malformed, "{key}");
        }
    }

    #[test]
    fn a_query_with_a_wrong_missing_or_repeated_parameter_is_refused() {
        let good = owned(push_query("t", &push(), SiteId::random()));
        for name in ["resource", "repository", "batch", "fence"] {
            let without: Vec<_> = good.iter().filter(|(key, _)| key != name).cloned().collect();
            assert_eq!(parse_push(&without).unwrap_err().kind(), Kind::Malformed, "without {name}");
        }
        for (name, _) in &good {
            let twice: Vec<_> = good.iter().chain(good.iter().filter(|(key, _)| key == name)).cloned().collect();
            assert_eq!(parse_push(&twice).unwrap_err().kind(), Kind::Malformed, "{name} twice");
            let long = "x".repeat(LONGEST + 1);
            for bad in ["\u{1}", &long] {
                let wrong: Vec<_> =
                    good.iter().map(|(key, value)| (key.clone(), if key == name { bad.to_owned() } else { value.clone() })).collect();
                assert_eq!(parse_push(&wrong).unwrap_err().kind(), Kind::Malformed, "{name} = {bad:?}");
            }
        }
        let manual = push_query("t", &PushRequest { update: Policy::Manual, ..push() }, SiteId::random());
        assert!(parse_push(&owned(manual)).is_err());
    }
}
