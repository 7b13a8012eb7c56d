//! One signed request and its signed answer.

use std::error::Error;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use mesh_node::admin::frames::FrameReader;
use mesh_node::admin::signing::{ANSWER_HEADER, NEXT_HEADER, Signer};
use mesh_node::admin::wire::{FrameKind, Problem};
use reqwest::header::AUTHORIZATION;
use reqwest::{Response, StatusCode};

use super::{Client, Fresh};

/// The node says no.
#[derive(Debug, thiserror::Error)]
#[error("{}{}", .0.message, choices(.0))]
struct Refusal(Problem);

fn choices(problem: &Problem) -> String {
    problem.choices.iter().map(|choice| format!("\n  - {choice}")).collect()
}

/// A request in the making.
pub(super) struct Exchange<'a> {
    client: &'a mut Client,
    method: &'static str,
    target: String,
}

/// An answer that comes in frames.
#[derive(Debug)]
pub(crate) struct Frames {
    response: Response,
    reader: FrameReader,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(client: &'a mut Client, method: &'static str, target: String) -> Self {
        Self { client, method, target }
    }

    /// The whole answer.
    pub(super) async fn whole(self, body: impl Fn(&Signer) -> Vec<u8>) -> anyhow::Result<Bytes> {
        let timeout = self.client.timeout;
        let answered = tokio::time::timeout(timeout, async {
            let (signer, response) = self.send(body).await?;
            checked(&signer, response).await
        });
        answered.await.map_err(|_| anyhow!("the node did not answer within {timeout:?}; --timeout waits longer"))?
    }

    /// The beginning of an answer in frames.
    pub(super) async fn framed(self, body: Vec<u8>) -> anyhow::Result<Frames> {
        let (signer, response) = self.send(|_| body.clone()).await?;
        if response.status() != StatusCode::OK {
            checked(&signer, response).await?;
            bail!("the node answered without a result");
        }
        if mac_of(&response) != Some(signer.answer(200, b"").to_hex().to_string()) {
            return Err(not_the_node());
        }
        Ok(Frames { response, reader: FrameReader::new(signer) })
    }

    /// Sends it; once more with another nonce when the one at hand turns out to be too old.
    async fn send(self, body: impl Fn(&Signer) -> Vec<u8>) -> anyhow::Result<(Signer, Response)> {
        loop {
            let (nonce, fresh) = self.client.nonce().await?;
            let nonce = nonce.parse().map_err(|_| anyhow!("{} is no node of ours", self.client.base))?;
            let signer = Signer::new(&self.client.key, nonce);
            let body = body(&signer);
            let credentials = signer.credentials(self.method, &self.target, &body).to_string();
            let method = reqwest::Method::from_bytes(self.method.as_bytes())?;
            let request = self.client.http.request(method, format!("{}{}", self.client.base, self.target));
            let sent = request.header(AUTHORIZATION, credentials).body(body).send().await;
            let response = sent.map_err(|error| anyhow!("{}: {}", self.client.base, reason(&error)))?;
            if response.status() == StatusCode::UNAUTHORIZED && fresh == Fresh::Perhaps {
                continue;
            }
            let next = response.headers().get(NEXT_HEADER).and_then(|next| next.to_str().ok());
            self.client.next = next.map(str::to_owned);
            return Ok((signer, response));
        }
    }
}

impl Frames {
    /// The next frame; `None` when the node has said all.
    ///
    /// # Errors
    /// When the connection breaks, or a frame is not the node's.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<(FrameKind, Bytes)>> {
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(Some(frame));
            }
            match self.response.chunk().await.map_err(|error| anyhow!("the node broke off: {}", reason(&error)))? {
                Some(bytes) => self.reader.feed(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// The body, if it is the node's and no refusal.
async fn checked(signer: &Signer, response: Response) -> anyhow::Result<Bytes> {
    let (status, mac) = (response.status(), mac_of(&response));
    // Who is not let in at all gets an answer that nobody could sign; it is advice, and nothing depends on it.
    if status == StatusCode::UNAUTHORIZED || mac.is_none() {
        return Err(read_error(response).await);
    }
    let body = response.bytes().await.context("the node broke off")?;
    if mac != Some(signer.answer(status.as_u16(), &body).to_hex().to_string()) {
        return Err(not_the_node());
    }
    if status.is_success() {
        return Ok(body);
    }
    Err(problem(status, &body))
}

/// Why there is no answer, as far as whoever answered said so.
async fn read_error(response: Response) -> anyhow::Error {
    let status = response.status();
    match response.bytes().await {
        Ok(body) if !status.is_success() => problem(status, &body),
        _ => not_the_node(),
    }
}

fn problem(status: StatusCode, body: &[u8]) -> anyhow::Error {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => Refusal(problem).into(),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            anyhow!("the node answered {status}: {}", text.chars().take(200).collect::<String>())
        }
    }
}

fn not_the_node() -> anyhow::Error {
    anyhow!("the answer is not signed with the mesh key: somebody else answered in the node's place")
}

fn mac_of(response: &Response) -> Option<String> {
    Some(response.headers().get(ANSWER_HEADER)?.to_str().ok()?.to_owned())
}

/// The innermost cause: the others repeat the URL.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() { "no answer in time".into() } else { cause.to_string() }
}
