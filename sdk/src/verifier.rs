//! Credentials: what a call shows of whoever makes it, and who checks that.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use mesh_node::context::{Headers, Origin};
use mesh_node::mcp::access::bearer;
use mesh_node::run::Verifier;
use mesh_node::tool::ToolDescriptor;

use crate::error::Result;

/// What a call of a tool with `auth_required` shows of whoever makes it; what the check of
/// [`Agent::verifier`](crate::Agent::verifier) is given.
#[derive(Clone)]
pub struct Credentials {
    tool: Arc<str>,
    headers: Headers,
    origin: Origin,
}

/// The author's check.
pub(crate) struct Check<F>(pub(crate) F);

impl Credentials {
    /// The tool that is to be called.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The header of this name, in any case, if it came with the call.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The token of `Authorization: Bearer <token>`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization").and_then(bearer)
    }

    /// Who brought the call: another member of the mesh, proved; an agent of this process; an MCP client.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// Without the values, which are secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        write!(f, "credentials for {} by {:?} with {}", self.tool, self.origin, names.join(", "))
    }
}

#[async_trait]
impl<F> Verifier for Check<F>
where
    F: Fn(Credentials) -> BoxFuture<'static, Result> + Send + Sync + 'static,
{
    async fn verify(&self, tool: &ToolDescriptor, headers: &Headers, origin: &Origin) -> Result<(), String> {
        let shown = Credentials { tool: tool.name.clone(), headers: headers.clone(), origin: origin.clone() };
        (self.0)(shown).await.map_err(|why| why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn showing(value: &str) -> Credentials {
        Credentials {
            tool: "secret".into(),
            headers: vec![("authorization".into(), value.into())],
            origin: Origin::Client,
        }
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(showing("bearer abc ").bearer(), Some("abc"));
        assert_eq!(showing("Basic abc").bearer(), None);
        assert_eq!(showing("abc").bearer(), None);
        assert_eq!(showing("Bearer abc").header("AUTHORIZATION"), Some("Bearer abc"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", showing("Bearer abc"));
        assert_eq!(shown, "credentials for secret by Client with authorization");
    }
}
