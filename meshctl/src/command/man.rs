//! `meshctl man`: the documents, offline.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::output::{self, Colour, paint};
use crate::suggest;

/// Every topic and its text, in Markdown.
const TOPICS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/topics.rs"));

/// Other names of topics, those of the existing tool among them.
const ALIASES: &[(&str, &str)] = &[
    ("architecture", "overview"),
    ("arch", "overview"),
    ("quickstart", "overview"),
    ("quick", "overview"),
    ("hello", "overview"),
    ("cli", "meshctl"),
    ("commands", "meshctl"),
    ("start", "meshctl"),
    ("stop", "meshctl"),
    ("logs", "meshctl"),
    ("list", "meshctl"),
    ("call", "meshctl"),
    ("status", "meshctl"),
    ("config", "meshctl"),
    ("env", "meshctl"),
    ("environment", "meshctl"),
    ("capabilities", "resolution"),
    ("caps", "resolution"),
    ("tags", "resolution"),
    ("tag-matching", "resolution"),
    ("schema-matching", "resolution"),
    ("schema", "resolution"),
    ("schemas", "resolution"),
    ("registry", "gossip"),
    ("reg", "gossip"),
    ("security", "gossip"),
    ("members", "gossip"),
];

/// What to read.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The topic. Default: overview.
    topic: Option<String>,
    /// List the topics.
    #[arg(short, long)]
    list: bool,
    /// Find the topics that speak of this.
    #[arg(short, long, value_name = "WORDS")]
    search: Option<String>,
    /// Print the Markdown as it is.
    #[arg(short, long)]
    raw: bool,
    /// Print the manual page of meshctl, or of the command that the topic names, for man(1).
    #[arg(long)]
    roff: bool,
    #[arg(short, long, hide = true)]
    typescript: bool,
    #[arg(short, long, hide = true)]
    java: bool,
    #[arg(long, hide = true, value_name = "DAY")]
    day: Option<u8>,
}

impl Man {
    /// Prints it. An unknown topic is answered with what comes close.
    ///
    /// # Errors
    /// For flags that mean nothing here.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if self.typescript || self.java {
            bail!("--typescript and --java have no meaning here: agents of this mesh are written in Rust");
        }
        if self.day.is_some() {
            bail!("--day has no meaning here: there is no tutorial in days");
        }
        if self.roff {
            return self.roff();
        }
        if self.list {
            for (topic, text) in TOPICS {
                output::say(format_args!("{:<20} {}", topic, title(text)));
            }
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(words) = &self.search {
            search(words);
            return Ok(ExitCode::SUCCESS);
        }
        let wanted = self.topic.as_deref().unwrap_or("overview").to_lowercase();
        match find(&wanted) {
            Some(text) if self.raw || !output::coloured() => output::write(text),
            Some(text) => output::write(coloured(text)),
            None => {
                output::say(format_args!("There is no topic '{wanted}'."));
                let names = TOPICS.iter().map(|(topic, _)| *topic).chain(ALIASES.iter().map(|(alias, _)| *alias));
                let near = suggest::near(&wanted, names);
                if !near.is_empty() {
                    output::say(format_args!("Did you mean: {}?", near.join(", ")));
                }
                output::say("See meshctl man --list.");
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn roff(&self) -> anyhow::Result<ExitCode> {
        let root = Cli::command();
        let command = match &self.topic {
            None => root,
            Some(name) => match root.find_subcommand(name) {
                Some(command) => command.clone().display_name(format!("meshctl-{name}")),
                None => bail!("there is no command {name:?}: see meshctl --help"),
            },
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        output::write(String::from_utf8_lossy(&page));
        Ok(ExitCode::SUCCESS)
    }
}

fn find(name: &str) -> Option<&'static str> {
    let topic = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, topic)| topic);
    TOPICS.iter().find(|(known, _)| [name, topic].contains(known)).map(|(_, text)| *text)
}

/// The first heading.
fn title(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
}

/// Prints the topics that contain `words`, with the first line that does.
fn search(words: &str) {
    let wanted = words.to_lowercase();
    let mut found = false;
    for (topic, text) in TOPICS {
        let hit = text.lines().find(|line| line.to_lowercase().contains(&wanted));
        if let Some(line) = hit.or_else(|| topic.contains(&wanted).then(|| title(text))) {
            found = true;
            output::say(format_args!("{}: {}", paint(Colour::Bold, topic), line.trim()));
        }
    }
    if !found {
        output::say(format_args!("No topic speaks of '{words}'. See meshctl man --list."));
    }
}

/// Headings and commands stand out; everything else stays as it was written.
fn coloured(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 256);
    let mut is_code = false;
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        let colour = if is_code || fence { Some(Colour::Cyan) } else { line.starts_with('#').then_some(Colour::Bold) };
        match colour {
            Some(colour) => shown.push_str(&paint(colour, line)),
            None => shown.push_str(line),
        }
        shown.push('\n');
        is_code ^= fence;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{ALIASES, TOPICS, find, title};

    #[test]
    fn every_topic_has_a_title_and_every_alias_leads_to_one() {
        for (topic, text) in TOPICS {
            assert!(!title(text).is_empty(), "{topic} has no title");
        }
        for (alias, topic) in ALIASES {
            assert!(find(alias).is_some(), "{alias} leads to {topic}, which does not exist");
        }
    }
}
