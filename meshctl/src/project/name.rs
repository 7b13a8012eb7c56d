//! What the code of an agent calls it, as far as that stands there outright.

use std::fs;
use std::path::{Path, PathBuf};

/// The largest file that is looked into, in bytes.
const LARGEST: u64 = 4 << 20;

/// The most files of a Java project that are looked into.
const MOST_FILES: usize = 2000;

/// The literal in `@mesh.agent(name="…")`.
pub(super) fn in_python(script: &Path) -> Option<String> {
    let text = without_comments(&read(script)?, "#");
    arguments(&text, "@mesh.agent").into_iter().find_map(|arguments| value(arguments, "name", '='))
}

/// The literal in `mesh(server, { name: "…" })`.
pub(super) fn in_typescript(entry: &Path) -> Option<String> {
    let text = without_comments(&read(entry)?, "//");
    arguments(&text, "mesh").into_iter().find_map(|arguments| value(arguments, "name", ':'))
}

/// The literal in `@MeshAgent(name = "…")` of one of the sources, else what the project calls itself.
pub(super) fn in_java(pom: &Path) -> Option<String> {
    let mut files = Vec::new();
    collect(&pom.parent()?.join("src"), &mut files);
    let written = files.iter().filter_map(|file| read(file)).find_map(|text| {
        let text = without_comments(&text, "//");
        arguments(&text, "@MeshAgent").into_iter().find_map(|arguments| {
            let only = arguments.trim_start().starts_with('"').then(|| literal(arguments)).flatten();
            value(arguments, "name", '=').or(only)
        })
    });
    written.or_else(|| artifact(&read(pom)?))
}

/// The artifact of the project itself, not that of its parent or of what it depends on.
fn artifact(pom: &str) -> Option<String> {
    let own = match (pom.find("<parent>"), pom.find("</parent>")) {
        (Some(begin), Some(end)) if begin < end => format!("{}{}", &pom[..begin], &pom[end..]),
        _ => pom.to_owned(),
    };
    let (name, _) = own.split_once("<artifactId>")?.1.split_once("</artifactId>")?;
    Some(name.trim().to_owned())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if files.len() >= MOST_FILES {
            return;
        }
        // Links are not followed: they may lead in circles.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&path, files),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|extension| extension == "java") => {
                files.push(path);
            }
            _ => {}
        }
    }
}

fn read(path: &Path) -> Option<String> {
    let small = fs::metadata(path).ok()?.len() <= LARGEST;
    small.then(|| fs::read_to_string(path).ok()).flatten()
}

/// Without lines that are comments altogether.
fn without_comments(text: &str, mark: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with(mark))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// What stands between the parentheses of each call of `function`.
fn arguments<'a>(text: &'a str, function: &str) -> Vec<&'a str> {
    let is_word = |letter: char| letter.is_alphanumeric() || "_.$".contains(letter);
    let calls = text.match_indices(function).filter_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        let rest = text[at + function.len()..].trim_start().strip_prefix('(')?;
        (!before.is_some_and(is_word)).then(|| inside(rest))
    });
    calls.collect()
}

/// Up to the parenthesis that closes the one before `text`, those in literals left out.
fn inside(text: &str) -> &str {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(begun), letter) if begun == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') if depth == 0 => return &text[..at],
            (None, ')' | ']' | '}') => depth -= 1,
            (None, _) => {}
        }
    }
    text
}

/// The literal that is given to `key`, as `key = "…"` or `key: "…"`.
fn value(arguments: &str, key: &str, sign: char) -> Option<String> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    arguments.match_indices(key).find_map(|(at, _)| {
        let whole = !arguments[..at].chars().next_back().is_some_and(is_word);
        let rest = arguments[at + key.len()..].trim_start_matches(['"', '\'']).trim_start();
        literal(rest.strip_prefix(sign).filter(|_| whole)?)
    })
}

/// The literal at the beginning of `text`; none when it is put together from something.
fn literal(text: &str) -> Option<String> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|letter| matches!(letter, '"' | '\'' | '`'))?;
    let (literal, rest) = text[1..].split_once(quote)?;
    let ends = rest.trim_start().chars().next().is_none_or(|letter| ",)}".contains(letter));
    (ends && !literal.is_empty() && !literal.contains(['\\', '\n', '$'])).then(|| literal.to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{artifact, in_java, in_python, in_typescript};

    fn written(text: &str, read: fn(&Path) -> Option<String>) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn the_name_of_a_python_agent_is_the_literal_in_its_decorator() {
        let name = |text| written(text, in_python);
        assert_eq!(name("@mesh.agent(name=\"a-b\", http_port=1)\nclass A: pass").as_deref(), Some("a-b"));
        assert_eq!(name("@mesh.agent(\n    version='1',\n    name = 'x',\n)\nclass A:").as_deref(), Some("x"));
        assert_eq!(name("# @mesh.agent(name='old')\n@mesh.agent(name='new')").as_deref(), Some("new"));
        assert_eq!(name("@mesh.agent(description='name=)', name='y')").as_deref(), Some("y"));
        assert_eq!(name("@mesh.agent(name=NAME)"), None);
        assert_eq!(name("@mesh.agent(name='a' + B)"), None);
        assert_eq!(name("@mesh.agent(nickname='a')"), None);
        assert_eq!(name("@mesh.tool(name='tool')\ndef f(): pass"), None);
        assert_eq!(name("@mesh.agent(name='"), None);
    }

    #[test]
    fn the_name_of_a_typescript_agent_is_in_its_options() {
        let name = |text| written(text, in_typescript);
        assert_eq!(name("const agent = mesh(server, { name: \"calc\", httpPort: 0 });").as_deref(), Some("calc"));
        assert_eq!(name("mesh(server, {\n  version: '1', name: 'x' })").as_deref(), Some("x"));
        assert_eq!(name("import { mesh } from '@mcpmesh/sdk';"), None);
        assert_eq!(name("other.mesh(server, { name: 'x' })"), None);
    }

    #[test]
    fn the_name_of_a_java_agent_is_its_annotation_or_its_artifact() {
        let folder = tempfile::tempdir().unwrap();
        let pom = folder.path().join("pom.xml");
        let parent = "<parent><artifactId>boot</artifactId></parent>";
        fs::write(&pom, format!("<project>{parent}<artifactId>clock</artifactId></project>")).unwrap();
        assert_eq!(in_java(&pom).as_deref(), Some("clock"));
        let source = folder.path().join("src/main/java/A.java");
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        fs::write(source, "@MeshAgent(name = \"greeter\", version = \"1\")\nclass A {}").unwrap();
        assert_eq!(in_java(&pom).as_deref(), Some("greeter"));
        assert_eq!(artifact("<project/>"), None);
    }
}
