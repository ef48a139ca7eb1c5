//! Connection options in the environment variable that `ovn-nbctl` reads (ovn-nbctl(8),
//! "Environment").

use std::path::PathBuf;

use crate::connection::{OptionError, Origin};

/// Options for `ovn-nbctl`, "in the same format as on the command line".
pub(crate) const NBCTL_OPTIONS: &str = "OVN_NBCTL_OPTIONS";

/// The options that concern the connection; all others are for `ovn-nbctl` only.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct NbctlOptions {
    pub(crate) db: Option<String>,
    pub(crate) private_key: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) ca_cert: Option<PathBuf>,
    pub(crate) leader_only: Option<bool>,
}

impl NbctlOptions {
    /// Reads the variable.
    pub(crate) fn from_environment() -> Result<Self, OptionError> {
        Self::parse(&std::env::var(NBCTL_OPTIONS).unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, OptionError> {
        let mut options = Self::default();
        let mut words = words(text).into_iter();
        while let Some(word) = words.next() {
            let (option, attached) = split(&word);
            let name = match option {
                "--db" => "--db",
                "-p" | "--private-key" => "--private-key",
                "-c" | "--certificate" => "--certificate",
                "-C" | "--ca-cert" => "--ca-cert",
                "--leader-only" | "--no-leader-only" => {
                    options.leader_only = Some(option == "--leader-only");
                    continue;
                }
                _ => continue,
            };
            let value = attached.map(str::to_owned).or_else(|| words.next());
            let value = value.ok_or(OptionError::NoValue(Origin::Variable(name)))?;
            match name {
                "--db" => options.db = Some(value),
                "--private-key" => options.private_key = Some(value.into()),
                "--certificate" => options.certificate = Some(value.into()),
                _ => options.ca_cert = Some(value.into()),
            }
        }
        Ok(options)
    }
}

/// An option with its value attached: `--db=VALUE`, `-pVALUE`.
fn split(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word, None),
        };
    }
    match word.split_at_checked(2) {
        Some((option, value)) if !value.is_empty() => (option, Some(value)),
        _ => (word, None),
    }
}

/// Splits a text at blanks, honouring quotes and backslashes as a shell does.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    // `None` between words: a pair of empty quotes is a word.
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (character, Some(open)) if character == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(characters.next()),
            (character, None) if character.is_ascii_whitespace() => words.extend(word.take()),
            (character, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_a_shell_and_getopt_would() {
        let options = NbctlOptions::parse(
            r#" --timeout 5 -p '/a b/key' -c/cert --ca-cert="/c a/\"ca" --db ssl:[::1]:6641 -v
                --oneline --leader-only --no-leader-only --private-key=/other\ key "#,
        );
        let expected = NbctlOptions {
            db: Some("ssl:[::1]:6641".to_owned()),
            private_key: Some("/other key".into()),
            certificate: Some("/cert".into()),
            ca_cert: Some("/c a/\"ca".into()),
            leader_only: Some(false),
        };
        assert_eq!(options.expect("options"), expected);
        assert_eq!(
            NbctlOptions::parse("").expect("none"),
            NbctlOptions::default()
        );
        assert_eq!(words(r"'' a\'b '\'"), ["", "a'b", r"\"]);
        let error = NbctlOptions::parse("-C").expect_err("no value");
        assert_eq!(
            error.to_string(),
            "--ca-cert in OVN_NBCTL_OPTIONS: the option needs a value"
        );
    }
}
