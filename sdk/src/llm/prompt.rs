//! Prompts: templates whose variables are known to be there before anybody asks.

mod check;
mod scope;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value};

pub(crate) use scope::Known;

/// How much a template may do: enough for any prompt, and soon over for one that runs away.
const FUEL: u64 = 1_000_000;

/// The most bytes of a written prompt.
const MAX_PROMPT: usize = 1 << 20;

/// What a prompt is when nobody says anything.
const DEFAULT: &str = "You are a helpful assistant.";

/// The name under which templates are kept.
const NAME: &str = "prompt";

/// Why a prompt cannot be written, or an agent with it not start.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The file cannot be read.
    #[error("the prompt of `{tool}` is to be read from {path}, which {variable} names: {why}")]
    File {
        /// The tool.
        tool: String,
        /// The file.
        path: String,
        /// The environment variable.
        variable: String,
        /// Why not.
        why: String,
    },
    /// It is no template.
    #[error("the prompt of `{tool}` ({origin}) is no template: {why}")]
    Syntax {
        /// The tool.
        tool: String,
        /// Where it comes from.
        origin: String,
        /// What is wrong, with its line.
        why: String,
    },
    /// It has a variable that its context cannot have.
    #[error(
        "the prompt of `{tool}` ({origin}) has a variable `{variable}` in line {line} that nothing gives it: there are \
         {known}. Guard what only some calls give: `{{% if {variable} is defined %}}`"
    )]
    Unknown {
        /// The tool.
        tool: String,
        /// Where it comes from.
        origin: String,
        /// The variable.
        variable: String,
        /// Where.
        line: u32,
        /// What there is.
        known: String,
    },
    /// It cannot be written with what this call gives it.
    #[error("the prompt of `{tool}` ({origin}) cannot be written: {why}")]
    Failed {
        /// The tool.
        tool: String,
        /// Where it comes from.
        origin: String,
        /// Why not.
        why: String,
    },
}

/// A prompt as its author declared it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PromptSource {
    text: &'static str,
    file: Option<&'static str>,
}

/// A prompt that can be written.
pub(crate) struct Prompt {
    tool: Arc<str>,
    origin: String,
    environment: Environment<'static>,
}

impl PromptSource {
    /// A text in the code.
    pub(crate) const fn text(text: &'static str) -> Self {
        Self { text, file: None }
    }

    /// The text of a file, embedded at build.
    pub(crate) const fn file(path: &'static str, text: &'static str) -> Self {
        Self { text, file: Some(path) }
    }
}

impl Default for PromptSource {
    fn default() -> Self {
        Self::text(DEFAULT)
    }
}

impl Prompt {
    /// The prompt of `tool` from `source`, unless `environment` has another one; its variables have to be among `known`.
    ///
    /// # Errors
    /// [`PromptError`].
    pub(crate) fn new(
        tool: &Arc<str>,
        source: &PromptSource,
        known: &Known,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, PromptError> {
        let (text, origin) = match overridden(tool, environment)? {
            Some(own) => own,
            None => (source.text.to_owned(), source.file.map_or("in its code".to_owned(), str::to_owned)),
        };
        check::variables(tool, &origin, &text, known)?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_template_owned(NAME, text).map_err(|why| PromptError::Syntax {
            tool: tool.to_string(),
            origin: origin.clone(),
            why: said(&why),
        })?;
        Ok(Self { tool: tool.clone(), origin, environment })
    }

    /// The prompt with these `values`.
    ///
    /// # Errors
    /// [`PromptError::Failed`].
    pub(crate) fn write(&self, values: &Map<String, Value>) -> Result<String, PromptError> {
        let failed =
            |why: String| PromptError::Failed { tool: self.tool.to_string(), origin: self.origin.clone(), why };
        let template = self.environment.get_template(NAME).map_err(|why| failed(said(&why)))?;
        let text = template.render(Serde(values)).map_err(|why| failed(said(&why)))?;
        if text.len() > MAX_PROMPT {
            return Err(failed(format!("it would have {} bytes, more than {MAX_PROMPT}", text.len())));
        }
        Ok(text)
    }
}

/// The prompt that the environment has for `tool`, and where it comes from: a file, or the text itself.
fn overridden(
    tool: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<(String, String)>, PromptError> {
    let variable = variable_of(tool);
    let Some(said) = environment(&variable).filter(|said| !said.trim().is_empty()) else { return Ok(None) };
    let path = said.strip_prefix("file://").unwrap_or(&said).trim();
    if path.len() == said.trim().len() && !is_file(path) {
        return Ok(Some((said, variable)));
    }
    match std::fs::read_to_string(Path::new(path)) {
        Ok(text) => Ok(Some((text, path.to_owned()))),
        Err(why) => {
            Err(PromptError::File { tool: tool.to_owned(), path: path.to_owned(), variable, why: why.to_string() })
        }
    }
}

/// Whether `prompt` is the path of a template rather than one.
fn is_file(prompt: &str) -> bool {
    !prompt.contains('\n') && [".j2", ".jinja2", ".jinja"].iter().any(|ending| prompt.ends_with(ending))
}

/// The environment variable with the prompt of `tool`.
pub(crate) fn variable_of(tool: &str) -> String {
    let letter = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_uppercase() } else { '_' };
    format!("MESH_PROMPT_{}", tool.chars().map(letter).collect::<String>())
}

/// An error on one line, with its causes.
fn said(error: &minijinja::Error) -> String {
    use std::error::Error as _;

    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the prompt of {} ({})", self.tool, self.origin)
    }
}

#[cfg(test)]
mod tests;
