//! What the attributes say to whoever misuses them is part of what they are.
//!
//! Each `ui/fail/<case>.rs` must not compile, and `<case>.stderr` is what the compiler says then. `UI=overwrite` writes down
//! what it says now. The compiler is called on the library as this test run built it, so that nothing is built for it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn misuse_is_told_in_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui/fail");
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let mut cases: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect();
    cases.sort();
    assert!(!cases.is_empty());
    let library = Library::newest();
    let wrong: Vec<String> = cases.iter().filter_map(|case| library.check(case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The library that was built together with this test.
struct Library {
    file: PathBuf,
    scratch: tempfile::TempDir,
}

impl Library {
    /// Of several builds with different features the newest one: none is older than the sources, since this test was just
    /// built from them.
    fn newest() -> Self {
        let built = env::current_exe().unwrap().parent().unwrap().to_owned();
        let files = fs::read_dir(built).unwrap().map(|file| file.unwrap().path());
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("libmesh-") && name.ends_with(".rlib")
        };
        let file = files.filter(is_ours).max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap();
        Self { file, scratch: tempfile::tempdir().unwrap() }
    }

    /// Whether `case` is refused with the words that are written down for it.
    fn check(&self, case: &Path) -> Result<(), String> {
        let said = self.compile(case)?;
        let expected = case.with_extension("stderr");
        if env::var_os("UI").is_some_and(|wish| wish == "overwrite") {
            fs::write(&expected, &said).unwrap();
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if said == wanted { Ok(()) } else { Err(format!("{}\nsays\n{said}\ninstead of\n{wanted}", case.display())) }
    }

    fn compile(&self, case: &Path) -> Result<String, String> {
        let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        // The library knows its sources by their places below this.
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut library = OsString::from("mesh=");
        library.push(&self.file);
        let compiled = Command::new(compiler)
            .current_dir(workspace)
            .args(["--edition=2024", "--crate-type=bin", "--emit=metadata", "--color=never", "--diagnostic-width=140"])
            .arg("--out-dir")
            .arg(self.scratch.path())
            .arg("-L")
            .arg(self.file.parent().unwrap())
            .arg("--extern")
            .arg(library)
            .arg(case.strip_prefix(workspace).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8(compiled.stderr).unwrap().replace("sdk/tests/ui/", "tests/ui/");
        if compiled.status.success() { Err(format!("{} compiles", case.display())) } else { Ok(plain(&said)) }
    }
}

/// What the compiler said, without what changes whenever the library's sources do: line numbers, and room for them.
fn plain(said: &str) -> String {
    let summary = ["error: aborting due to", "Some errors have detailed", "For more information about"];
    let diagnostics = said.split("\n\n").filter(|text| !summary.iter().any(|begin| text.starts_with(begin)));
    let mut shown = String::new();
    for diagnostic in diagnostics {
        for line in Line::all(diagnostic) {
            shown.push_str(&line);
            shown.push('\n');
        }
        shown.push('\n');
    }
    format!("{}\n", shown.trim_end())
}

/// A line of a diagnostic.
enum Line<'a> {
    /// Where what follows is.
    Place(&'a str),
    /// A line of code or what is drawn below it, with its number.
    Code(&'a str, &'a str),
    /// A remark below the code.
    Remark(&'a str),
    /// Anything else.
    Words(&'a str),
}

impl<'a> Line<'a> {
    /// The lines of one diagnostic as they are compared.
    fn all(diagnostic: &'a str) -> Vec<String> {
        let mut in_case = true;
        let mut lines = Vec::new();
        for line in diagnostic.lines().map(Self::of) {
            in_case = match line {
                Line::Place(place) => place.starts_with("tests/ui/"),
                _ => in_case,
            };
            lines.push(match line {
                Line::Place(place) if !in_case => Line::Place(of_library(place)),
                Line::Code(_, code) if !in_case => Line::Code("", code),
                line => line,
            });
        }
        let digits = |line: &Line<'_>| if let Line::Code(number, _) = line { number.len() } else { 1 };
        let width = lines.iter().map(digits).max().unwrap_or(1);
        lines.iter().map(|line| line.shown(width)).collect()
    }

    fn of(line: &'a str) -> Self {
        let text = line.trim_start();
        if let Some(place) = text.strip_prefix("--> ").or_else(|| text.strip_prefix("::: ")) {
            return Self::Place(place);
        }
        let code = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
        match code.trim_start() {
            bar if bar.starts_with('|') => Self::Code(&text[..text.len() - code.len()], bar),
            remark if remark.starts_with("= ") => Self::Remark(remark),
            _ => Self::Words(line),
        }
    }

    fn shown(&self, width: usize) -> String {
        match self {
            Self::Place(place) => format!("{:width$}--> {place}", ""),
            Self::Code(number, code) => format!("{number:>width$} {code}"),
            Self::Remark(remark) => format!("{:width$} {remark}", ""),
            Self::Words(words) => (*words).to_owned(),
        }
    }
}

/// A place in the library: its file alone.
fn of_library(place: &str) -> &str {
    let file = place.split(':').next().unwrap_or_default();
    file.rsplit_once("sdk/").map_or(file, |(_, file)| file)
}
