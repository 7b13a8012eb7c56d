//! Asking a seed's registry, which needs no key.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::exchange::reason;
use super::{NoNode, NodeArgs, target};
use crate::home::Home;
use crate::seed;

/// How long an answer may take when nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A registry, and how it is asked.
#[derive(Debug)]
pub(crate) struct OpenClient {
    http: reqwest::Client,
    base: String,
    timeout: Duration,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

impl NodeArgs {
    /// The registry that is named, else that of the seed of this machine. It is not asked anything yet.
    ///
    /// # Errors
    /// [`NoNode`] when none is known; anything else is a mistake in what was said.
    pub(crate) fn open(&self) -> anyhow::Result<OpenClient> {
        let here = || -> anyhow::Result<Option<String>> {
            Ok(seed::running(&Home::of_user()?).into_iter().find_map(|seed| seed.http_url))
        };
        let base = match self.named()? {
            Some(named) => Some(named),
            None => here()?,
        };
        let none = "no seed runs on this machine: start one with `meshctl start --registry-only`, or name one elsewhere with --node";
        let base = base.ok_or_else(|| NoNode(none.into()))?;
        let http = target::http_client(&base, self.insecure)?;
        Ok(OpenClient { http, base, timeout: self.timeout.unwrap_or(TIMEOUT) })
    }
}

impl OpenClient {
    /// Asks `path`.
    ///
    /// # Errors
    /// What the registry said, or that it does not answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> anyhow::Result<T> {
        let base = &self.base;
        let asked = self.http.request(method, format!("{base}{path}")).timeout(self.timeout).send().await;
        let response = asked.map_err(|error| anyhow!("no registry answers at {base}: {}", reason(&error)))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| anyhow!("{base}: {}", reason(&error)))?;
        if status.is_success() {
            return serde_json::from_slice(&body).with_context(|| format!("{base} answers what makes no sense here"));
        }
        match serde_json::from_slice::<Refused>(&body) {
            Ok(refused) => bail!("{}", refused.error),
            Err(_) if status.as_u16() == 404 && path.starts_with("/admin") => bail!(
                "{base} has no {path}: with MCP_MESH_ADMIN_PORT set it is served on that port only; name it with --node"
            ),
            Err(_) => bail!("{base} answers {status}"),
        }
    }
}
