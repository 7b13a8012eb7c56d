//! `meshctl config`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};

use crate::home::Home;
use crate::output::{self, Colour, paint};
use crate::settings::{self, ITEMS, Settings};

/// What to do with the settings.
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print what holds now, by defaults, file and environment.
    Show {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Yaml)]
        format: Format,
    },
    /// Print where the file is.
    Path,
    /// Set a key in the file; without a value, take it out.
    Set {
        /// The key; `meshctl config keys` lists them.
        key: String,
        /// Its value.
        value: Option<String>,
    },
    /// List the keys, and what each is for.
    Keys,
}

/// How settings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a key.
    Yaml,
    /// An object.
    Json,
}

impl Config {
    /// Does it.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a key or value cannot be.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let home = Home::of_user()?;
        match self.action {
            Action::Show { format } => show(&home, format)?,
            Action::Path => output::say(home.config().display()),
            Action::Set { key, value } => {
                settings::set(&home, &BTreeMap::from([(key.as_str(), value.unwrap_or_default())]))?;
            }
            Action::Keys => {
                for item in ITEMS {
                    let beaten = item.variable.map(|name| format!(" (beaten by {name})")).unwrap_or_default();
                    output::say(format_args!("{}: {}{beaten}", paint(Colour::Bold, item.key), item.help));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show(home: &Home, format: Format) -> anyhow::Result<()> {
    let settings = serde_json::to_value(Settings::load(home)?)?;
    let Value::Object(settings) = settings else { return Err(anyhow!("settings are no object")) };
    let mut all = Map::from_iter([("state_dir".to_owned(), Value::from(home.root().to_string_lossy()))]);
    all.extend(settings);
    match format {
        Format::Json => output::json(&all)?,
        Format::Yaml => {
            for (key, value) in &all {
                output::say(format_args!("{key}: {value}"));
            }
        }
    }
    Ok(())
}
