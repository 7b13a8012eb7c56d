//! `meshctl force-leave`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use mesh_gossip::order::OrderBody;
use mesh_node::admin::wire::{MemberInfo, MembersAnswer};

use crate::client::NodeArgs;
use crate::operator::{self, OperatorArgs};
use crate::output::say;

/// Has the whole mesh forget a member that is gone, or keep one out.
#[derive(Debug, Args)]
pub(crate) struct ForceLeave {
    /// The member: its id or an agent of it, or the beginning of either
    member: String,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    operator: OperatorArgs,
    /// Keep it out whatever it says, until --unban
    #[arg(long, conflicts_with = "unban")]
    ban: bool,
    /// Take a ban back; needs the member's whole id
    #[arg(long)]
    unban: bool,
}

impl ForceLeave {
    /// Gives the order.
    ///
    /// # Errors
    /// When this machine is not the operator's, or nobody or several are meant.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let operator = self.operator.key()?;
        let mut client = self.node.connect(Duration::from_secs(30)).await?;
        if self.unban {
            let ground = operator::ground(&mut client, None).await?;
            operator::give(&mut client, &operator, &ground, OrderBody::Unban(self.member.parse()?)).await?;
            say(format_args!("The ban of {} is taken back", self.member));
            return Ok(ExitCode::SUCCESS);
        }
        let members: MembersAnswer = client.get("members", &[]).await?;
        let member = find(&members.members, &self.member)?;
        let ground = operator::ground(&mut client, Some(&member.id)).await?;
        let body = if self.ban { OrderBody::Ban(member.id.parse()?) } else { operator::forget(&ground)? };
        operator::give(&mut client, &operator, &ground, body).await?;
        let agents = if member.agents.is_empty() { String::new() } else { format!(" ({})", member.agents.join(", ")) };
        if self.ban {
            say(format_args!("The mesh keeps out {}{agents}, until --unban", member.id));
        } else {
            say(format_args!("The mesh forgets {}{agents}; if it is not gone, it says so and is back", member.id));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn find<'a>(members: &'a [MemberInfo], text: &str) -> anyhow::Result<&'a MemberInfo> {
    let names = |member: &MemberInfo| -> Vec<String> {
        [member.id.clone()].into_iter().chain(member.agents.iter().cloned()).collect()
    };
    let exact = |member: &&MemberInfo| names(member).iter().any(|name| name == text);
    let begins = |member: &&MemberInfo| names(member).iter().any(|name| name.starts_with(&text.to_lowercase()));
    if let Some(member) = members.iter().find(exact) {
        return Ok(member);
    }
    let found: Vec<&MemberInfo> = members.iter().filter(begins).collect();
    match found[..] {
        [] => bail!("no member matches '{text}'; `meshctl members --all` lists them"),
        [member] => Ok(member),
        _ => {
            let choice = |member: &&MemberInfo| format!("\n  - {} {}", member.id, member.agents.join(", "));
            bail!("multiple members match '{text}':{}", found.iter().map(choice).collect::<String>())
        }
    }
}
