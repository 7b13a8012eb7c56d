//! Laws of catalog and resolver, and the answers that are deliberately not those of the existing system.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::availability::LackReason;
use super::llm::{self, Asker, FilterMode, Pattern, ToolFilter};
use super::selector::Selector;
use super::version::Version;
use super::{
    Digest, Eviction, Query, Reason, Resolution, Resolver, SchemaFit, SchemaMismatch, needed_schemas, resolve,
};
use crate::catalog::{AgentId, Catalog, Dependency, Health, Offer, Offers, Owner, Row, Standing, Status, Tool};
use crate::id::MemberId;
use crate::schema::NoBodies;

fn member(number: u8) -> MemberId {
    MemberId::from_bytes([number; 16])
}

fn owner(number: u8, agent: &str) -> Owner {
    Owner { member: member(number), agent: agent.parse().unwrap() }
}

fn tool(function: &str, capability: &str, tags: &[&str], version: &str, required: &[&str]) -> Tool {
    let mut tool = Tool::new(function, capability);
    tool.tags = tags.iter().map(|tag| Arc::from(*tag)).collect();
    tool.version = Version::new(version);
    tool.input = Some(Digest::of(&json!({})));
    let dependency = |text: &&str| Dependency { selector: text.parse().unwrap(), required: true };
    tool.dependencies = required.iter().map(dependency).collect();
    tool
}

fn offers(agent: &str, tools: Vec<Tool>) -> Arc<Offers> {
    let mut offers = Offers::new(agent.parse().unwrap(), agent);
    offers.tools = tools;
    Arc::new(offers)
}

/// A catalog in which each agent is a member of its own.
fn world(agents: &[(&str, Vec<Tool>)]) -> Catalog {
    let mut catalog = Catalog::new();
    for (number, (agent, tools)) in agents.iter().enumerate() {
        let owner = owner(u8::try_from(number).unwrap(), agent);
        catalog.apply(&owner, Some(offers(agent, tools.clone()))).unwrap();
    }
    catalog
}

fn ask(catalog: &Catalog, selector: &str) -> Resolution {
    resolve(catalog, &NoBodies, &selector.parse().unwrap())
}

fn names(resolution: &Resolution) -> Vec<&str> {
    resolution.candidates.iter().map(|candidate| candidate.offer.agent().as_str()).collect()
}

fn only_reason(resolution: &Resolution) -> &Reason {
    assert_eq!(resolution.explanation.evictions().len(), 1);
    &resolution.explanation.evictions()[0].reason
}

#[test]
fn preferred_tags_outrank_versions_and_ids_decide_last() {
    let catalog = world(&[
        ("c", vec![tool("f", "x", &[], "1.0", &[])]),
        ("b", vec![tool("f", "x", &[], "1.0.0", &[])]),
        ("new", vec![tool("f", "x", &[], "9.0.0", &[])]),
        ("tagged", vec![tool("f", "x", &["fast"], "0.1.0", &[])]),
    ]);
    let resolution = ask(&catalog, "x +fast");
    assert_eq!(names(&resolution), ["tagged", "new", "b", "c"]);
    assert_eq!(resolution.equals().len(), 1);
    assert_eq!(ask(&catalog, "x @1").equals().len(), 2);
}

#[test]
fn suspects_rank_last_and_the_gone_are_out() {
    let mut catalog = world(&[
        ("a", vec![tool("f", "x", &["fast"], "2.0", &[])]),
        ("b", vec![tool("f", "x", &[], "1.0", &[])]),
        ("c", vec![tool("f", "x", &[], "1.0", &[])]),
    ]);
    catalog.set_standing(member(0), Standing::Suspect);
    catalog.set_standing(member(2), Standing::Gone);
    let resolution = ask(&catalog, "x +fast");
    assert_eq!(names(&resolution), ["b", "a"]);
    assert_eq!(only_reason(&resolution), &Reason::Gone);
}

#[test]
fn a_health_record_takes_an_agent_or_one_of_its_tools_out() {
    let mut catalog = world(&[("a", vec![tool("f", "x", &[], "1.0", &[]), tool("g", "y", &[], "1.0", &[])])]);
    let one_tool = Health { tools: [("g".into(), Status::Unhealthy)].into(), ..Health::default() };
    assert!(catalog.set_health(&owner(0, "a"), Some(Arc::new(one_tool))));
    assert_eq!(names(&ask(&catalog, "x")), ["a"]);
    assert_eq!(only_reason(&ask(&catalog, "y")), &Reason::Unhealthy(Status::Unhealthy));
    let all = Health { status: Status::Unhealthy, ..Health::default() };
    catalog.set_health(&owner(0, "a"), Some(Arc::new(all)));
    assert_eq!(names(&ask(&catalog, "x")), [""; 0]);
    catalog.set_health(&owner(0, "a"), None);
    assert_eq!(names(&ask(&catalog, "y")), ["a"]);
}

#[test]
fn namespaces_isolate_also_what_is_required() {
    let mut catalog = world(&[("a", vec![tool("f", "x", &[], "1.0", &["y"])])]);
    let mut elsewhere = Offers::new("b".parse().unwrap(), "b");
    elsewhere.namespace = "prod".into();
    elsewhere.tools = vec![tool("f", "y", &[], "1.0", &[]), tool("g", "x", &[], "1.0", &["y"])];
    catalog.apply(&owner(9, "b"), Some(Arc::new(elsewhere))).unwrap();
    let resolution = ask(&catalog, "x");
    assert_eq!(names(&resolution), [""; 0]);
    let reasons: Vec<String> = resolution.explanation.evictions().iter().map(Eviction::to_string).collect();
    assert_eq!(reasons, ["a:f requires `y`, which nobody offers", "b:g is in namespace prod"]);
    assert_eq!(names(&ask(&catalog, "x in=prod")), ["b"]);
    assert_eq!(names(&ask(&catalog, "x in=*")), ["b"]);
    let selector = Selector::new("x").asked_in(&"prod".into());
    assert_eq!(names(&resolve(&catalog, &NoBodies, &selector)), ["b"]);
}

#[test]
fn loops_of_requirements_fail_closed_unless_somebody_stands_on_the_ground() {
    let mut agents = vec![
        ("a", vec![tool("f", "x", &[], "1.0", &["y"])]),
        ("b", vec![tool("f", "y", &[], "1.0", &["x"])]),
        ("c", vec![tool("f", "z", &[], "1.0", &["y"])]),
    ];
    let catalog = world(&agents);
    let why = |capability| match only_reason(&ask(&catalog, capability)) {
        Reason::Withdrawn(lack) => lack.reason.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(why("x"), LackReason::Loop("b".parse().unwrap()));
    assert_eq!(why("z"), LackReason::Loop("b".parse().unwrap()));
    agents.push(("d", vec![tool("f", "x", &[], "0.1", &[])]));
    let catalog = world(&agents);
    assert_eq!(names(&ask(&catalog, "x")), ["a", "d"]);
    assert_eq!(names(&ask(&catalog, "z")), ["c"]);
}

#[test]
fn what_is_lacking_is_named() {
    let mut catalog = world(&[
        ("a", vec![tool("f", "x", &[], "1.0", &["y +nice @^2"])]),
        ("b", vec![tool("f", "y", &[], "1.0", &["gone"])]),
    ]);
    let text = |catalog: &Catalog, capability: &str| only_reason(&ask(catalog, capability)).to_string();
    assert_eq!(text(&catalog, "x"), "requires `y +nice @^2`, which nobody offers");
    assert_eq!(text(&catalog, "y"), "requires gone, which nobody offers");
    catalog.apply(&owner(1, "b"), Some(offers("b", vec![tool("f", "y", &[], "2.0", &["gone"])]))).unwrap();
    assert_eq!(text(&catalog, "x"), "requires y, and b is itself withdrawn");
    catalog.set_standing(member(1), Standing::Gone);
    assert_eq!(text(&catalog, "x"), "requires y, and b is unhealthy or gone");
}

#[test]
fn a_chain_of_ten_thousand_requirements_is_followed_without_recursion() {
    let mut catalog = Catalog::new();
    for batch in 0..10_u8 {
        let tools = (0..1000).map(|n| {
            let number = u32::from(batch) * 1000 + n;
            let next = format!("c{}", number + 1);
            tool("f", &format!("c{number}"), &[], "1.0", &[&next])
        });
        let agent = format!("a{batch}");
        catalog.apply(&owner(batch, &agent), Some(offers(&agent, tools.collect()))).unwrap();
    }
    assert_eq!(names(&ask(&catalog, "c0")), [""; 0]);
    catalog.apply(&owner(99, "end"), Some(offers("end", vec![tool("f", "c10000", &[], "1.0", &[])]))).unwrap();
    assert_eq!(names(&ask(&catalog, "c0")), ["a0"]);
}

#[test]
fn what_is_too_tangled_to_find_out_is_withdrawn_and_harms_nobody_else() {
    let mut catalog = Catalog::new();
    let liars = (0..40).map(|n| {
        let wishes: Vec<String> = (0..40).map(|wish| format!("x lie -t{n}-{wish}")).collect();
        let wishes: Vec<&str> = wishes.iter().map(String::as_str).collect();
        tool("f", "x", &["lie"], "1.0", &wishes)
    });
    let liars = liars.collect();
    catalog.apply(&owner(0, "a-liar"), Some(offers("a-liar", liars))).unwrap();
    let honest = vec![tool("f", "x", &["honest"], "1.0", &["y"]), tool("g", "y", &[], "1.0", &[])];
    catalog.apply(&owner(1, "honest"), Some(offers("honest", honest))).unwrap();
    let resolution = ask(&catalog, "x");
    assert_eq!(names(&resolution), ["honest"]);
    let reason = resolution.explanation.evictions()[0].reason.to_string();
    assert_eq!(reason, "requires x and too much else to find out");
}

#[test]
fn a_schema_that_has_not_arrived_keeps_its_candidate_and_ranks_it_last() {
    let wanted = json!({"type": "object", "required": ["id"]});
    let published = json!({"type": "object", "properties": {"id": {}, "more": {}}});
    let bad = json!({"type": "string"});
    let with = |schema: &Value, version: &str| {
        let mut tool = tool("f", "x", &[], version, &[]);
        tool.output = Some(Digest::of(schema));
        vec![tool]
    };
    let catalog = world(&[("a", with(&published, "9.0")), ("b", with(&wanted, "1.0")), ("c", with(&bad, "8.0"))]);
    let selector: Selector = format!("x subset={}", Digest::of(&wanted)).parse().unwrap();
    let mut bodies = BTreeMap::new();
    let all: BTreeSet<Digest> = [&wanted, &published, &bad].into_iter().map(Digest::of).collect();
    assert_eq!(needed_schemas(&catalog, [&selector]), all);

    let query = Query::new(selector);
    let resolution = query.answer(&catalog, &bodies);
    assert_eq!(names(&resolution), ["b", "a", "c"]);
    assert_eq!(resolution.candidates[1].schema, SchemaFit::Pending);
    assert!(!resolution.pending_schemas().is_empty());
    for schema in [wanted, published, bad] {
        bodies.insert(Digest::of(&schema), Arc::new(schema));
    }
    let resolution = query.answer(&catalog, &bodies);
    assert_eq!(names(&resolution), ["a", "b"]);
    assert!(matches!(only_reason(&resolution), Reason::Schema(SchemaMismatch::Lacks(..))));
    assert_eq!(resolution.pending_schemas(), []);
}

#[test]
fn a_model_is_not_shown_its_own_tools_and_is_told_of_shadowed_ones() {
    let catalog = world(&[
        ("me", vec![tool("mine", "m", &[], "1.0", &[])]),
        ("a", vec![tool("search", "web", &[], "1.0", &[])]),
        ("b", vec![tool("search", "files", &[], "1.0", &[])]),
    ]);
    let me: AgentId = "me".parse().unwrap();
    let asker = Asker { agent: Some(&me), namespace: "default" };
    let filter = ToolFilter { patterns: vec![Pattern::default()], mode: FilterMode::All };
    let set = llm::tools(&catalog, &NoBodies, &filter, asker);
    let shown: Vec<String> = set.tools.iter().map(|choice| choice.candidates[0].offer.to_string()).collect();
    assert_eq!(shown, ["b:search"]);
    assert_eq!(set.shadowed.iter().map(Offer::to_string).collect::<Vec<_>>(), ["a:search"]);
}

#[test]
fn an_answer_is_kept_until_something_it_depends_on_changes() {
    let mut catalog = world(&[
        ("a", vec![tool("f", "x", &[], "1.0", &["y"])]),
        ("b", vec![tool("f", "y", &[], "1.0", &["z"])]),
        ("c", vec![tool("f", "z", &[], "1.0", &[])]),
        ("d", vec![tool("f", "other", &[], "1.0", &[])]),
    ]);
    let resolver = Resolver::new();
    let answer = |catalog: &Catalog| resolver.answer(catalog, &NoBodies, &Selector::new("x"));
    let first = answer(&catalog);
    catalog.set_standing(member(3), Standing::Suspect);
    assert!(Arc::ptr_eq(&first, &answer(&catalog)));
    let snapshot = catalog.clone();
    catalog.set_standing(member(2), Standing::Gone);
    assert_eq!(names(&answer(&catalog)), [""; 0]);
    assert_eq!(names(&answer(&snapshot)), ["a"]);
}

/// One thing that may happen to a catalog.
#[derive(Clone, Debug)]
enum Step {
    Apply(Owner, Option<Arc<Offers>>),
    Health(Owner, Option<Status>),
    Standing(MemberId, Standing),
    Forget(MemberId),
}

fn any_tool() -> impl Strategy<Value = Tool> {
    let tags = proptest::collection::vec(select(vec!["a", "b"]), 0..3);
    let required = proptest::collection::vec(select(vec!["p", "q +a", "r @^1", "s (a|b)"]), 0..3);
    let version = select(vec!["1.0", "1.1", "2.0", "latest"]);
    let (functions, capabilities) = (select(vec!["f", "g"]), select(vec!["p", "q", "r", "s"]));
    (functions, capabilities, tags, version, required).prop_map(|(function, capability, tags, version, required)| {
        tool(function, capability, &tags, version, &required)
    })
}

fn any_owner() -> impl Strategy<Value = Owner> {
    (0..4_u8, select(vec!["one", "two"])).prop_map(|(member, agent)| owner(member, agent))
}

fn any_step() -> impl Strategy<Value = Step> {
    let apply = (any_owner(), proptest::option::weighted(0.8, proptest::collection::vec(any_tool(), 0..3)));
    let apply = apply.prop_map(|(owner, tools)| {
        let tools = tools.map(|tools| offers(owner.agent.as_str(), tools));
        Step::Apply(owner, tools)
    });
    let status = proptest::option::of(select(vec![Status::Healthy, Status::Unhealthy]));
    let standing = select(vec![Standing::Alive, Standing::Suspect, Standing::Gone]);
    prop_oneof![
        4 => apply,
        1 => (any_owner(), status).prop_map(|(owner, status)| Step::Health(owner, status)),
        1 => (0..4_u8, standing).prop_map(|(number, standing)| Step::Standing(member(number), standing)),
        1 => (0..4_u8).prop_map(|number| Step::Forget(member(number))),
    ]
}

fn take(catalog: &mut Catalog, step: &Step) {
    match step.clone() {
        Step::Apply(owner, offers) => {
            catalog.apply(&owner, offers).unwrap();
        }
        Step::Health(owner, status) => {
            let health = status.map(|status| Arc::new(Health { status, ..Health::default() }));
            catalog.set_health(&owner, health);
        }
        Step::Standing(member, standing) => {
            catalog.set_standing(member, standing);
        }
        Step::Forget(member) => catalog.forget(member),
    }
}

/// Everything that can be seen of a catalog.
fn contents(catalog: &Catalog) -> String {
    let capabilities: Vec<_> = catalog.capabilities().collect();
    let rows: Vec<_> = catalog.all_rows().map(|row| (&row.offer, row.standing, row.status, row.offer.tool())).collect();
    let agents: Vec<_> = catalog.agents().collect();
    format!("{capabilities:?} {rows:?} {agents:?}")
}

/// The same beliefs, told anew in another order.
fn retold(catalog: &Catalog, order: &[Index]) -> Catalog {
    let mut agents: Vec<_> = catalog.agents().collect();
    let mut other = Catalog::new();
    for index in order.iter().chain(std::iter::repeat(&order[0])) {
        if agents.is_empty() {
            break;
        }
        let agent = agents.swap_remove(index.index(agents.len()));
        other.set_standing(agent.owner.member, agent.standing);
        other.set_health(agent.owner, agent.health.cloned());
        other.apply(agent.owner, agent.offers.cloned()).unwrap();
    }
    other
}

/// What is available, by the definition: start with nothing, add what holds, until nothing changes.
fn available(catalog: &Catalog) -> BTreeSet<String> {
    let id = |row: &Row| format!("{:?}", row.offer.key());
    let mut available = BTreeSet::new();
    loop {
        let before = available.len();
        for row in catalog.all_rows() {
            let met = |selector: &Selector| {
                catalog.rows(&selector.capability).iter().any(|provider| {
                    let tool = provider.offer.tool();
                    available.contains(&id(provider))
                        && selector.version.allows(&tool.version)
                        && selector.tags.score(&tool.tags).is_ok()
                })
            };
            let works = row.standing != Standing::Gone && row.status.is_usable();
            if works && row.offer.tool().required().all(met) {
                available.insert(id(row));
            }
        }
        if available.len() == before {
            return available;
        }
    }
}

fn any_selector() -> impl Strategy<Value = Selector> {
    select(vec!["p", "q +a", "r -b @>=1.1", "s (a|+b)"]).prop_map(|text| text.parse().unwrap())
}

proptest! {
    #[test]
    fn resolve_ignores_arrival_order(
        steps in proptest::collection::vec(any_step(), 0..30),
        order in proptest::collection::vec(any::<Index>(), 8),
        selector in any_selector(),
    ) {
        let mut catalog = Catalog::new();
        steps.iter().for_each(|step| take(&mut catalog, step));
        let other = retold(&catalog, &order);
        let (mine, theirs) = (resolve(&catalog, &NoBodies, &selector), resolve(&other, &NoBodies, &selector));
        prop_assert_eq!(mine.candidates, theirs.candidates);
        prop_assert_eq!(mine.explanation, theirs.explanation);
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace(
        steps in proptest::collection::vec(any_step(), 0..30),
        more in proptest::collection::vec(any_step(), 0..10),
    ) {
        let mut catalog = Catalog::new();
        let is_fifth = |step: &&Step| match step {
            Step::Apply(owner, _) | Step::Health(owner, _) => owner.member == member(3),
            Step::Standing(of, _) | Step::Forget(of) => *of == member(3),
        };
        steps.iter().filter(|step| !is_fifth(step)).for_each(|step| take(&mut catalog, step));
        let before = contents(&catalog);
        more.iter().filter(is_fifth).for_each(|step| take(&mut catalog, step));
        catalog.forget(member(3));
        prop_assert_eq!(contents(&catalog), before);
        for number in 0..4 {
            catalog.forget(member(number));
        }
        prop_assert_eq!(contents(&catalog), contents(&Catalog::new()));
    }

    #[test]
    fn exactly_what_stands_on_firm_ground_is_available(steps in proptest::collection::vec(any_step(), 0..30)) {
        let mut catalog = Catalog::new();
        steps.iter().for_each(|step| take(&mut catalog, step));
        let expected = available(&catalog);
        for capability in ["p", "q", "r", "s"] {
            let resolution = ask(&catalog, capability);
            for candidate in &resolution.candidates {
                let key = format!("{:?}", candidate.offer.key());
                prop_assert!(expected.contains(&key));
            }
            for eviction in resolution.explanation.evictions() {
                let key = format!("{:?}", eviction.offer.key());
                prop_assert!(!expected.contains(&key));
            }
        }
    }

    #[test]
    fn a_kept_answer_is_always_the_answer(
        steps in proptest::collection::vec((any_step(), any_selector()), 0..40),
    ) {
        let mut catalog = Catalog::new();
        let resolver = Resolver::new();
        for (step, selector) in steps {
            take(&mut catalog, &step);
            let kept = resolver.answer(&catalog, &NoBodies, &selector);
            let fresh = resolve(&catalog, &NoBodies, &selector);
            prop_assert_eq!(&kept.candidates, &fresh.candidates);
            prop_assert_eq!(&kept.explanation, &fresh.explanation);
        }
    }

    #[test]
    fn a_snapshot_does_not_change(steps in proptest::collection::vec(any_step(), 1..30)) {
        let mut catalog = Catalog::new();
        let mut kept = Vec::new();
        for step in &steps {
            kept.push((catalog.clone(), contents(&catalog)));
            take(&mut catalog, step);
        }
        for (snapshot, before) in kept {
            prop_assert_eq!(contents(&snapshot), before);
        }
    }
}

#[test]
fn an_agent_survives_the_seed_that_spoke_for_it_ranks_last_and_goes_when_its_time_is_over() {
    let mut catalog = Catalog::new();
    let own = AgentId::native("seed", &member(7)).unwrap();
    for agent in ["a-1", own.as_str()] {
        catalog.apply(&owner(7, agent), Some(offers(agent, vec![tool("f", "c", &[], "2.0.0", &[])]))).unwrap();
    }
    catalog.apply(&owner(8, "b-1"), Some(offers("b-1", vec![tool("f", "c", &[], "1.0.0", &[])]))).unwrap();
    assert!(catalog.speaks_for_others(member(7)));
    assert_eq!(names(&ask(&catalog, "c"))[2], "b-1");
    assert!(catalog.survive(member(7)) && !catalog.survive(member(7)));
    assert_eq!(names(&ask(&catalog, "c")), ["b-1", "a-1"]);
    catalog.apply(&owner(7, "d-1"), Some(offers("d-1", vec![tool("f", "c", &[], "1.0.0", &[])]))).unwrap();
    assert_eq!(names(&ask(&catalog, "c")), ["b-1", "a-1", "d-1"]);
    assert!(catalog.set_standing(member(7), Standing::Gone));
    assert_eq!(names(&ask(&catalog, "c")), ["b-1"]);
    assert!(catalog.set_standing(member(7), Standing::Alive));
    assert_eq!(names(&ask(&catalog, "c")).len(), 4);
}
