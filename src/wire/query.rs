//! What the query of a pull or a push says (WIRE.md). Pairs are decoded; percent signs are the HTTP library's matter.

use std::str::FromStr;

use crate::{
    error::{Error, Result},
    model::{Policy, PullRequest, PushRequest, SiteId, Strategy, Uid},
};

/// Name and value of query parameters, as they are sent.
pub type Pairs = Vec<(&'static str, String)>;

/// Records in a page where the request does not say.
const RECORDS: u32 = 5_000;

/// Bytes of text in a page where the request does not say.
const BYTES: u64 = 4 << 20;

/// The longest value of a parameter, in bytes.
const LONGEST: usize = 4096;

/// The query by which `site` asks for a page.
pub fn pull_query(request: &PullRequest, site: SiteId) -> Pairs {
    vec![
        ("resource", request.resource.clone()),
        ("repository", site.to_string()),
        ("cursor", request.cursor.clone()),
        ("records", request.records.to_string()),
        ("bytes", request.bytes.to_string()),
        ("run", request.run.to_string()),
        ("heard", request.heard.to_string()),
    ]
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
    };
    Ok((request, required(pairs, "repository")?))
}

/// The query by which `site` gives a page of `resource`.
pub fn push_query(resource: &str, request: &PushRequest, site: SiteId) -> Pairs {
    vec![
        ("resource", resource.to_owned()),
        ("repository", site.to_string()),
        ("batch", request.batch.hyphenated().to_string()),
        ("fence", request.run.to_string()),
        ("heard", request.heard.to_string()),
        ("strategy", request.strategy.to_string()),
        ("update_policy", request.update.to_string()),
        ("conflict_policy", request.conflict.to_string()),
        ("merge_fields", request.merge_fields.to_string()),
    ]
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
    };
    if request.update == Policy::Manual {
        return Err(no_value("update_policy"));
    }
    Ok((resource(pairs)?, request, required(pairs, "repository")?))
}

fn resource(pairs: &[(String, String)]) -> Result<String> {
    let name = value(pairs, "resource")?.ok_or_else(|| missing("resource"))?;
    if name.is_empty() || name.chars().count() > Uid::MAX || name.chars().any(char::is_control) {
        return Err(no_value("resource"));
    }
    Ok(name.to_owned())
}

/// The one value of a parameter.
fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>> {
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
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
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
        }
    }

    #[test]
    fn queries_are_read_as_they_are_written() {
        let site = SiteId::random();
        let (resource, cursor) = ("org & office".to_owned(), "e=1;a=5".to_owned());
        let pull = PullRequest { resource, cursor, records: 10, bytes: 20, run: 3, heard: 2 };
        assert_eq!(parse_pull(&owned(pull_query(&pull, site))).unwrap(), (pull, site));
        assert_eq!(parse_push(&owned(push_query("t", &push(), site))).unwrap(), ("t".to_owned(), push(), site));
    }

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_unknown_is_ignored() {
        let site = SiteId::random();
        let pairs = owned(vec![("resource", "t".into()), ("repository", site.to_string()), ("[t]name__like", "x".into())]);
        let (pull, _) = parse_pull(&pairs).unwrap();
        assert_eq!((pull.cursor.as_str(), pull.records, pull.bytes, pull.run, pull.heard), ("", 5_000, 4 << 20, 0, 0));
        let batch = owned(vec![("batch", uuid::Uuid::nil().to_string()), ("fence", "1".into())]);
        let (_, push, _) = parse_push(&[pairs, batch].concat()).unwrap();
        assert_eq!((push.update, push.conflict, push.strategy), (Policy::Newer, Policy::Newer, Strategy::default()));
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
