//! The administration over a real listener, with a real gossip node behind it.

mod bench;
mod calls;

use axum::http::StatusCode;
use mesh_gossip::catalog::{Dependency, Health, Offers, Status, Tool};
use mesh_gossip::gossip::keys;
use mesh_gossip::identity::operator::OperatorKey;
use mesh_gossip::order::{Order, OrderBody, SignedOrder};
use mesh_gossip::signature::Signer as _;

use self::bench::{Asker, LONG, Served, key, refused};
use super::signing::{NEXT_HEADER, Nonce, Signer};
use super::wire::{
    AgentInfo, AgentsAnswer, AuditEvent, DependencyInfo, Explained, Ground, MembersAnswer, NodeInfo, PREFIX, ToolDetail,
};

#[tokio::test]
async fn who_holds_a_key_of_the_ring_is_answered_and_the_answer_is_signed() {
    let node = Served::new("hello", Vec::new()).await;
    let mut asker = node.asker();
    let info: NodeInfo = asker.get("node").await;
    assert_eq!((info.agent_id, info.live), (node.agent.to_string(), 1));
    asker.key = key(2);
    let members: MembersAnswer = asker.get("members").await;
    assert_eq!(members.members[0].id, node.gossip.me().to_string());
}

#[tokio::test]
async fn nobody_else_is_answered_not_even_on_loopback() {
    let node = Served::new("hello", Vec::new()).await;
    let mut asker = node.asker();
    for target in ["node", "members", "agents", "no-such-question"] {
        let bare = asker.http.get(asker.url(&format!("{PREFIX}/{target}"))).send().await.unwrap();
        assert_eq!(bare.headers()["www-authenticate"], "Mesh");
        let (status, problem) = refused(bare).await;
        assert_eq!((status, problem.error.as_str()), (StatusCode::UNAUTHORIZED, "unsigned"));
        assert!(problem.message.contains("MESH_KEY"));
    }
    let basic = asker.http.get(asker.url(&format!("{PREFIX}/node"))).header("authorization", "Basic eDp5").send().await;
    assert_eq!(refused(basic.unwrap()).await.1.error, "unsigned");
    asker.key = key(3);
    assert_eq!(asker.refusal("node").await.1.error, "unknown_key");
}

#[tokio::test]
async fn a_request_is_good_once_and_as_it_was_signed() {
    let node = Served::new("hello", Vec::new()).await;
    let asker = node.asker();
    let target = format!("{PREFIX}/node");
    let signer = asker.signer().await;
    let first = asker.send(&signer, "GET", &target, Vec::new()).await;
    assert_eq!(first.status(), StatusCode::OK);
    let next: Nonce = first.headers()[NEXT_HEADER].to_str().unwrap().parse().unwrap();
    let (status, problem) = refused(asker.send(&signer, "GET", &target, Vec::new()).await).await;
    assert_eq!((status, problem.error.as_str()), (StatusCode::UNAUTHORIZED, "replayed"));

    let signer = Signer::new(&key(1), next);
    let other = signer.credentials("GET", &format!("{PREFIX}/members"), b"").to_string();
    let moved = asker.http.get(asker.url(&target)).header("authorization", other).send().await.unwrap();
    assert_eq!(refused(moved).await.1.error, "wrong_signature");
    let body = signer.credentials("POST", &format!("{PREFIX}/orders"), b"one").to_string();
    let orders = asker.http.post(asker.url(&format!("{PREFIX}/orders"))).header("authorization", body).body("two");
    assert_eq!(refused(orders.send().await.unwrap()).await.1.error, "wrong_signature");

    let elsewhere = Served::new("other", Vec::new()).await;
    let foreign = Asker { at: elsewhere.address, ..node.asker() };
    let signer = asker.signer().await;
    let answer = refused(foreign.send(&signer, "GET", &target, Vec::new()).await).await;
    assert_eq!(answer.1.error, "foreign_nonce");
}

#[tokio::test]
async fn large_bodies_and_web_pages_are_turned_away() {
    let node = Served::new("hello", Vec::new()).await;
    let asker = node.asker();
    let target = format!("{PREFIX}/orders");
    let signer = asker.signer().await;
    let (status, problem) =
        refused(asker.send(&signer, "POST", &target, vec![0; super::MAX_BODY_BYTES + 1]).await).await;
    assert_eq!((status, problem.error.as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
    for path in ["challenge", "node"] {
        let page = asker.http.get(asker.url(&format!("{PREFIX}/{path}"))).header("origin", "http://evil.example");
        assert_eq!(page.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    let (status, problem) = asker.refusal("nothing").await;
    assert_eq!((status, problem.error.as_str()), (StatusCode::NOT_FOUND, "unknown_question"));
    assert_eq!(asker.refusal("agents?all=perhaps").await.0, StatusCode::BAD_REQUEST);
}

fn consumer(offers: &mut Offers) {
    let mut tool = Tool::new("greet", "greeting");
    let dependency = |selector: &str, required| Dependency { selector: selector.parse().unwrap(), required };
    tool.dependencies = vec![dependency("date", true), dependency("weather +fast", false)];
    offers.labels.insert("runtime".into(), "rust".into());
    let mut route = Tool::new("GET:/greet", "");
    route.dependencies = vec![dependency("date", true)];
    offers.tools = vec![route, tool];
}

fn provider(offers: &mut Offers) {
    offers.endpoints = vec!["http://10.0.0.1:9000".into()];
    offers.tools = vec![Tool::new("get_date", "date")];
}

#[tokio::test]
async fn agents_are_listed_with_what_they_depend_on() {
    let (one, two) = {
        let one = Served::new("hello", Vec::new()).await;
        let two = Served::new("system", vec![one.seed()]).await;
        (one, two)
    };
    one.offer(consumer).await;
    one.sees(|view| view.catalog().capabilities().count() == 1).await;
    let alone: AgentsAnswer = one.asker().get("agents").await;
    let tool = &alone.agents[0].tools[0];
    assert_eq!(tool.unavailable_reason.as_deref(), Some("requires date, which nobody offers"));

    two.offer(provider).await;
    one.sees(|view| view.catalog().capabilities().count() == 2).await;
    let both: AgentsAnswer = one.asker().get("agents?all=true").await;
    let [hello, system] = &both.agents[..] else { panic!("{both:?}") };
    assert_eq!((hello.name.as_str(), hello.status.as_str(), hello.runtime.as_str()), ("hello", "healthy", "rust"));
    assert_eq!(hello.tools.len(), 1, "a route is no tool, and what it depends on counts: {hello:?}");
    assert_eq!((hello.dependencies_resolved, hello.dependencies_total), (2, 3));
    assert_eq!(hello.dependency_resolutions[0].provider_agent_id, two.agent.to_string());
    assert_eq!(hello.dependency_resolutions[2].status, "unresolved");
    assert!(hello.tools[0].available && system.tools[0].available);
    assert_eq!(system.endpoint, "http://10.0.0.1:9000");

    let sick = Health { status: Status::Unhealthy, ..Health::default() };
    two.gossip.set(keys::health(&two.agent).unwrap(), sick.encode().unwrap()).await.unwrap();
    let ill = two.agent.clone();
    one.sees(|view| {
        view.catalog().agents().any(|agent| *agent.owner.agent.as_str() == *ill.as_str() && agent.health.is_some())
    })
    .await;
    let healthy: AgentsAnswer = one.asker().get("agents").await;
    assert_eq!(healthy.agents.len(), 1);
}

#[tokio::test]
async fn a_resolution_is_explained_by_any_node_and_its_history_by_its_own() {
    let one = Served::new("hello", Vec::new()).await;
    let two = Served::new("system", vec![one.seed()]).await;
    one.offer(consumer).await;
    two.sees(|view| view.catalog().capabilities().count() == 1).await;
    two.offer(provider).await;
    one.sees(|view| view.catalog().capabilities().count() == 2).await;

    let explained: Explained = two.asker().get("resolve?selector=date%20%2Bfast").await;
    assert_eq!(explained.candidates[0].agent_id, two.agent.to_string());
    let none: Explained = two.asker().get("resolve?selector=date%20fast").await;
    let tags = none.stages.iter().find(|stage| stage.stage == "tags").unwrap();
    assert_eq!((none.candidates.len(), tags.evicted[0].reason.as_str()), (0, "MissingTag"));
    assert_eq!(two.asker().refusal("resolve?selector=date%20(").await.0, StatusCode::BAD_REQUEST);

    let needed: Vec<DependencyInfo> = two.asker().get("dependencies?agent=hel").await;
    assert!(needed[0].required && needed[0].resolution.candidates.len() == 1);

    // The task that writes may come a moment after the view.
    let asker = two.asker();
    let events = tokio::time::timeout(LONG, async {
        loop {
            let events: Vec<AuditEvent> = asker.get("audit?agent=hello").await;
            if events.iter().any(|event| event.trace.chosen.is_some()) {
                return events;
            }
            tokio::task::yield_now().await;
        }
    });
    let events = events.await.unwrap();
    assert_eq!(events[0].event_type, "dependency_resolved");
    assert_eq!(events[0].trace.chosen.as_ref().unwrap().function_name, "get_date");
    assert!(events.iter().any(|event| event.event_type == "dependency_unresolved"));
    let of_other: Vec<AuditEvent> = asker.get("audit?agent=hello&function=other").await;
    assert!(of_other.is_empty());
}

#[tokio::test]
async fn agents_are_found_by_name_id_or_beginning_and_ambiguity_is_told() {
    let one = Served::new("hello", Vec::new()).await;
    let two = Served::new("help", vec![one.seed()]).await;
    one.offer(|offers| offers.tools = vec![Tool::new("a", "a")]).await;
    two.offer(|offers| offers.tools = vec![Tool::new("b", "b")]).await;
    one.sees(|view| view.catalog().capabilities().count() == 2).await;
    let asker = one.asker();
    for text in ["hello", "HELL", one.agent.as_str()] {
        assert_eq!(asker.get::<AgentInfo>(&format!("agent?agent={text}")).await.name, "hello");
    }
    let seed = Served::new("hellseed", vec![one.seed()]).await;
    seed.offer(|offers| {
        offers.tools = vec![Tool::new("c", "c")];
        offers.labels.insert(crate::offers::ROLE_LABEL.into(), "seed".into());
    })
    .await;
    one.sees(|view| view.catalog().capabilities().count() == 3).await;
    assert_eq!(asker.get::<AgentInfo>("agent?agent=hell").await.name, "hello");
    assert_eq!(asker.get::<AgentsAnswer>("agents?all=true").await.agents.len(), 2);

    let tool = Tool::new("greet", "greeting");
    one.offer(|offers| offers.tools = vec![tool.clone()]).await;
    two.sees(|view| view.catalog().capabilities().any(|(name, _)| name == "greeting")).await;
    let detail: ToolDetail = two.asker().get("tool?tool=greet").await;
    assert_eq!(detail.input_schema.unwrap()["properties"]["first_name"]["type"], "string");
    two.offer(|offers| offers.tools = vec![tool]).await;
    one.sees(|view| view.catalog().capabilities().any(|(name, offers)| (name, offers) == ("greeting", 2))).await;
    let (status, problem) = asker.refusal("tool?tool=greeting").await;
    assert_eq!((status, problem.choices.len()), (StatusCode::CONFLICT, 2));
    assert_eq!(asker.refusal("tool?tool=x&agent=hello").await.1.message, "tool 'x' not found on agent 'hello'");
    let (status, problem) = asker.refusal("agent?agent=hel").await;
    assert_eq!((status, problem.choices.len()), (StatusCode::CONFLICT, 2));
    let (status, problem) = asker.refusal("agent?agent=x").await;
    assert_eq!((status, problem.message.as_str()), (StatusCode::NOT_FOUND, "no healthy agent found matching 'x'"));
}

#[tokio::test]
async fn orders_need_the_operator_and_travel_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let operator = OperatorKey::make(directory.path()).unwrap();
    let node = Served::with_operator("hello", Vec::new(), Some(&operator)).await;
    let asker = node.asker();
    let target = format!("{PREFIX}/orders");
    let ground: Ground = asker.get("ground").await;
    let mesh = mesh_gossip::id::MeshId(ground.mesh);
    let order = Order { number: ground.number, body: OrderBody::Install(key(9)) };

    let stranger = OperatorKey::make(&directory.path().join("stranger")).unwrap();
    assert_ne!(stranger.public_key(), operator.public_key());
    let signer = asker.signer().await;
    let forged = SignedOrder::sign(order.clone(), mesh, &stranger);
    let (status, problem) = refused(asker.send(&signer, "POST", &target, signer.seal(forged.bytes())).await).await;
    assert_eq!((status, problem.error.as_str()), (StatusCode::FORBIDDEN, "order_refused"));

    let signed = SignedOrder::sign(order, mesh, &operator);
    let signer = asker.signer().await;
    let open = asker.send(&signer, "POST", &target, signed.bytes().to_vec()).await;
    assert_eq!(open.status(), StatusCode::BAD_REQUEST);
    let signer = asker.signer().await;
    let sealed = asker.send(&signer, "POST", &target, signer.seal(signed.bytes())).await;
    assert_eq!(sealed.status(), StatusCode::OK);
    let after: Ground = asker.get("ground").await;
    assert!(after.keys.contains(&key(9).hash().to_string()));
}
