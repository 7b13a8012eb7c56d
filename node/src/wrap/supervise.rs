//! Keeps one wrapped server going: connects, lists, checks, withdraws, and tries again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::catalog::MAX_TOOLS;
use rmcp::model::{
    ClientRequest, ListToolsRequest, PaginatedRequestParams, PingRequest, ServerNotification, ServerResult,
    SubscriptionFilter, Tool,
};
use rmcp::service::{Peer, PeerRequestOptions, RoleClient, ServiceError, Subscription};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::connect::{Connected, connect};
use super::relay::{Change, Relay};
use super::{Condition, Session, Shared, Wrapped, describe};

/// How often a server that says nothing is asked whether it lives.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// How long it may take to say so, or to list its tools.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);

/// How many times in a row it may fail to say so. A broken connection counts at once.
const MISSES: u32 = 2;

/// How many pages a list may have.
const PAGES: usize = 128;

/// Why a server is served no longer.
struct Ended {
    why: String,
    served: Duration,
}

/// Runs until it is told to stop, and then ends the server.
pub(super) async fn run(shared: Arc<Shared>, wrapped: Wrapped, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    while let Some(Ended { why, served }) = serve_once(&shared, &wrapped, &stop).await {
        shared.withdraw();
        let pause = backoff.after(served);
        tracing::warn!(agent = %shared.name, "the MCP server {why}; it is tried again in {} s", pause.as_secs());
        shared.condition.send_replace(Condition::Down { why, pause });
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => break,
        }
        shared.condition.send_replace(Condition::Starting);
    }
    shared.withdraw();
}

/// Connects once and serves for as long as the server is there. `None`: we were told to stop, and the server has ended.
async fn serve_once(shared: &Shared, wrapped: &Wrapped, stop: &CancellationToken) -> Option<Ended> {
    let relay = Arc::new(Relay::new(Arc::clone(&shared.name), shared.changes.clone()));
    let connected = tokio::select! {
        connected = connect(wrapped, Arc::clone(&relay)) => connected,
        () = stop.cancelled() => return None,
    };
    let Connected { service, mut process } = match connected {
        Ok(connected) => connected,
        Err(why) => return Some(Ended { why, served: Duration::ZERO }),
    };
    let began = Instant::now();
    let peer = service.peer().clone();
    let end = service.cancellation_token();
    let mut closed = pin!(service.waiting());
    let mut is_closed = false;
    let why = tokio::select! {
        // A process that is gone says more about it than its connection.
        biased;
        how = async {
            match &mut process {
                Some(process) => process.exited().await,
                None => std::future::pending().await,
            }
        } => Some(how),
        why = attend(shared, wrapped, &peer, relay) => Some(why),
        _ = &mut closed => {
            is_closed = true;
            Some("closed the connection".to_owned())
        }
        () = stop.cancelled() => None,
    };
    shared.withdraw();
    end.cancel();
    if !is_closed {
        // Closing the connection is what tells a child to end.
        let _ = tokio::time::timeout(CHECK_PATIENCE, closed).await;
    }
    if let Some(process) = process {
        process.end().await;
    }
    why.map(|why| Ended { why, served: began.elapsed() })
}

/// Lists the tools, keeps the list up to date, and asks for signs of life. Returns why it gave up.
async fn attend(shared: &Shared, wrapped: &Wrapped, peer: &Peer<RoleClient>, relay: Arc<Relay>) -> String {
    let mut subscription = subscribe(peer).await;
    let mut checks = interval_at(Instant::now() + CHECK_EVERY, CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut misses = 0;
    let mut listed: Option<Vec<Tool>> = None;
    let mut outdated = true;
    loop {
        let checked = if outdated || !has_ping(peer) {
            list(peer).await.map(|tools| {
                outdated = false;
                if listed.as_ref() != Some(&tools) {
                    publish(shared, wrapped, peer, &relay, &tools);
                    listed = Some(tools);
                }
            })
        } else {
            ping(peer).await
        };
        match checked {
            Ok(()) => misses = 0,
            Err(ServiceError::Timeout { .. }) if misses + 1 < MISSES => misses += 1,
            Err(error) => return format!("does not answer: {error}"),
        }
        tokio::select! {
            _ = checks.tick() => {}
            () = relay.tools_changed.notified() => outdated = true,
            heard = next(&mut subscription) => match heard {
                Some(ServerNotification::PromptListChangedNotification(_)) => relay.changed(Change::Prompts),
                Some(ServerNotification::ResourceListChangedNotification(_)) => relay.changed(Change::Resources),
                Some(_) => outdated = true,
                // It ended: what it would have told may have happened, and the next check finds out what else is wrong.
                None => {
                    outdated = true;
                    subscription = None;
                }
            }
        }
    }
}

/// Hears of changes where the protocol wants to be asked for them.
async fn subscribe(peer: &Peer<RoleClient>) -> Option<Subscription> {
    let info = peer.peer_info()?;
    if info.protocol_version.has_initialize() {
        return None;
    }
    let wanted = SubscriptionFilter::builder().tools_list_changed().prompts_list_changed().resources_list_changed();
    let filter = wanted.build().supported_by(&info.capabilities);
    if filter == SubscriptionFilter::new() {
        return None;
    }
    tokio::time::timeout(CHECK_PATIENCE, peer.listen(filter)).await.ok()?.ok()
}

/// Waits for the next notification; `None` is the end of the subscription.
async fn next(subscription: &mut Option<Subscription>) -> Option<ServerNotification> {
    match subscription {
        Some(subscription) => subscription.next().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// The protocol of 2026 has no ping; there the list of tools is the sign of life.
pub(super) fn has_ping(peer: &Peer<RoleClient>) -> bool {
    peer.peer_info().is_none_or(|info| info.protocol_version.has_initialize())
}

async fn ping(peer: &Peer<RoleClient>) -> Result<(), ServiceError> {
    match ask(peer, ClientRequest::PingRequest(PingRequest::default())).await {
        // Whatever it answers, it is there.
        Ok(_) | Err(ServiceError::McpError(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn publish(shared: &Shared, wrapped: &Wrapped, peer: &Peer<RoleClient>, relay: &Arc<Relay>, tools: &[Tool]) {
    let (described, originals) = describe::describe(wrapped, tools);
    tracing::info!(agent = %shared.name, "the MCP server is there, with {} tools", described.len());
    // Calls find the way before anybody hears of the tools.
    let is_back = shared.session.load().is_none();
    shared.session.store(Some(Arc::new(Session { peer: peer.clone(), relay: Arc::clone(relay), originals })));
    if is_back {
        relay.changed(Change::Prompts);
        relay.changed(Change::Resources);
    }
    shared.tools.send_replace(described);
    shared.condition.send_if_modified(|condition| {
        let is_new = *condition != Condition::Serving;
        *condition = Condition::Serving;
        is_new
    });
}

/// All tools, straight from the server: its answers may be cached, its signs of life may not.
pub(super) async fn list(peer: &Peer<RoleClient>) -> Result<Vec<Tool>, ServiceError> {
    let mut tools = Vec::new();
    if peer.peer_info().is_some_and(|info| info.capabilities.tools.is_none()) {
        return ping(peer).await.map(|()| tools);
    }
    let mut cursor = None;
    for _ in 0..PAGES {
        let page = PaginatedRequestParams::default().with_cursor(cursor.take());
        let request = ListToolsRequest { params: Some(page), ..ListToolsRequest::default() };
        let ServerResult::ListToolsResult(page) = ask(peer, ClientRequest::ListToolsRequest(request)).await? else {
            return Err(ServiceError::UnexpectedResponse);
        };
        tools.extend(page.tools);
        cursor = page.next_cursor;
        if cursor.is_none() || tools.len() >= MAX_TOOLS {
            break;
        }
    }
    if tools.len() > MAX_TOOLS || cursor.is_some() {
        tracing::warn!("an MCP server has more than {MAX_TOOLS} tools: the first {MAX_TOOLS} count");
        tools.truncate(MAX_TOOLS);
    }
    Ok(tools)
}

async fn ask(peer: &Peer<RoleClient>, request: ClientRequest) -> Result<ServerResult, ServiceError> {
    let options = PeerRequestOptions::with_timeout(CHECK_PATIENCE);
    peer.send_request_with_option(request, options).await?.await_response().await
}

impl Shared {
    /// Nobody hears of the tools any more, and calls are turned away.
    fn withdraw(&self) {
        self.session.store(None);
        self.tools.send_if_modified(|tools| {
            let had_some = !tools.is_empty();
            *tools = Arc::from([]);
            had_some
        });
    }
}
