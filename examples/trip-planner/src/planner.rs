//! Plans a trip: a model with flights, hotels, weather and sights at hand, then a committee that looks at its plan.

use futures::StreamExt;
use mesh::llm::wire::Message;
use mesh::llm::{LlmStream, Piece};
use mesh::{Llm, prelude::*};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::adventure::AdventureAdvice;
use crate::budget::BudgetAnalysis;
use crate::history::{Saved, Turn};
use crate::logistics::LogisticsPlan;
use crate::preferences::{Preferences, TRAVELLER};

/// How many turns of a conversation the model is reminded of.
const REMEMBERED: usize = 20;

/// What the instructions know besides the arguments.
#[derive(Debug, Serialize, JsonSchema)]
struct Known {
    user_preferences: String,
}

/// The specialists. Those that are not there are not asked.
#[mesh::service]
pub trait Committee {
    /// What it will cost.
    #[selector("budget_analysis")]
    async fn budget_analysis(
        &self,
        destination: String,
        plan_summary: String,
        budget: String,
    ) -> Result<BudgetAnalysis>;
    /// What else there is to do.
    #[selector("adventure_advice")]
    async fn adventure_advice(&self, destination: String, plan_summary: String) -> Result<AdventureAdvice>;
    /// How to go about it.
    #[selector("logistics_planning")]
    async fn logistics_planning(
        &self,
        destination: String,
        plan_summary: String,
        dates: String,
    ) -> Result<LogisticsPlan>;
}

/// Where to, when, for how much.
struct Trip {
    destination: String,
    dates: String,
    budget: String,
}

/// A conversation that goes on.
struct Conversation {
    session: String,
    question: String,
    store: Option<Dep<Value>>,
}

/// Plans a trip from real flights, hotels, weather and sights, with the advice of specialists.
#[mesh::llm(capability = "trip_planning", tags = ["planner", "travel", "llm"], version = "1.0.0",
    provider("llm", tags = ["+claude"]), prompt = "prompts/plan_trip.j2", context = Known, max_iterations = 10,
    filter = ["flight_search", "hotel_search", "weather_forecast", "poi_search"])]
#[expect(clippy::too_many_arguments, reason = "they are the arguments of the tool and what is injected")]
pub async fn plan_trip(
    /// Where to.
    destination: String,
    /// When.
    dates: String,
    /// For how much.
    budget: String,
    /// What else is wanted; a sentence is made of the others without it.
    #[default("")]
    message: String,
    /// The conversation that this is part of.
    #[default("")]
    session_id: String,
    /// What was said before, where no session remembers it.
    #[default(Vec::new())]
    conversation_history: Vec<Turn>,
    #[dep("user_preferences")] preferences: Option<Dep<Preferences>>,
    #[dep("chat_history")] history: Option<Dep<Value>>,
    #[service] committee: Committee,
    llm: Llm<String>,
) -> Result<String> {
    let trip = Trip { destination, dates, budget };
    let conversation = Conversation::new(session_id, message, &trip, history);
    let llm = prepared(llm, &trip, preferences, &conversation, conversation_history).await?;
    let plan = llm.ask(conversation.question.as_str()).await?;
    let (insights, asked) = futures::join!(insights(&trip, &plan, &committee), conversation.save_question());
    asked?;
    let result = plan + &insights;
    conversation.save_answer(&result).await?;
    Ok(result)
}

/// The same, word by word.
#[mesh::llm(capability = "trip_planning_stream", tags = ["planner", "travel", "llm"], version = "1.0.0",
    provider("llm", tags = ["+claude"]), prompt = "prompts/plan_trip.j2", context = Known, max_iterations = 10,
    filter = ["flight_search", "hotel_search", "weather_forecast", "poi_search"])]
#[expect(clippy::too_many_arguments, reason = "they are the arguments of the tool and what is injected")]
pub async fn plan_trip_stream(
    /// Where to.
    destination: String,
    /// When.
    dates: String,
    /// For how much.
    budget: String,
    /// What else is wanted; a sentence is made of the others without it.
    #[default("")]
    message: String,
    /// The conversation that this is part of.
    #[default("")]
    session_id: String,
    #[dep("user_preferences")] preferences: Option<Dep<Preferences>>,
    #[dep("chat_history")] history: Option<Dep<Value>>,
    #[service] committee: Committee,
    llm: Llm<String>,
) -> Result<LlmStream> {
    let trip = Trip { destination, dates, budget };
    let conversation = Conversation::new(session_id, message, &trip, history);
    let llm = prepared(llm, &trip, preferences, &conversation, Vec::new()).await?;
    Ok(LlmStream::new(Stream::<Piece>::produce(move |pieces| async move {
        let mut words = llm.stream(conversation.question.as_str());
        let mut plan = String::new();
        while let Some(piece) = words.next().await {
            let piece = piece?;
            match &piece {
                Piece::Text(text) => plan.push_str(text),
                Piece::Restart(_) => plan.clear(),
            }
            pieces.send(piece).await?;
        }
        let (insights, asked) = futures::join!(insights(&trip, &plan, &committee), conversation.save_question());
        asked?;
        pieces.send(Piece::Text(insights.clone())).await?;
        conversation.save_answer(&(plan + &insights)).await
    })))
}

/// The model, with what is known of the traveller and what was said before.
async fn prepared(
    llm: Llm<String>,
    trip: &Trip,
    preferences: Option<Dep<Preferences>>,
    conversation: &Conversation,
    given: Vec<Turn>,
) -> Result<Llm<String>> {
    let preferred = async {
        match preferences {
            Some(preferences) => Ok(described(&preferences.call(args! { user_id: TRAVELLER }).await?)),
            None => Ok::<_, Error>(String::new()),
        }
    };
    let (user_preferences, mut turns) = futures::try_join!(preferred, conversation.turns())?;
    if turns.is_empty() {
        turns = given;
    }
    let said = turns.into_iter().map(|turn| match turn.role.as_str() {
        "assistant" => Message::assistant(turn.content),
        _ => Message::user(turn.content),
    });
    tracing::debug!(destination = trip.destination, "planning");
    Ok(llm.context(Known { user_preferences }).history(said))
}

fn described(known: &Preferences) -> String {
    format!(
        "prefers {}; flights up to ${}; cares for {}; hotels of {} stars and more",
        known.preferred_airlines.join(" and "),
        known.budget_usd,
        known.interests.join(", "),
        known.hotel_min_stars
    )
}

/// What the specialists say about `plan`, all asked at once.
async fn insights(trip: &Trip, plan: &str, committee: &Committee) -> String {
    let (destination, plan) = (trip.destination.clone(), plan.to_owned());
    let (budget, adventure, logistics) = futures::join!(
        committee.budget_analysis(destination.clone(), plan.clone(), trip.budget.clone()),
        committee.adventure_advice(destination.clone(), plan.clone()),
        committee.logistics_planning(destination.clone(), plan.clone(), trip.dates.clone()),
    );
    let sections = [
        section("Budget Analysis", budget.map(|budget| budget.to_string())),
        section("Adventure Recommendations", adventure.map(|advice| advice.to_string())),
        section("Logistics Plan", logistics.map(|plan| plan.to_string())),
    ];
    let sections: String = sections.into_iter().flatten().collect();
    if sections.is_empty() { sections } else { format!("\n\n---\n\n# Specialist Insights{sections}") }
}

fn section(title: &str, said: Result<String>) -> Option<String> {
    match said {
        Ok(said) => Some(format!("\n\n## {title}\n{said}")),
        Err(why) => {
            tracing::info!(%why, "the plan does without the {title}");
            None
        }
    }
}

impl Conversation {
    fn new(session: String, message: String, trip: &Trip, store: Option<Dep<Value>>) -> Self {
        let Trip { destination, dates, budget } = trip;
        let question = match message.trim() {
            "" => format!("Plan a trip to {destination} for {dates} with a budget of {budget}."),
            _ => message,
        };
        // Without a session there is nothing to remember.
        let store = store.filter(|_| !session.is_empty());
        Self { session, question, store }
    }

    /// What was said before.
    async fn turns(&self) -> Result<Vec<Turn>> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let store = store.of::<Vec<Turn>>();
        Ok(store.call_tool("get_history", args! { session_id: self.session, limit: REMEMBERED }).await?)
    }

    /// Remembers what was asked.
    async fn save_question(&self) -> Result {
        self.save("user", &self.question).await
    }

    /// Remembers what was answered.
    async fn save_answer(&self, answer: &str) -> Result {
        self.save("assistant", answer).await
    }

    async fn save(&self, role: &str, content: &str) -> Result {
        let Some(store) = &self.store else { return Ok(()) };
        store.of::<Saved>().call_tool("save_turn", args! { session_id: self.session, role, content }).await?;
        Ok(())
    }
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("planner-agent").description("Plans trips").tool::<plan_trip>().tool::<plan_trip_stream>()
}
