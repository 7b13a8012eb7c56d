//! Java agents: a JDK, and Maven for what is not an archive yet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{anyhow, bail};

use super::tool;

/// The oldest Java that the SDK runs on.
const OLDEST: u32 = 17;

/// How long Maven may take to compile; it may have to fetch what it needs first.
const COMPILING: Duration = Duration::from_secs(300);

/// How the project with this `pom.xml` is run.
///
/// # Errors
/// What is missing, and the command that brings it.
pub(super) async fn maven(pom: &Path) -> anyhow::Result<Vec<String>> {
    java(pom).await?;
    let maven = maven_program(pom)?;
    Ok(vec![maven.to_string_lossy().into_owned(), "spring-boot:run".into(), "-q".into()])
}

/// How this archive is run.
///
/// # Errors
/// What is missing, and the command that brings it.
pub(super) async fn archive(jar: &Path) -> anyhow::Result<Vec<String>> {
    let java = java(jar).await?;
    Ok(vec![java.to_string_lossy().into_owned(), "-jar".into(), jar.to_string_lossy().into_owned()])
}

/// Compiles the project with this `pom.xml`.
///
/// # Errors
/// What the compiler said.
pub(super) async fn check(pom: &Path) -> anyhow::Result<()> {
    let maven = maven_program(pom)?;
    let output = tool::run(&maven, &["compile", "-q"], pom.parent().unwrap_or(pom), COMPILING).await?;
    if output.status.success() {
        return Ok(());
    }
    Err(anyhow!("{}", String::from_utf8_lossy(&output.stdout).trim()))
}

fn maven_program(pom: &Path) -> anyhow::Result<PathBuf> {
    tool::find("mvn").ok_or_else(|| {
        anyhow!("{} needs Maven, and there is no mvn on the path:\n  apt-get install maven", pom.display())
    })
}

async fn java(entry: &Path) -> anyhow::Result<PathBuf> {
    const INSTALL: &str = "apt-get install openjdk-17-jdk";
    let entry = entry.display();
    let Some(java) = tool::find("java") else {
        bail!("{entry} needs Java {OLDEST} or later, and there is no java on the path:\n  {INSTALL}");
    };
    let said = tool::says(&java, &["-version"]).await.unwrap_or_default();
    match version(&said) {
        Some(version) if version >= OLDEST => Ok(java),
        Some(version) => {
            bail!("{} is Java {version}, and {entry} needs {OLDEST} or later:\n  {INSTALL}", java.display())
        }
        None => bail!("{} -version does not say a version; {entry} needs Java {OLDEST}:\n  {INSTALL}", java.display()),
    }
}

/// The major version in `openjdk version "17.0.9" …`; before 9 it was the second number.
fn version(said: &str) -> Option<u32> {
    let quoted = said.split('"').nth(1)?;
    let mut numbers = quoted.split(['.', '-', '+', '_']).map_while(|number| number.parse::<u32>().ok());
    match numbers.next()? {
        1 => numbers.next(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_of_java_is_its_major_number() {
        assert_eq!(version("openjdk version \"17.0.9\" 2023-10-17\n"), Some(17));
        assert_eq!(version("java version \"1.8.0_292\""), Some(8));
        assert_eq!(version("openjdk version \"21-ea\""), Some(21));
        assert_eq!(version("nothing"), None);
    }
}
