//! Exchanges between two nodes on loopback.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use mesh_gossip::config::Config;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::seeds::SeedSpec;
use mesh_gossip::{Gossip, GossipConfig, MemberId};
use tokio::sync::mpsc;

use super::{AT_ONCE, Answer, Exchange, KIND, serve};

/// Answers by path; tells what became of an endless answer.
struct Paths(mpsc::Sender<&'static str>);

/// Says so when it is dropped.
struct Tell(mpsc::Sender<&'static str>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.try_send("dropped");
    }
}

#[async_trait]
impl Answer for Paths {
    async fn answer(&self, _: MemberId, request: Request<Body>) -> Response<Body> {
        match request.uri().path() {
            // The request's body is the response's, piece by piece.
            "/echo" => Response::builder().header("x-echo", "yes").body(request.into_body()).unwrap(),
            "/refuse" => Response::builder().status(StatusCode::PAYLOAD_TOO_LARGE).body(Body::from("no")).unwrap(),
            "/panic" => panic!("a defect"),
            "/never" => {
                let _tell = Tell(self.0.clone());
                std::future::pending().await
            }
            _ => {
                let tell = Tell(self.0.clone());
                let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from("data: 1\n\n"))]);
                let events = first.chain(stream::pending()).inspect(move |_| {
                    let _kept = &tell;
                });
                Response::new(Body::from_stream(events))
            }
        }
    }
}

struct Pair {
    gossip: Gossip,
    member: MemberId,
    told: mpsc::Receiver<&'static str>,
    _serving: Box<dyn Send>,
}

async fn node(seeds: Vec<SeedSpec>) -> Gossip {
    let config = GossipConfig {
        keys: Some(Keyring::new(MeshKey::from_bytes([1; 32]))),
        listen: vec![([127, 0, 0, 1], 0).into()],
        seeds,
        protocol: Config::local(),
        ..GossipConfig::new("exchanges")
    };
    Gossip::spawn(config).await.unwrap()
}

async fn pair() -> Pair {
    let other = node(Vec::new()).await;
    let gossip = node(vec![other.local_addresses()[0].into()]).await;
    gossip.joined(Duration::from_secs(30)).await.unwrap();
    let (tell, told) = mpsc::channel(64);
    let streams = other.register(KIND, AT_ONCE).await.unwrap();
    let serving = tokio::spawn(serve(Arc::new(Paths(tell)), streams));
    Pair { gossip, member: other.me(), told, _serving: Box::new((other, serving)) }
}

impl Pair {
    async fn ask(&self, path: &str, body: Body) -> Result<Response<Body>, super::ExchangeError> {
        let request = Request::post(path).header("x-a", "1").body(body).unwrap();
        Exchange::open(&self.gossip, self.member, KIND).await.unwrap().send(request).await
    }
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let pair = pair().await;
    let (pieces, waiting) = mpsc::channel::<std::io::Result<Bytes>>(1);
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(waiting));
    let mut response = pair.ask("/echo", body).await.unwrap();
    assert_eq!(response.headers()["x-echo"], "yes");
    for word in ["one", "two"] {
        pieces.send(Ok(word.into())).await.unwrap();
        assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), word);
    }
    drop(pieces);
    assert!(response.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let pair = pair().await;
    let body = Bytes::from(vec![7; 8 << 20]);
    let response = pair.ask("/echo", Body::from(body.clone())).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
}

#[tokio::test]
async fn a_request_may_be_answered_before_it_is_read() {
    let pair = pair().await;
    let response = pair.ask("/refuse", Body::from(vec![7; 8 << 20])).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "no");
}

#[tokio::test]
async fn whoever_is_not_waited_for_any_more_is_stopped() {
    let mut pair = pair().await;
    let mut response = pair.ask("/events", Body::empty()).await.unwrap();
    assert!(response.body_mut().frame().await.is_some());
    drop(response);
    assert_eq!(pair.told.recv().await, Some("dropped"));
    let never = tokio::time::timeout(Duration::from_millis(200), pair.ask("/never", Body::empty())).await;
    assert!(never.is_err());
    assert_eq!(pair.told.recv().await, Some("dropped"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_complete() {
    let pair = pair().await;
    assert_eq!(pair.ask("/panic", Body::empty()).await.unwrap_err(), super::ExchangeError::Broken);
    let broken = Body::from_stream(stream::iter([Ok(Bytes::from("half")), Err(std::io::Error::other("gone"))]));
    let response = pair.ask("/echo", broken).await;
    assert!(response.is_err() || response.unwrap().into_body().collect().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_exchanges_go_on_at_once() {
    let pair = pair().await;
    let ask = |number: usize| {
        let pair = &pair;
        async move {
            let body = number.to_string();
            let response = pair.ask("/echo", Body::from(body.clone())).await.unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
        }
    };
    futures::future::join_all((0..100).map(ask)).await;
}
