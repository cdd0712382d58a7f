//! Who writes documents for an Eden, and how its records are named there.

use std::borrow::Cow;

use crate::model::SiteId;

/// Who writes.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Our site.
    pub site: SiteId,
    /// The host we are called at.
    pub domain: String,
    /// Our name, always the same: what stands before uids that are no URNs, which other sites may have given, too. Empty = nothing.
    pub prefix: String,
    /// Our address.
    pub url: String,
}

impl Sender {
    /// A uid as it is known everywhere: one that is no URN gets our name before it, as an Eden does it with its own.
    pub fn uid<'u>(&self, uid: &'u str) -> Cow<'u, str> {
        let whole = uid.starts_with("urn:") || uid.trim_matches('/').contains('/') || self.prefix.is_empty();
        if whole { Cow::Borrowed(uid) } else { Cow::Owned(format!("{}/{uid}", self.prefix)) }
    }

    /// The uid that [`Sender::uid`] gave out so.
    pub fn plain<'u>(&self, uid: &'u str) -> &'u str {
        let own = (!self.prefix.is_empty()).then(|| uid.strip_prefix(self.prefix.as_str())?.strip_prefix('/')).flatten();
        own.filter(|plain| !plain.is_empty()).unwrap_or(uid)
    }
}
