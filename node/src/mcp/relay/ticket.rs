//! Ids of MCP sessions that say who keeps the session: `<id>~<agent id>`.

use http::{HeaderMap, HeaderValue};

use crate::mcp::endpoint::SESSION_HEADER;

/// What the session header of a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    id: HeaderValue,
    /// The id of the agent that keeps the session.
    pub(super) agent: String,
}

impl Ticket {
    /// The session that a request belongs to, unless it belongs to none, or to one that did not come from here.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let (id, agent) = headers.get(SESSION_HEADER)?.to_str().ok()?.rsplit_once('~')?;
        Some(Self { id: HeaderValue::from_str(id).ok()?, agent: agent.to_owned() })
    }

    /// Puts the id that its keeper knows in place of ours.
    pub(super) fn unwrap_into(self, headers: &mut HeaderMap) {
        headers.insert(SESSION_HEADER, self.id);
    }
}

/// Names `agent` as the keeper of the session in a response, if there is one.
pub(super) fn stamp(headers: &mut HeaderMap, agent: &str) {
    let Some(id) = headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok()) else { return };
    let ours = HeaderValue::from_str(&format!("{id}~{agent}")).expect("both are visible ASCII");
    headers.insert(SESSION_HEADER, ours);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_session_comes_back_to_its_keeper() {
        let mut headers = HeaderMap::new();
        headers.insert(SESSION_HEADER, "a~b".parse().unwrap());
        stamp(&mut headers, "hello-1a2b3c4d");
        let ticket = Ticket::of(&headers).unwrap();
        assert_eq!(ticket.agent, "hello-1a2b3c4d");
        ticket.unwrap_into(&mut headers);
        assert_eq!(headers[SESSION_HEADER], "a~b");
    }

    #[test]
    fn what_has_no_session_has_no_ticket() {
        let mut headers = HeaderMap::new();
        stamp(&mut headers, "hello");
        assert!(headers.is_empty());
        headers.insert(SESSION_HEADER, "somebody-elses".parse().unwrap());
        assert_eq!(Ticket::of(&headers), None);
    }
}
