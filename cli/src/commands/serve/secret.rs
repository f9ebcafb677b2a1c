//! Secrets: fetched from where the policy says they are. Errors name the field and the place, never the value.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, bail};
use leeward_policies::SecretRef;
use secrecy::SecretString;
use tokio::{io::AsyncReadExt, process::Command, time::timeout};

/// How long a command may take to print a secret; past it the role does not start.
const COMMAND_WAIT_MAX: Duration = Duration::from_secs(15);

/// Most bytes of a secret, a bundle of authorities among them; a longer one is refused.
const SECRET_BYTES_MAX: usize = 4 << 20;

/// Fetches a secret; `field` is what the policy calls it.
///
/// # Errors
///
/// Names the field and the place.
pub(super) async fn resolve(field: &str, secret: &SecretRef) -> anyhow::Result<SecretString> {
    let text = match secret {
        SecretRef::FromEnv(name) => std::env::var(name)
            .map_err(|_| anyhow::anyhow!("`{field}`: environment variable `{name}` is not set"))?,
        SecretRef::FromFile(path) => {
            read_file(path).await.with_context(|| format!("`{field}`: file `{path}` cannot be read"))?
        }
        SecretRef::FromExec(words) => {
            let program = words.first().map_or("", String::as_str);
            let printed = timeout(COMMAND_WAIT_MAX, run(words))
                .await
                .unwrap_or_else(|_| bail!("it took longer than {} s", COMMAND_WAIT_MAX.as_secs()));
            printed.with_context(|| format!("`{field}`: command `{program}` printed no secret"))?
        }
        SecretRef::InClear(clear) => clear.reveal().to_owned(),
    };
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        bail!("`{field}`: the secret is empty");
    }
    Ok(text.to_owned().into())
}

async fn read_file(path: &str) -> anyhow::Result<String> {
    read(tokio::fs::File::open(path).await?).await
}

async fn read(source: impl AsyncReadExt + Unpin) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    source.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > SECRET_BYTES_MAX {
        bail!("it is longer than {SECRET_BYTES_MAX} bytes");
    }
    // The error of a conversion would carry the bytes.
    String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("it is not UTF-8"))
}

async fn run(words: &[String]) -> anyhow::Result<String> {
    let (program, arguments) = words.split_first().context("no program is named")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take().context("its output is not there")?;
    let text = read(output).await?;
    let status = child.wait().await?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn a_file_gives_its_content_without_the_last_line_break() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), "hunter2\n").expect("written");
        let secret = SecretRef::FromFile(file.path().to_string_lossy().into_owned());

        let found = resolve("sasl.password", &secret).await.expect("there");

        assert_eq!(found.expose_secret(), "hunter2");
    }

    #[tokio::test]
    async fn a_command_that_fails_is_named_and_its_output_is_not() {
        let words = ["sh", "-c", "echo hunter2; exit 3"].map(str::to_owned).to_vec();

        let refused = resolve("sasl.password", &SecretRef::FromExec(words)).await.expect_err("exit 3");

        let said = format!("{refused:#}");
        assert!(said.contains("`sasl.password`: command `sh`") && said.contains('3'), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[tokio::test]
    async fn a_variable_that_is_not_set_is_named() {
        let secret = SecretRef::FromEnv("LEEWARD_TEST_IS_NOT_SET".to_owned());

        let refused = resolve("tsig.secret", &secret).await.expect_err("not set");

        assert_eq!(
            refused.to_string(),
            "`tsig.secret`: environment variable `LEEWARD_TEST_IS_NOT_SET` is not set"
        );
    }
}
