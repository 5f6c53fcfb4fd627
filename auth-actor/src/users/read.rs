//! From TOML to a checked [`UserFile`]. Each error names the line; none repeats a hash, which may be a password that
//! somebody put in its place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{fs, io};

use argon2::{ARGON2ID_IDENT, Params, PasswordHash, Version};
use serde::Deserialize;
use toml::Spanned;
use tracing::{info, warn};

use super::decoys::Models;
use super::{User, UserFile};
use crate::rules::{Actions, Pattern, Permission, Rule, Rules};
use crate::scram::{Mechanism, Verifier};
use crate::{AuthError, prepare};

/// Most memory that one verification may ask for, in KiB: the threads' number times this is what a login storm costs.
const MEMORY_KIB_MAX: u32 = 256 * 1024;

/// Most passes over that memory.
const PASSES_MAX: u32 = 16;

/// Most lanes; they run one after the other.
const LANES_MAX: u32 = 16;

/// What stands in the file, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    default: Option<Permission>,
    #[serde(default)]
    user: Vec<UserText>,
    #[serde(default)]
    rule: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserText {
    name: Spanned<String>,
    password: Option<Spanned<String>>,
    scram_sha_256: Option<Spanned<String>>,
    scram_sha_512: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    permission: Permission,
    action: Actions,
    topic: Spanned<String>,
    user: Option<Spanned<String>>,
    client: Option<String>,
}

impl UserFile {
    /// Reads and checks a file. A file that everybody on the machine may read is worth a warning.
    ///
    /// # Errors
    /// [`AuthError::Read`] and [`AuthError::Malformed`].
    pub(crate) fn read(file: &Path) -> Result<Self, AuthError> {
        let text = read_text(file)?;
        let checked = Self::parse(file, &text)?;
        if fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
            warn!(file = %file.display(), "the file of users can be read by every user of this machine");
        }
        info!(
            file = %file.display(),
            users = checked.users.len(),
            rules = checked.rule_count,
            "users and rules were read"
        );
        Ok(checked)
    }

    /// Checks a text; `file` is for the errors.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, AuthError> {
        let wrong = |span: Range<usize>, problem| malformed(file, text, &span, problem);
        let written: FileText = toml::from_str(text)
            .map_err(|error| wrong(error.span().unwrap_or(0..0), error.message().to_owned()))?;

        let mut models = Models::default();
        let mut users = HashMap::with_capacity(written.user.len());
        for user in &written.user {
            let name = prepare::user_name_to_store(user.name.get_ref())
                .map_err(|error| wrong(user.name.span(), error.to_string()))?;
            let key = |key: &str, text: &Option<Spanned<String>>, problem: String| {
                let span = text.as_ref().map_or(0..0, Spanned::span);
                wrong(span, format!("{key} of user {name:?} {problem}"))
            };
            let entry = match users.entry(name.clone()) {
                Entry::Vacant(entry) => entry,
                Entry::Occupied(_) => {
                    return Err(wrong(user.name.span(), format!("user {name:?} is there twice")));
                }
            };
            let checked = User {
                password: read_with(&user.password, password_hash)
                    .map_err(|problem| key("password", &user.password, problem))?,
                scram_sha_256: read_with(&user.scram_sha_256, |text| verifier(Mechanism::Sha256, text))
                    .map_err(|problem| key("scram_sha_256", &user.scram_sha_256, problem))?,
                scram_sha_512: read_with(&user.scram_sha_512, |text| verifier(Mechanism::Sha512, text))
                    .map_err(|problem| key("scram_sha_512", &user.scram_sha_512, problem))?,
            };
            models.consider(&checked);
            entry.insert(checked);
        }

        let mut rules = Vec::with_capacity(written.rule.len());
        for rule in written.rule {
            rules.push(Rule {
                permission: rule.permission,
                actions: rule.action,
                pattern: Pattern::parse(rule.topic.get_ref()).map_err(|error| {
                    wrong(rule.topic.span(), format!("topic {:?} {error}", rule.topic.get_ref()))
                })?,
                user: match rule.user {
                    None => None,
                    Some(name) => Some(
                        prepare::user_name_to_store(name.get_ref())
                            .map_err(|error| wrong(name.span(), error.to_string()))?,
                    ),
                },
                client: rule.client,
            });
        }

        let (rule_count, rules) = (rules.len(), Rules::new(rules, written.default));
        Ok(Self { users, rules, rule_count, decoys: models.into_decoys()? })
    }

    /// The prepared names of all users, sorted.
    pub(super) fn user_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.users.keys().cloned().collect();
        names.sort_unstable();
        names
    }
}

/// The text of a file, without judging it.
pub(super) fn read_text(file: &Path) -> Result<String, AuthError> {
    let bytes = fs::read(file).map_err(|source| AuthError::read(file, source))?;
    String::from_utf8(bytes).map_err(|error| {
        AuthError::read(file, io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    })
}

/// The error for a place in the text.
pub(super) fn malformed(file: &Path, text: &str, span: &Range<usize>, problem: String) -> AuthError {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    // A parser's text may have several lines; an error has one.
    AuthError::Malformed { file: file.to_owned(), line, problem: problem.replace('\n', ", ") }
}

fn read_with<T>(
    text: &Option<Spanned<String>>,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    text.as_ref().map(|text| read(text.get_ref())).transpose()
}

fn verifier(mechanism: Mechanism, text: &str) -> Result<Verifier, String> {
    Verifier::parse(mechanism, text).map_err(|error| error.to_string())
}

/// Reads `$argon2id$v=19$m=..,t=..,p=..$salt$hash` within the limits above.
fn password_hash(text: &str) -> Result<PasswordHash, String> {
    const FORM: &str = "is not an argon2id hash ($argon2id$v=19$...)";
    let hash = PasswordHash::new(text).map_err(|_| FORM)?;
    if hash.algorithm != ARGON2ID_IDENT || hash.salt.is_none() || hash.hash.is_none() {
        return Err(FORM.to_owned());
    }
    if hash.version != Some(Version::V0x13.into()) {
        return Err("is not of version 19 of argon2id".to_owned());
    }
    let params = Params::try_from(&hash).map_err(|error| format!("has wrong parameters: {error}"))?;
    for (name, value, max) in [
        ("m", params.m_cost(), MEMORY_KIB_MAX),
        ("t", params.t_cost(), PASSES_MAX),
        ("p", params.p_cost(), LANES_MAX),
    ] {
        if value > max {
            return Err(format!("has {name}={value}, more than {max}"));
        }
    }
    Ok(hash)
}
