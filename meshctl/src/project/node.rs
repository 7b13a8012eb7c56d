//! TypeScript and JavaScript agents: Node, and the SDK in `node_modules`.

use std::path::Path;

use anyhow::bail;

use super::tool;

/// The package of the SDK.
const SDK: &str = "@mcpmesh/sdk";

/// How a TypeScript file is run.
///
/// # Errors
/// What is missing, and the command that brings it.
pub(super) async fn typescript(entry: &Path) -> anyhow::Result<Vec<String>> {
    let Some(npx) = tool::find("npx") else { bail!(no_node(entry, "npx")) };
    has_sdk(entry)?;
    Ok(vec![npx.to_string_lossy().into_owned(), "tsx".into(), entry.to_string_lossy().into_owned()])
}

/// How a JavaScript file is run.
///
/// # Errors
/// What is missing, and the command that brings it.
pub(super) async fn javascript(entry: &Path) -> anyhow::Result<Vec<String>> {
    let Some(node) = tool::find("node") else { bail!(no_node(entry, "node")) };
    has_sdk(entry)?;
    Ok(vec![node.to_string_lossy().into_owned(), entry.to_string_lossy().into_owned()])
}

fn no_node(entry: &Path, program: &str) -> String {
    format!("{} needs Node, and there is no {program} on the path:\n  apt-get install nodejs npm", entry.display())
}

/// Whether the SDK is in a `node_modules` where Node looks for it.
fn has_sdk(entry: &Path) -> anyhow::Result<()> {
    if entry.ancestors().skip(1).any(|folder| folder.join("node_modules").join(SDK).is_dir()) {
        return Ok(());
    }
    let package = entry.ancestors().skip(1).find(|folder| folder.join("package.json").is_file());
    let (folder, command) = match package {
        Some(folder) => (folder, "npm install".to_owned()),
        None => (entry.parent().unwrap_or(entry), format!("npm install {SDK} tsx")),
    };
    bail!("{} needs {SDK}, which is not installed:\n  cd {} && {command}", entry.display(), folder.display())
}
