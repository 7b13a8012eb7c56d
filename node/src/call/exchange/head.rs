//! The heads of an HTTP request and of its response, as they travel between nodes.

use axum::body::Body;
use bincode::{Decode, Encode};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use mesh_gossip::wire;
use quinn::RecvStream;

/// The most bytes of a head.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;

/// Headers that are between two neighbours only (RFC 9110 §7.6.1), or name the one that was asked first.
const OF_ONE_HOP: [HeaderName; 8] = [
    CONNECTION,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Names and values as they are.
type Headers = Vec<(String, Vec<u8>)>;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct RequestHead {
    method: String,
    /// Path and query.
    path: String,
    headers: Headers,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct ResponseHead {
    status: u16,
    headers: Headers,
}

impl RequestHead {
    pub(super) fn of(parts: &Parts) -> Self {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Self { method: parts.method.as_str().to_owned(), path, headers: plain(&parts.headers) }
    }

    /// The bytes of it with their length in front; nothing when there are too many.
    pub(super) fn encode(&self) -> Option<Bytes> {
        framed(&wire::encode(self))
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        wire::decode::<_, MAX_HEAD_BYTES>(bytes).ok()
    }

    /// The request, unless what was sent makes none.
    pub(super) fn request(self, body: Body) -> Option<Request<Body>> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).ok()?;
        *request.uri_mut() = self.path.parse::<Uri>().ok()?;
        *request.headers_mut() = arrived(self.headers)?;
        Some(request)
    }
}

impl ResponseHead {
    pub(super) fn of<B>(response: &Response<B>) -> Self {
        Self { status: response.status().as_u16(), headers: plain(response.headers()) }
    }

    pub(super) fn encode(&self) -> Option<Bytes> {
        framed(&wire::encode(self))
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        wire::decode::<_, MAX_HEAD_BYTES>(bytes).ok()
    }

    pub(super) fn response(self, body: Body) -> Option<Response<Body>> {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).ok()?;
        *response.headers_mut() = arrived(self.headers)?;
        Some(response)
    }
}

/// The bytes of a head that arrives on `receive`.
pub(super) async fn read(receive: &mut RecvStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    receive.read_exact(&mut length).await.ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok().filter(|length| *length <= MAX_HEAD_BYTES)?;
    let mut head = vec![0; length];
    receive.read_exact(&mut head).await.ok()?;
    Some(head)
}

fn framed(head: &[u8]) -> Option<Bytes> {
    let length = u32::try_from(head.len()).ok().filter(|_| head.len() <= MAX_HEAD_BYTES)?;
    let mut bytes = BytesMut::with_capacity(4 + head.len());
    bytes.put_u32(length);
    bytes.put_slice(head);
    Some(bytes.freeze())
}

/// Those of `headers` that are for the other end.
pub(crate) fn travelling(headers: &HeaderMap) -> HeaderMap {
    let travels = headers.iter().filter(|(name, _)| !OF_ONE_HOP.contains(name));
    travels.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn plain(headers: &HeaderMap) -> Headers {
    let headers = travelling(headers);
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn arrived(headers: Headers) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(headers.len().min(64));
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !OF_ONE_HOP.contains(name))?;
        map.append(name, HeaderValue::from_bytes(&value).ok()?);
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn a_request_arrives_as_it_was_without_what_is_of_one_hop() {
        let request = Request::post("/mcp?a=b").header("host", "h").header("x-a", "1").header("x-a", "2");
        let (parts, _) = request.body(()).unwrap().into_parts();
        let bytes = RequestHead::of(&parts).encode().unwrap();
        let back = RequestHead::decode(&bytes[4..]).unwrap().request(Body::empty()).unwrap();
        assert_eq!((back.method(), back.uri().to_string()), (&Method::POST, "/mcp?a=b".to_owned()));
        assert_eq!(back.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert!(!back.headers().contains_key("host"));
    }

    #[test]
    fn a_head_that_is_too_large_does_not_travel() {
        let request = Request::post("/").header("x", "v".repeat(MAX_HEAD_BYTES)).body(()).unwrap();
        assert_eq!(RequestHead::of(&request.into_parts().0).encode(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_stop_it(bytes: Vec<u8>, method: String, path: String, name: String, value: Vec<u8>, status: u16) {
            let _ = RequestHead::decode(&bytes);
            let _ = ResponseHead::decode(&bytes);
            let headers = vec![(name, value)];
            let _ = RequestHead { method, path, headers: headers.clone() }.request(Body::empty());
            let _ = ResponseHead { status, headers }.response(Body::empty());
        }
    }
}
