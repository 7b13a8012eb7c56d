//! Messages between a client at standard input and output and a server that speaks streamable HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::events::Events;
use super::message::{Message, failure};
use crate::client::tls;

/// The longest message of a client: arguments of 64 MiB, and what is around them.
const MAX_LINE_BYTES: u64 = 80 << 20;

/// How many messages are under way at once; the client's next one waits.
const AT_ONCE: usize = 256;

/// How many messages wait for the client to read them; further ones keep their server waiting.
const LINES_WAITING: usize = 64;

/// How long requests under way may go on once the client has closed its end.
const FINISH: Duration = Duration::from_secs(2);

/// How long to wait before a broken stream of notifications is opened again.
const AGAIN: Duration = Duration::from_secs(1);

const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";

/// The way between a client and the server at an URL. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bridge(Arc<Inner>);

struct Inner {
    url: String,
    http: reqwest::Client,
    session: Mutex<Session>,
    /// What can be cancelled only by hanging up: requests of protocols without sessions.
    single: Mutex<HashMap<String, AbortHandle>>,
}

/// The session that the client opened, if its protocol has any.
#[derive(Clone, Debug, Default)]
struct Session {
    id: Option<String>,
    version: Option<String>,
}

impl Bridge {
    /// A way to the server at `url`.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub(super) fn new(url: String) -> anyhow::Result<Self> {
        let http = tls::builder(false)?.no_proxy().build().context("cannot set up an HTTP client")?;
        Ok(Self(Arc::new(Inner { url, http, session: Mutex::default(), single: Mutex::default() })))
    }

    /// Passes messages on until `input` ends.
    ///
    /// # Errors
    /// When `input` or `output` break.
    pub(super) async fn run(
        self,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> anyhow::Result<()> {
        let (answers, waiting) = mpsc::channel(LINES_WAITING);
        let mut writer = tokio::spawn(write(output, waiting));
        let mut under_way = JoinSet::new();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut input = BufReader::new(input);
        loop {
            let mut line = Vec::new();
            let mut bounded = (&mut input).take(MAX_LINE_BYTES);
            let read = tokio::select! {
                read = bounded.read_until(b'\n', &mut line) => read,
                // The client does not listen any more.
                _ = &mut writer => break,
            };
            match read.context("cannot read standard input")? {
                0 => break,
                _ if !line.ends_with(b"\n") && line.len() as u64 == MAX_LINE_BYTES => {
                    bail!("a message is longer than {MAX_LINE_BYTES} bytes")
                }
                _ => {}
            }
            self.take(line, &answers, &places, &mut under_way).await;
            while under_way.try_join_next().is_some() {}
        }
        drop(answers);
        let finish = async { while under_way.join_next().await.is_some() {} };
        // What does not finish is dropped with the set, which cancels it.
        let _ = timeout(FINISH, finish).await;
        under_way.shutdown().await;
        self.goodbye().await;
        let _ = timeout(FINISH, writer).await;
        Ok(())
    }

    /// Passes one message of the client on.
    async fn take(
        &self,
        line: Vec<u8>,
        answers: &mpsc::Sender<Vec<u8>>,
        places: &Arc<Semaphore>,
        under_way: &mut JoinSet<()>,
    ) {
        let Some(message) = Message::read(&line) else {
            if !line.trim_ascii().is_empty() {
                tracing::warn!("the client sent something that is no JSON-RPC message");
            }
            return;
        };
        if let Some(cancelled) = message.cancels()
            && let Some(request) = self.single().remove(cancelled)
        {
            request.abort();
            return;
        }
        if message.is("initialize") || message.is("notifications/initialized") {
            // Whatever follows belongs to the session that this opens, or needs it to be open.
            return self.send(line, answers).await;
        }
        let is_single = message.is_request() && message.version().is_some();
        let id = message.id.map(|id| id.get().to_owned());
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        let (bridge, answers_of_it) = (self.clone(), answers.clone());
        let task = under_way.spawn(async move {
            bridge.send(line, &answers_of_it).await;
            drop(place);
        });
        if let (true, Some(id)) = (is_single, id) {
            let mut single = self.single();
            single.retain(|_, request| !request.is_finished());
            single.insert(id, task);
        }
    }

    /// Sends one message and passes on what comes back.
    async fn send(&self, line: Vec<u8>, answers: &mpsc::Sender<Vec<u8>>) {
        let Some(message) = Message::read(&line) else { return };
        let id = message.is_request().then(|| message.id.map(|id| id.get().to_owned())).flatten();
        let opens = message.is("initialize");
        let listens = message.is("notifications/initialized");
        if opens {
            *self.session() = Session::default();
        }
        let mut request = self.0.http.post(&self.0.url).header(CONTENT_TYPE, "application/json");
        request = match message.version() {
            Some(version) => of_its_own(request, &message, version),
            None => self.in_session(request),
        };
        let request = request.header(ACCEPT, "application/json, text/event-stream").body(line.clone());
        let outcome = match request.send().await {
            Ok(response) => {
                if opens && let Some(id) = response.headers().get(SESSION).and_then(|id| id.to_str().ok()) {
                    self.session().id = Some(id.to_owned());
                }
                self.pass(response, opens, answers).await
            }
            Err(error) => Err(anyhow::Error::new(error).context("cannot reach the mesh")),
        };
        match (outcome, id) {
            (Err(error), Some(id)) => {
                // Nobody may be left to read it.
                let _ = answers.send(failure(&id, &format!("{error:#}"))).await;
            }
            (Err(error), None) => tracing::warn!("{error:#}"),
            (Ok(()), _) => {}
        }
        if listens && self.session().id.is_some() {
            let (bridge, answers) = (self.clone(), answers.downgrade());
            tokio::spawn(async move { bridge.listen(answers).await });
        }
    }

    /// Passes the messages of a response on.
    async fn pass(&self, mut response: Response, opens: bool, answers: &mpsc::Sender<Vec<u8>>) -> anyhow::Result<()> {
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("").to_owned();
        if kind.starts_with("text/event-stream") {
            let mut events = Events::default();
            while let Some(piece) = response.chunk().await.context("the answer broke off")? {
                for data in events.take(&piece)? {
                    self.learn(opens, &data);
                    answers.send(data).await.context("the client has gone")?;
                }
            }
            return Ok(());
        }
        let body = response.bytes().await.context("the answer broke off")?;
        if body.is_empty() && status.is_success() {
            return Ok(());
        }
        match Message::read(&body) {
            Some(message) if message.id.is_some() => {
                self.learn(opens, &body);
                answers.send(body.to_vec()).await.context("the client has gone")
            }
            _ => bail!("{status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    /// Hears what the server says unasked, for as long as the session lasts.
    async fn listen(self, answers: mpsc::WeakSender<Vec<u8>>) {
        let id = self.session().id.clone();
        loop {
            let request = self.in_session(self.0.http.get(&self.0.url)).header(ACCEPT, "text/event-stream");
            if let Ok(response) = request.send().await {
                if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                    return;
                }
                let Some(answers) = answers.upgrade() else { return };
                if let Err(error) = self.pass(response, false, &answers).await {
                    tracing::debug!("{error:#}");
                }
            }
            sleep(AGAIN).await;
            if answers.strong_count() == 0 || self.session().id != id {
                return;
            }
        }
    }

    /// Remembers the version that `initialize` agreed upon.
    fn learn(&self, opens: bool, message: &[u8]) {
        let Some(answer) = opens.then(|| serde_json::from_slice::<serde_json::Value>(message).ok()).flatten() else {
            return;
        };
        if let Some(version) = answer.pointer("/result/protocolVersion").and_then(serde_json::Value::as_str) {
            self.session().version = Some(version.to_owned());
        }
    }

    fn in_session(&self, mut request: RequestBuilder) -> RequestBuilder {
        let session = self.session().clone();
        if let Some(id) = session.id {
            request = request.header(SESSION, id);
        }
        match session.version {
            Some(version) => request.header(VERSION, version),
            None => request,
        }
    }

    async fn goodbye(&self) {
        if self.session().id.is_some() {
            // The session would end by itself.
            let _ = timeout(FINISH, self.in_session(self.0.http.delete(&self.0.url)).send()).await;
        }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn single(&self) -> MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.0.single.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The headers of a request that stands for itself.
fn of_its_own(request: RequestBuilder, message: &Message<'_>, version: &str) -> RequestBuilder {
    let request = request.header(VERSION, version).header("mcp-method", message.method.as_deref().unwrap_or(""));
    match message.subject() {
        Some(subject) => request.header("mcp-name", subject),
        None => request,
    }
}

/// Writes messages, a line each, until there are no more or nobody reads them.
async fn write(mut output: impl AsyncWrite + Unpin, mut messages: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut message) = messages.recv().await {
        // Between the tokens of a JSON text a line break is as good as a space, and within them there is none.
        message.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        message.push(b'\n');
        if output.write_all(&message).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}
