//! Versions of records as people and programs look at them: who wrote them, and two of them side by side.

use std::collections::BTreeMap;

use crate::{
    error::Result,
    model::{Kind, Page, RecordView, RepositoryId, SiteId},
    site::Site,
    store::repositories,
};

/// The names of sites that are known here.
pub struct Names {
    own: SiteId,
    repositories: Vec<(RepositoryId, Option<SiteId>, String)>,
}

impl Names {
    /// As they are called at this moment.
    pub fn of(site: &Site) -> Result<Names> {
        Ok(Names { own: site.id, repositories: site.store.read(repositories::names)? })
    }

    /// The name of a site here, else its UUID.
    pub fn name(&self, site: SiteId) -> String {
        if site == self.own {
            return "here".into();
        }
        let known = self.repositories.iter().find(|(_, uuid, _)| *uuid == Some(site));
        known.map_or_else(|| site.to_string(), |(.., name)| name.clone())
    }
}

/// The record of a page that has one.
pub fn record(page: &Page) -> Option<RecordView<'_>> {
    page.views().next()
}

/// A field in two versions.
pub struct Compared<'a> {
    /// Its name.
    pub field: &'a str,
    /// What is here; `None` = our version does not have it.
    pub ours: Option<(Kind, &'a str)>,
    /// What came.
    pub theirs: Option<(Kind, &'a str)>,
}

impl Compared<'_> {
    /// Whether the two are not the same; no value and no field are.
    pub fn differs(&self) -> bool {
        let set = |value: Option<(Kind, &str)>| value.filter(|(kind, _)| *kind != Kind::Null).map(|(kind, text)| (kind, text.to_owned()));
        set(self.ours) != set(self.theirs)
    }
}

/// The fields of two versions side by side, in the order of their names.
pub fn compare<'a>(ours: &'a Page, theirs: &'a Page) -> Vec<Compared<'a>> {
    let mut fields: BTreeMap<&str, Compared<'_>> = BTreeMap::new();
    for (page, here) in [(ours, true), (theirs, false)] {
        for (field, value) in record(page).into_iter().flat_map(RecordView::fields) {
            let compared = fields.entry(field).or_insert(Compared { field, ours: None, theirs: None });
            *(if here { &mut compared.ours } else { &mut compared.theirs }) = Some((value.kind, value.text));
        }
    }
    fields.into_values().collect()
}
