//! Programs that are several agents: all in one process, or those that are named, so that each can be a process.

use mesh::prelude::*;

/// Makes an agent.
pub type Make = fn() -> Result<Agent>;

/// Runs those of `agents` that the command line names, all with `--all`, until the process is told to end.
///
/// # Errors
/// When it names none, or one that there is not, or one does not start.
pub async fn run(agents: &[(&str, Make)]) -> Result {
    let said: Vec<String> = std::env::args().skip(1).collect();
    let known = || agents.iter().map(|(name, _)| *name).collect::<Vec<&str>>().join(", ");
    let chosen: Result<Vec<Agent>> = match said.as_slice() {
        [] => return Err(Error::new(format!("say which agents to run: --all, or some of {}", known()))),
        [all] if all == "--all" => agents.iter().map(|(_, make)| make()).collect(),
        names => names
            .iter()
            .map(|name| match agents.iter().find(|(known, _)| known == name) {
                Some((_, make)) => make(),
                None => Err(Error::new(format!("there is no agent {name:?}; there are {}", known()))),
            })
            .collect(),
    };
    mesh::run(chosen?).await
}
