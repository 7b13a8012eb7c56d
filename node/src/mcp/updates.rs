//! What a running tool says, as notifications to the MCP client that called it.
#![expect(deprecated, reason = "clients of earlier protocols have logging, and rely on it")]

use rmcp::RoleServer;
use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::convert;
use crate::context::Update;

/// How many updates wait for the client; a tool that says more waits itself.
pub(super) const UPDATES_WAITING: usize = 64;

/// The way from one call's updates to its client.
pub(super) struct Notifier {
    pub(super) peer: Peer<RoleServer>,
    /// Under which progress is told; without it nobody asked for any.
    pub(super) token: Option<ProgressToken>,
    /// The least that is logged to this client; `None` logs nothing.
    pub(super) level: Option<LoggingLevel>,
}

impl Notifier {
    /// Whether any update would be told.
    pub(super) fn is_heard(&self) -> bool {
        self.token.is_some() || self.level.is_some()
    }

    /// Tells all `updates`; what comes after `over` fires is not waited for.
    pub(super) async fn tell(self, mut updates: mpsc::Receiver<Update>, over: CancellationToken) {
        let mut chunks = 0_u32;
        loop {
            let update = tokio::select! {
                biased;
                update = updates.recv() => update,
                () = over.cancelled() => None,
            };
            let Some(update) = update else { return };
            let told = match update {
                Update::Progress { progress, total, message } => self.progress(progress, total, message).await,
                Update::Chunk(chunk) => {
                    let message = convert::text_of(&String::from_utf8_lossy(&chunk)).unwrap_or_default().into_owned();
                    let count = f64::from(chunks);
                    chunks += 1;
                    self.progress(count, None, Some(message)).await
                }
                Update::Log { level, logger, data } => self.log(level, logger, &data).await,
            };
            if told.is_err() {
                return;
            }
        }
    }

    async fn progress(&self, progress: f64, total: Option<f64>, message: Option<String>) -> Result<(), Gone> {
        let Some(token) = &self.token else { return Ok(()) };
        let mut told = ProgressNotificationParam::new(token.clone(), progress);
        told.total = total;
        told.message = message;
        self.peer.notify_progress(told).await.map_err(|_| Gone)
    }

    async fn log(&self, level: &str, logger: Option<String>, data: &[u8]) -> Result<(), Gone> {
        let level = level_of(level);
        // The levels are declared from the slightest to the gravest.
        if self.level.is_none_or(|least| (level as u8) < least as u8) {
            return Ok(());
        }
        let data: Value = serde_json::from_slice(data).unwrap_or(Value::Null);
        let mut told = LoggingMessageNotificationParam::new(level, data);
        told.logger = logger;
        self.peer.notify_logging_message(told).await.map_err(|_| Gone)
    }
}

/// The client cannot be told anything any more.
struct Gone;

fn level_of(text: &str) -> LoggingLevel {
    match text {
        "debug" => LoggingLevel::Debug,
        "notice" => LoggingLevel::Notice,
        "warning" => LoggingLevel::Warning,
        "error" => LoggingLevel::Error,
        "critical" => LoggingLevel::Critical,
        "alert" => LoggingLevel::Alert,
        "emergency" => LoggingLevel::Emergency,
        _ => LoggingLevel::Info,
    }
}
