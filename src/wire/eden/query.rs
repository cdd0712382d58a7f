//! What the query of an Eden says. It drops most of its own parameters on the way; we honour all of them.

use crate::{
    error::{Error, Result},
    model::{
        Policy, Strategy, Time,
        eden::{Components, EdenPull, EdenPush},
    },
    wire::query::{filters, resource, value},
};

type Pairs = [(String, String)];

/// Whether a pull is an Eden's: ours always carry a cursor.
pub fn is_pull(pairs: &Pairs) -> bool {
    !pairs.iter().any(|(name, _)| matches!(name.as_str(), "cursor" | "want" | "run"))
}

/// Whether a push is an Eden's: ours always carry a batch and a fence.
pub fn is_push(pairs: &Pairs) -> bool {
    !pairs.iter().any(|(name, _)| matches!(name.as_str(), "batch" | "fence"))
}

/// Reads the query of a pull; `named` is the resource where the address names it.
pub fn parse_pull(pairs: &Pairs, named: Option<&str>) -> Result<EdenPull> {
    let resource = resource_of(pairs, named)?;
    let omitted = ["mcomponents", "components"].iter().any(|name| matches!(value(pairs, name), Ok(Some("None"))));
    let number = |name: &str| value(pairs, name)?.map(|text| text.parse::<usize>().map_err(|_| no_value(name))).transpose();
    // A filter on the path of a controller stands there without brackets.
    let plain = pairs.iter().filter(|(name, _)| named.is_some() && (name.starts_with("~.") || name.starts_with(&format!("{resource}."))));
    let bracketed: Vec<(String, String)> = plain.map(|(name, value)| (format!("[~]{name}"), value.clone())).collect();
    // Eden calls a table by its name without the prefix, too.
    let short = resource.split_once('_').map(|(_, name)| format!("{name}."));
    let own = |(name, value): (String, String)| {
        let renamed = short.as_ref().and_then(|short| {
            let (of, term) = name.strip_prefix('[')?.split_once(']')?;
            Some(format!("[{of}]~.{}", term.strip_prefix(short.as_str())?))
        });
        (renamed.unwrap_or(name), value)
    };
    let all: Vec<(String, String)> = pairs.iter().cloned().chain(bracketed).map(own).collect();
    let (all, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(name, _)| matches!(of(name), None | Some("~" | "")) || of(name) == Some(&resource));
    let mut along = Vec::new();
    for (name, value) in others {
        let of = of(&name).unwrap_or_default().to_owned();
        let short = of.split_once('_').map_or(of.as_str(), |(_, short)| short);
        // Its fields may be named after it, in full or without the first word.
        let term = name.split_once(']').map_or("", |(_, term)| term);
        let plain =
            [of.as_str(), short].iter().find_map(|name| term.strip_prefix(*name)?.strip_prefix('.')).map(|field| format!("~.{field}"));
        let pair = (format!("[~]{}", plain.as_deref().unwrap_or(term)), value);
        along.extend(filters(&[pair], &of)?.into_iter().map(|term| (of.clone(), term)));
    }
    Ok(EdenPull {
        since: since(pairs)?,
        filters: filters(&all, &resource)?,
        along,
        components: if omitted { Components::Omitted } else { Components::Nested },
        start: number("start")?,
        limit: number("limit")?,
        resource,
    })
}

/// What a filter is for.
fn of(name: &str) -> Option<&str> {
    name.strip_prefix('[')?.split_once(']').map(|(of, _)| of)
}

/// Reads the query of a push.
pub fn parse_push(pairs: &Pairs, named: Option<&str>) -> Result<EdenPush> {
    let policy = |name: &str| -> Result<Policy> {
        // Eden takes a policy that it does not know for the default.
        Ok(value(pairs, name)?.and_then(|text| text.parse::<Policy>().ok()).filter(|policy| *policy != Policy::Manual).unwrap_or_default())
    };
    let strategy = value(pairs, "strategy")?.map(|text| text.parse::<Strategy>().map_err(|_| no_value("strategy"))).transpose()?;
    Ok(EdenPush {
        resource: resource_of(pairs, named)?,
        since: since(pairs)?,
        strategy: strategy.unwrap_or_default(),
        update: policy("update_policy")?,
        conflict: policy("conflict_policy")?,
    })
}

fn resource_of(pairs: &Pairs, named: Option<&str>) -> Result<String> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    match resource(pairs)? {
        mixed if mixed == "mixed" => Err(Error::malformed("Mixed resources cannot be synchronized; name one")),
        one => Ok(one),
    }
}

/// A moment with or without a zone, cut to its second.
fn since(pairs: &Pairs) -> Result<Option<Time>> {
    let Some(text) = value(pairs, "msince")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    // A plus sign that was not spelt out is a space by now.
    let parsed = text.parse::<Time>().or_else(|_| match text.rsplit_once(' ') {
        Some((moment, offset)) if offset.contains(':') && moment.contains('T') => format!("{moment}+{offset}").parse(),
        _ => text.replacen(' ', "T", 1).parse(),
    });
    let time = parsed.map_err(|_| no_value("msince"))?;
    Ok(Some(Time(time.0.div_euclid(1_000_000) * 1_000_000)))
}

fn no_value(name: &str) -> Error {
    Error::malformed(format!("The parameter {name} has a value that cannot be understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_moment_may_have_a_zone_and_a_fraction() {
        let want: Time = "2026-01-02T03:04:05Z".parse().unwrap();
        for text in
            ["2026-01-02T03:04:05", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.9", "2026-01-02T05:04:05 02:00", "2026-01-02 03:04:05"]
        {
            let pull = parse_pull(&pairs(&[("resource", "org_office"), ("msince", text)]), None).unwrap();
            assert_eq!(pull.since, Some(want), "{text}");
        }
        assert!(parse_pull(&pairs(&[("resource", "org_office"), ("msince", "yesterday")]), None).is_err());
    }

    #[test]
    fn the_parameters_that_eden_drops_are_honoured() {
        let all = pairs(&[("resource", "t_t"), ("start", "5"), ("limit", "10"), ("mcomponents", "None"), ("[~]~.name__like", "B*")]);
        let pull = parse_pull(&all, None).unwrap();
        assert_eq!(
            (pull.start, pull.limit, pull.components, pull.filters),
            (Some(5), Some(10), Components::Omitted, vec!["~.name__like=B*".into()])
        );
        let push =
            parse_push(&pairs(&[("strategy", "create"), ("update_policy", "THIS"), ("conflict_policy", "odd")]), Some("t_t")).unwrap();
        assert_eq!(
            (push.resource.as_str(), push.update, push.conflict, push.strategy.to_string().as_str()),
            ("t_t", Policy::This, Policy::Newer, "create")
        );
        assert!(parse_pull(&pairs(&[("resource", "mixed")]), None).is_err() && parse_pull(&pairs(&[]), None).is_err());
        let along = parse_pull(&pairs(&[("resource", "t_t"), ("[t_u]u.name__like", "B*"), ("[u]~.a", "1")]), None).unwrap();
        assert_eq!(along.along, [("t_u".into(), "~.name__like=B*".into()), ("u".to_owned(), "~.a=1".to_owned())]);
        assert!(along.filters.is_empty());
        assert_eq!(parse_pull(&pairs(&[("~.name", "x")]), Some("t_t")).unwrap().filters, ["~.name=x"]);
        assert_eq!(parse_pull(&pairs(&[("resource", "t_t"), ("[]t.name", "x")]), None).unwrap().filters, ["~.name=x"]);
    }

    #[test]
    fn ours_and_an_edens_are_told_apart() {
        assert!(is_pull(&pairs(&[("resource", "t")])) && !is_pull(&pairs(&[("resource", "t"), ("cursor", "")])));
        assert!(is_push(&pairs(&[("resource", "t")])) && !is_push(&pairs(&[("fence", "1")])));
    }
}
