//! Who may call over HTTP: this machine, whoever has the token, and no web page that was not told of.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, AUTHORIZATION, FORWARDED, HOST, HeaderName, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde_json::json;

use crate::config::Access;
use crate::tls::Visitor;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who may call. Use it with [`guard`].
#[derive(Clone, Debug)]
pub struct AccessRules {
    from_beyond: FromBeyond,
    /// Whether a certificate that is trusted lets in from beyond loopback.
    knows_certificates: bool,
    /// Names under which this node is reached, in lower case, without ports.
    names: Vec<String>,
    /// Origins of web pages that may call, in lower case.
    origins: Vec<String>,
}

/// Callers that are not on this machine.
#[derive(Clone, Debug)]
enum FromBeyond {
    Nobody,
    WithToken(blake3::Hash),
    Everybody,
}

/// Why a request is refused, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// From beyond loopback, where nobody is let in.
    #[error(
        "callers from beyond this machine are not let in: give the agent a token (MCP_MESH_AUTH_TOKEN), or let \
         everybody in with MESH_HTTP_ACCESS=open"
    )]
    Beyond,
    /// The token is missing or another one.
    #[error("send the agent's token as `Authorization: Bearer …`; it is what MCP_MESH_AUTH_TOKEN says where it runs")]
    Token,
    /// The request is for another host: a web page may be behind it that made its own name mean this machine.
    #[error("the Host header names neither this machine nor what the agent advertises: set MCP_MESH_HTTP_HOST to it")]
    Host,
    /// A web page of another origin.
    #[error("web pages of this origin may not call: list the origin in MESH_HTTP_ORIGINS")]
    Origin,
}

impl AccessRules {
    /// The rules of a node that is reached under `names` (host names or addresses, without ports; loopback is known),
    /// and called by web pages of `origins` (such as `https://app.example`) besides its own.
    pub fn new<'a>(
        access: &Access,
        names: impl IntoIterator<Item = &'a str>,
        origins: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let from_beyond = match access {
            Access::Loopback => FromBeyond::Nobody,
            Access::Token(token) => FromBeyond::WithToken(blake3::hash(token.as_bytes())),
            Access::Open => FromBeyond::Everybody,
        };
        Self {
            from_beyond,
            knows_certificates: true,
            names: names.into_iter().map(str::to_ascii_lowercase).collect(),
            origins: origins.into_iter().map(origin_of).collect(),
        }
    }

    /// The same for what is this machine's own business, whatever certificate somebody else has.
    #[must_use]
    pub fn without_certificates(mut self) -> Self {
        self.knows_certificates = false;
        self
    }

    /// Whether `peer` may make this request. Without a peer it is taken to come from beyond this machine.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check(&self, peer: Option<IpAddr>, uri: &Uri, headers: &HeaderMap) -> Result<(), Denied> {
        let host = host_of(uri, headers);
        if !host.as_ref().is_some_and(|host| self.is_ours(host.host())) {
            return Err(Denied::Host);
        }
        if let Some(origin) = headers.get(ORIGIN)
            && !self.lets_in(origin, host.as_ref())
        {
            return Err(Denied::Origin);
        }
        if peer.is_some_and(|peer| peer.to_canonical().is_loopback()) && !is_forwarded(headers) {
            return Ok(());
        }
        match &self.from_beyond {
            FromBeyond::Everybody => Ok(()),
            FromBeyond::Nobody => Err(Denied::Beyond),
            // Comparing hashes takes the same time whatever they are.
            FromBeyond::WithToken(token) if token_in(headers).as_ref() == Some(token) => Ok(()),
            FromBeyond::WithToken(_) => Err(Denied::Token),
        }
    }

    /// An address cannot be made to mean another machine, as a name can.
    fn is_ours(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        host.parse::<IpAddr>().is_ok() || is_loopback_name(&host) || self.names.contains(&host)
    }

    fn lets_in(&self, origin: &HeaderValue, host: Option<&Authority>) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin_of(origin);
        let own = origin
            .split_once("://")
            .is_some_and(|(_, authority)| host.is_some_and(|host| host.as_str().eq_ignore_ascii_case(authority)));
        own || self.origins.contains(&origin)
    }
}

impl AccessRules {
    /// Takes this node's own token out of `headers`: it has done its work, and is nothing for tools to see or to hand on.
    fn take_token(&self, headers: &mut HeaderMap) {
        if let FromBeyond::WithToken(token) = &self.from_beyond
            && token_in(headers).as_ref() == Some(token)
        {
            headers.remove(AUTHORIZATION);
        }
    }
}

impl Denied {
    /// A JSON answer that says what to do.
    fn response(self) -> Response {
        let (status, error) = match self {
            Self::Token => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Beyond | Self::Host | Self::Origin => (StatusCode::FORBIDDEN, "forbidden"),
        };
        let mut response = (status, axum::Json(json!({"error": error, "message": self.to_string()}))).into_response();
        if self == Self::Token {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Middleware that lets requests through as the rules say. The listener has to tell the peer's address
/// ([`axum::Router::into_make_service_with_connect_info`]).
pub async fn guard(State(rules): State<Arc<AccessRules>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let origin = request.headers().get(ORIGIN).cloned();
    // A browser asks without credentials whether it may ask.
    let asks_first = request.method() == Method::OPTIONS && origin.is_some();
    // A certificate of a trusted CA says who it is, as a token would.
    let is_known = rules.knows_certificates && request.extensions().get::<Visitor>() == Some(&Visitor::Trusted);
    let checked = match rules.check(peer, request.uri(), request.headers()) {
        Err(Denied::Beyond | Denied::Token) if is_known => Ok(()),
        checked => checked,
    };
    let response = match checked {
        Ok(()) | Err(Denied::Token) if asks_first => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => {
            rules.take_token(request.headers_mut());
            next.run(request).await
        }
        Err(denied) => return denied.response(),
    };
    match origin {
        Some(origin) => shared_with(response, origin),
        None => response,
    }
}

/// Tells the browser that the page of `origin` may see the answer.
fn shared_with(mut response: Response, origin: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(VARY, HeaderValue::from_static("Origin"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "authorization, content-type, last-event-id, mcp-method, mcp-name, mcp-protocol-version, mcp-session-id, \
             traceparent, x-mesh-timeout, x-session-id",
        ),
    );
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("mcp-session-id, www-authenticate"));
    response
}

fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    match headers.get(HOST) {
        Some(host) => Authority::try_from(host.as_bytes()).ok(),
        None => uri.authority().cloned(),
    }
}

/// The origin as browsers write it: in lower case, and without a port that goes without saying.
fn origin_of(text: &str) -> String {
    let origin = text.trim_end_matches('/').to_ascii_lowercase();
    let implied = if origin.starts_with("https://") { ":443" } else { ":80" };
    origin.strip_suffix(implied).map(str::to_owned).unwrap_or(origin)
}

fn is_loopback_name(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether a proxy on this machine speaks for somebody beyond it.
fn is_forwarded(headers: &HeaderMap) -> bool {
    if headers.contains_key(FORWARDED) {
        return true;
    }
    let hops = headers.get_all(X_FORWARDED_FOR).iter();
    hops.flat_map(|value| value.to_str().unwrap_or("unreadable").split(','))
        .any(|hop| !hop.trim().parse::<IpAddr>().is_ok_and(|hop| hop.to_canonical().is_loopback()))
}

/// The token in the value of an `authorization` header that says `Bearer`.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn token_in(headers: &HeaderMap) -> Option<blake3::Hash> {
    let token = bearer(headers.get(AUTHORIZATION)?.to_str().ok()?)?;
    Some(blake3::hash(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn there() -> Option<IpAddr> {
        Some("192.0.2.7".parse().unwrap())
    }

    fn check(rules: &AccessRules, peer: Option<IpAddr>, headers: &[(&'static str, &str)]) -> Result<(), Denied> {
        let mut map = HeaderMap::new();
        map.insert(HOST, "localhost:8080".parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        rules.check(peer, &Uri::from_static("/mcp"), &map)
    }

    fn rules(access: &Access) -> AccessRules {
        AccessRules::new(access, ["Agent.Example", "10.0.0.1"], ["https://App.example:443/"])
    }

    #[test]
    fn this_machine_calls_freely_and_others_do_not() {
        let rules = rules(&Access::Loopback);
        assert_eq!(check(&rules, HERE, &[]), Ok(()));
        assert_eq!(check(&rules, Some("::ffff:127.0.0.1".parse().unwrap()), &[]), Ok(()));
        assert_eq!(check(&rules, there(), &[]), Err(Denied::Beyond));
        assert_eq!(check(&rules, None, &[]), Err(Denied::Beyond));
        assert_eq!(check(&super::tests::rules(&Access::Open), there(), &[]), Ok(()));
    }

    #[test]
    fn from_beyond_the_token_opens_the_door() {
        let rules = rules(&Access::Token("s3cret".into()));
        assert_eq!(check(&rules, HERE, &[]), Ok(()));
        assert_eq!(check(&rules, there(), &[]), Err(Denied::Token));
        assert_eq!(check(&rules, there(), &[("authorization", "Bearer s3cre")]), Err(Denied::Token));
        assert_eq!(check(&rules, there(), &[("authorization", "Basic s3cret")]), Err(Denied::Token));
        assert_eq!(check(&rules, there(), &[("authorization", "bearer s3cret")]), Ok(()));
    }

    #[test]
    fn a_proxy_on_this_machine_does_not_make_the_world_local() {
        let rules = rules(&Access::Loopback);
        assert_eq!(check(&rules, HERE, &[("x-forwarded-for", "192.0.2.1")]), Err(Denied::Beyond));
        assert_eq!(check(&rules, HERE, &[("x-forwarded-for", "127.0.0.1, ::1")]), Ok(()));
        assert_eq!(check(&rules, HERE, &[("forwarded", "for=192.0.2.1")]), Err(Denied::Beyond));
    }

    #[test]
    fn only_names_that_mean_this_node_are_answered() {
        let rules = rules(&Access::Loopback);
        for ours in ["localhost", "127.0.0.1:1", "[::1]:1", "agent.example:1", "x.localhost", "10.9.8.7"] {
            assert_eq!(check(&rules, HERE, &[("host", ours)]), Ok(()), "{ours}");
        }
        for theirs in ["evil.example", "localhost.evil.example:80", "", "agent.example.evil", "a b"] {
            assert_eq!(check(&rules, HERE, &[("host", theirs)]), Err(Denied::Host), "{theirs}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused_unless_listed() {
        let rules = rules(&Access::Loopback);
        assert_eq!(check(&rules, HERE, &[("origin", "http://localhost:8080")]), Ok(()));
        assert_eq!(check(&rules, HERE, &[("origin", "https://app.example")]), Ok(()));
        for theirs in ["http://evil.example", "null", "http://localhost:8081", "http://app.example"] {
            assert_eq!(check(&rules, HERE, &[("origin", theirs)]), Err(Denied::Origin), "{theirs}");
        }
    }

    #[test]
    fn the_nodes_own_token_goes_no_further_and_that_of_a_tool_does() {
        let rules = rules(&Access::Token("s3cret".into()));
        for (shown, stays) in [("Bearer s3cret", false), ("Bearer of a tool", true)] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(shown));
            rules.take_token(&mut headers);
            assert_eq!(headers.contains_key(AUTHORIZATION), stays, "{shown}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_what_to_do() {
        let answer = Denied::Token.response();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()[WWW_AUTHENTICATE], "Bearer");
        let body = axum::body::to_bytes(answer.into_body(), 1 << 10).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("MCP_MESH_AUTH_TOKEN"));
    }

    #[tokio::test]
    async fn a_trusted_certificate_lets_in_from_beyond_but_not_to_what_is_this_machines_own() {
        use tower::ServiceExt;

        let all = AccessRules::new(&Access::Loopback, [], []);
        let near = all.clone().without_certificates();
        let (trusted, unnamed) = (Visitor::Trusted, Visitor::Unnamed);
        for (rules, visitor, expected) in [(&all, &trusted, 200), (&all, &unnamed, 403), (&near, &trusted, 403)] {
            let guarded = axum::Router::new().route("/", axum::routing::get(|| async {}));
            let guarded = guarded.layer(axum::middleware::from_fn_with_state(Arc::new(rules.clone()), guard));
            let mut request = Request::new(axum::body::Body::empty());
            request.headers_mut().insert(HOST, HeaderValue::from_static("10.0.0.5:8000"));
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(there().unwrap(), 1)));
            request.extensions_mut().insert(visitor.clone());
            assert_eq!(guarded.oneshot(request).await.unwrap().status(), expected, "{rules:?} {visitor:?}");
        }
    }
}
