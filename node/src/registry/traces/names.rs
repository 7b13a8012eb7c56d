//! What agents are called, and where they are.

use std::collections::BTreeMap;

use mesh_gossip::View;
use reqwest::Url;

use crate::trace::name_in;

/// What agents are called, as far as the view knows them.
#[derive(Debug, Default)]
pub(in crate::registry) struct Names(BTreeMap<String, (String, String)>);

impl Names {
    /// Names and hosts of everybody in `view`.
    pub(in crate::registry) fn of(view: &View) -> Self {
        let named = view.catalog().agents().filter_map(|agent| agent.offers).map(|offers| {
            let url = offers.endpoints.first().and_then(|url| Url::parse(url).ok());
            let host = url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
            (offers.agent.to_string(), (offers.name.to_string(), host))
        });
        Self(named.collect())
    }

    /// What the agent `id` is called. Of one that is gone what its id begins with.
    pub(in crate::registry) fn of_agent(&self, id: &str) -> String {
        match self.0.get(id) {
            Some((name, _)) => name.clone(),
            None => name_in(id).to_owned(),
        }
    }

    /// Where it is; empty when nobody knows.
    pub(in crate::registry) fn host_of(&self, id: &str) -> String {
        self.0.get(id).map(|(_, host)| host.clone()).unwrap_or_default()
    }
}
