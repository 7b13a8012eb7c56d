//! `meshctl members`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use mesh_node::admin::wire::{MemberInfo, MembersAnswer};

use crate::age;
use crate::client::NodeArgs;
use crate::output::{self, Colour, say};
use crate::table::{Cell, Column, Table};

/// Lists members as the node that is asked sees them.
#[derive(Debug, Args)]
pub(crate) struct Members {
    #[command(flatten)]
    node: NodeArgs,
    /// Also show members that are dead or have left
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Members {
    /// Lists them.
    ///
    /// # Errors
    /// When no node answers.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.node.connect(Duration::from_secs(10)).await?;
        let mut answer: MembersAnswer = client.get("members", &[]).await?;
        let hidden = answer.members.len();
        answer.members.retain(|member| self.all || matches!(member.state.as_str(), "alive" | "suspect"));
        let hidden = hidden - answer.members.len();
        if self.json {
            output::json(&answer)?;
            return Ok(ExitCode::SUCCESS);
        }
        let node = &answer.node;
        say(format_args!("Mesh {} as {} ({}) sees it\n", node.mesh, node.agent_id, client.base()));
        if let Some(obstacle) = &node.obstacle {
            say(output::paint(Colour::Yellow, format!("Not part of the mesh yet: {obstacle}\n")));
        }
        let heads = ["MEMBER", "AGENTS", "STATE", "INCARNATION", "GENERATION", "AGE", "RTT", "ZONE", "ADDRESS"];
        let mut table = Table::new(heads.map(|head| Column::growing(head, 5)).into());
        answer.members.iter().for_each(|member| table.push(row(member, &answer)));
        table.lines().iter().for_each(say);
        let hidden = if hidden > 0 { format!(" - {hidden} gone hidden (use --all)") } else { String::new() };
        say(format_args!("\n{} live{hidden}", node.live));
        Ok(ExitCode::SUCCESS)
    }
}

fn row(member: &MemberInfo, answer: &MembersAnswer) -> Vec<Cell> {
    let colour = match member.state.as_str() {
        "alive" => Colour::Green,
        "suspect" => Colour::Yellow,
        "dead" => Colour::Red,
        _ => Colour::Grey,
    };
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let age = if matches!(member.state.as_str(), "alive" | "suspect") {
        answer.node.now.since(member.started)
    } else {
        member.state_age_ms
    };
    vec![
        Cell::new(&member.id),
        Cell::new(or_dash(member.agents.join(", "))),
        Cell::painted(colour, &member.state),
        Cell::new(member.incarnation.to_string()),
        Cell::new(member.generation.to_string()),
        Cell::new(age::short(age)),
        Cell::new(match member.rtt_ms {
            _ if member.is_self => "self".to_owned(),
            Some(rtt) => format!("{rtt:.1}ms"),
            None => "-".to_owned(),
        }),
        Cell::new(or_dash(member.zone.clone())),
        Cell::new(member.addresses.first().map_or_else(|| "-".to_owned(), |address| address.gossip.to_string())),
    ]
}
