//! Agents in Python, TypeScript, JavaScript and Java: which file one begins with, and what it takes to run it.

mod java;
mod name;
mod node;
mod python;
mod tool;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// What makes a folder a project, in the order in which it is looked for.
pub(crate) const ENTRY_POINTS: &[&str] =
    &["main.py", "src/index.ts", "src/index.js", "index.ts", "index.js", "pom.xml"];

/// An agent that is written with the SDK of another language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Project {
    language: Language,
    /// The file it begins with, as an absolute path.
    entry: PathBuf,
    /// The folder that meshctl was called in.
    from: PathBuf,
}

/// What a project is run by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    Python,
    TypeScript,
    JavaScript,
    /// A project of Maven.
    Java,
    /// An archive that Java runs.
    Jar,
}

impl Project {
    /// The project that begins with `file`, if that is the kind of file one begins with.
    ///
    /// # Errors
    /// When it belongs to none, or the current folder is gone.
    pub(crate) fn of_file(file: &Path) -> anyhow::Result<Option<Self>> {
        let entry = std::path::absolute(file).with_context(|| format!("cannot use {}", file.display()))?;
        let extension = entry.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let (language, entry) = match extension {
            "py" => (Language::Python, entry),
            "ts" | "mts" | "cts" => (Language::TypeScript, entry),
            "js" | "mjs" | "cjs" => (Language::JavaScript, entry),
            "jar" => (Language::Jar, entry),
            "java" => match entry.ancestors().map(|folder| folder.join("pom.xml")).find(|pom| pom.is_file()) {
                Some(pom) => (Language::Java, pom),
                None => bail!("no entry point found: {} belongs to no Maven project (pom.xml)", file.display()),
            },
            _ if entry.file_name().is_some_and(|name| name == "pom.xml") => (Language::Java, entry),
            _ => return Ok(None),
        };
        let from = std::env::current_dir().context("cannot tell the current folder")?;
        Ok(Some(Self { language, entry, from }))
    }

    /// The project in `folder`, if there is one.
    ///
    /// # Errors
    /// As [`Project::of_file`].
    pub(crate) fn in_folder(folder: &Path) -> anyhow::Result<Option<Self>> {
        let found = ENTRY_POINTS.iter().map(|entry| folder.join(entry)).find(|entry| entry.is_file());
        found.map_or(Ok(None), |entry| Self::of_file(&entry))
    }

    /// What its process is called: the agent's name where the code says it outright, else after its file or folder.
    pub(crate) fn name(&self) -> Option<String> {
        let written = match self.language {
            Language::Python => name::in_python(&self.entry),
            Language::TypeScript | Language::JavaScript => name::in_typescript(&self.entry),
            Language::Java => name::in_java(&self.entry),
            Language::Jar => None,
        };
        let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        written.or_else(|| match stem(&self.entry).as_deref() {
            // Said by all of them: the folder tells more, and above `src` that of the project.
            Some("main" | "index" | "pom") => {
                let folders = self.folder().ancestors().filter_map(|folder| folder.file_name());
                folders.map(|name| name.to_string_lossy().into_owned()).find(|name| name != "src")
            }
            other => other.map(str::to_owned),
        })
    }

    /// The folder it runs in.
    pub(crate) fn folder(&self) -> &Path {
        self.entry.parent().unwrap_or(&self.from)
    }

    /// What is set for it, whoever starts it.
    pub(crate) const fn environment(&self) -> &'static [(&'static str, &'static str)] {
        match self.language {
            // What it prints is read while it runs.
            Language::Python => &[("PYTHONUNBUFFERED", "1")],
            Language::TypeScript | Language::JavaScript => &[],
            Language::Java | Language::Jar => &[("SPRING_MAIN_BANNER_MODE", "off")],
        }
    }

    /// The program and its arguments, once all that it takes is there.
    ///
    /// # Errors
    /// What is missing, and the command that brings it.
    pub(crate) async fn prepare(&self) -> anyhow::Result<Vec<String>> {
        if !self.entry.exists() {
            bail!("path does not exist: {}", self.entry.display());
        }
        match self.language {
            Language::Python => python::command(&self.entry, &self.from).await,
            Language::TypeScript => node::typescript(&self.entry).await,
            Language::JavaScript => node::javascript(&self.entry).await,
            Language::Java => java::maven(&self.entry).await,
            Language::Jar => java::archive(&self.entry).await,
        }
    }

    /// Looks whether what has changed can be run at all, before it replaces what runs.
    ///
    /// # Errors
    /// What the compiler said.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        match self.language {
            Language::Python => python::check(&self.entry, &self.from).await,
            Language::Java => java::check(&self.entry).await,
            Language::TypeScript | Language::JavaScript | Language::Jar => Ok(()),
        }
    }

    /// Whether a change of a file with this extension is a change of the project.
    pub(crate) fn is_made_of(&self, extension: &str) -> bool {
        let kinds: &[&str] = match self.language {
            Language::Python => &["py", "jinja2", "j2", "yaml", "yml"],
            Language::TypeScript | Language::JavaScript => &["ts", "mts", "cts", "js", "mjs", "cjs", "json", "hbs"],
            Language::Java => &["java", "yml", "yaml", "properties", "xml", "ftl"],
            Language::Jar => &["jar"],
        };
        kinds.contains(&extension)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::Project;

    #[test]
    fn a_folder_is_the_project_of_the_first_entry_point_it_has_and_named_by_its_code_or_itself() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("flights");
        fs::create_dir_all(at.join("src")).unwrap();
        assert_eq!(Project::in_folder(&at).unwrap(), None);
        fs::write(at.join("src/index.ts"), "export {}").unwrap();
        let typescript = Project::in_folder(&at).unwrap().unwrap();
        assert_eq!((typescript.name().unwrap().as_str(), typescript.folder()), ("flights", &*at.join("src")));
        fs::write(at.join("main.py"), "import mesh\n").unwrap();
        let python = Project::in_folder(&at).unwrap().unwrap();
        assert_eq!((python.name().unwrap().as_str(), python.folder()), ("flights", &*at));
        fs::write(at.join("main.py"), "@mesh.agent(name='flight-agent')\nclass A: pass\n").unwrap();
        assert_eq!(python.name().unwrap(), "flight-agent");
    }

    #[test]
    fn a_java_file_belongs_to_the_project_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("src/main/java/A.java");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "class A {}").unwrap();
        Project::of_file(&file).unwrap_err();
        fs::write(folder.path().join("pom.xml"), "<project><artifactId>clock</artifactId></project>").unwrap();
        let project = Project::of_file(&file).unwrap().unwrap();
        assert_eq!((project.folder(), project.name().as_deref()), (folder.path(), Some("clock")));
        assert_eq!(Project::of_file(&folder.path().join("notes.txt")).unwrap(), None);
    }
}
