//! Changing the file: one user at a time, everything else in it left as it is.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use argon2::{Argon2, PasswordHasher};
use toml_edit::{ArrayOfTables, DocumentMut, Item, RawString, Table, value};

use super::UserFile;
use super::read::{malformed, read_text};
use crate::scram::{ITERATIONS, Mechanism, Verifier};
use crate::{AuthError, prepare};

/// Length of salts in bytes.
const SALT_BYTES: usize = 16;

/// How a new file begins.
const NEW_FILE: &str = "\
# Users and rules of Micro MQ.
#
# Users are written by `micro-mq passwd`. Rules are read from top to bottom, the first that matches decides:
#
# [[rule]]
# permission = \"allow\"      # or \"deny\"
# action = \"all\"            # or \"publish\", \"subscribe\"
# topic = \"devices/%c/#\"    # %c: client identifier, %u: user name
";

/// Sets the password of a user, who is added if not there yet: an argon2id hash and a verifier for each SCRAM
/// mechanism. A missing file is created, readable by its owner alone. Comments and rules are kept, the file is replaced
/// in one step, and writers wait for each other.
///
/// It takes some tenths of a second and blocks: it is not for the thread of an actor.
///
/// # Errors
/// [`AuthError::UserName`] and [`AuthError::Password`] if RFC 4013 (SASLprep) does not admit them or they are empty;
/// [`AuthError::Malformed`] if the file has to be mended first; [`AuthError::Read`], [`AuthError::Write`],
/// [`AuthError::Random`] and [`AuthError::Hash`].
pub fn set_password(file: &Path, user: &str, password: &[u8]) -> Result<(), AuthError> {
    let name = prepare::user_name_to_store(user)?;
    let credentials = Credentials::derive(password)?;
    change(file, true, |users| {
        if let Some(user) = users.iter_mut().find(|user| is_user(user, &name)) {
            credentials.write(user);
        } else {
            let mut user = Table::new();
            user.insert("name", value(name));
            credentials.write(&mut user);
            users.push(user);
        }
        Ok(None)
    })
}

/// Removes a user. Rules that name the user stay.
///
/// # Errors
/// [`AuthError::UnknownUser`] if there is no such user; those of [`set_password`] about the file.
pub fn remove_user(file: &Path, user: &str) -> Result<(), AuthError> {
    let unknown = || AuthError::UnknownUser { file: file.to_owned(), user_name: user.to_owned() };
    let name = prepare::user_name(user).ok_or_else(unknown)?;
    change(file, false, |users| {
        let at = users.iter().position(|user| is_user(user, &name)).ok_or_else(unknown)?;
        Ok(Some(users.remove(at)))
    })
}

/// The names of all users, sorted.
///
/// # Errors
/// [`AuthError::Read`] and [`AuthError::Malformed`].
pub fn list_users(file: &Path) -> Result<Vec<String>, AuthError> {
    Ok(UserFile::read(file)?.user_names())
}

/// Reads and checks users and rules, as the provider does at its start.
///
/// # Errors
/// [`AuthError::Read`] and [`AuthError::Malformed`].
pub fn check_file(file: &Path) -> Result<(), AuthError> {
    UserFile::read(file).map(|_| ())
}

/// What is written of a password.
struct Credentials {
    password: String,
    scram_sha_256: String,
    scram_sha_512: String,
}

impl Credentials {
    /// The hash is of the bytes as they are, as a CONNECT carries them; the verifiers are of the prepared text.
    fn derive(password: &[u8]) -> Result<Self, AuthError> {
        let text = prepare::password_to_store(password)?;
        let hash = Argon2::default()
            .hash_password_with_salt(password, &salt()?)
            .map_err(|error| AuthError::Hash { problem: error.to_string() })?;
        let verifier = |mechanism| Ok(Verifier::derive(mechanism, &text, &salt()?, ITERATIONS).to_text());
        Ok(Self {
            password: hash.to_string(),
            scram_sha_256: verifier(Mechanism::Sha256)?,
            scram_sha_512: verifier(Mechanism::Sha512)?,
        })
    }

    fn write(self, user: &mut Table) {
        for (key, text) in [
            ("password", self.password),
            ("scram_sha_256", self.scram_sha_256),
            ("scram_sha_512", self.scram_sha_512),
        ] {
            user[key] = value(text);
        }
    }
}

fn salt() -> Result<[u8; SALT_BYTES], AuthError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(AuthError::Random)?;
    Ok(salt)
}

fn is_user(user: &Table, prepared: &str) -> bool {
    let name = user.get("name").and_then(Item::as_str);
    name.and_then(prepare::user_name).is_some_and(|name| name == prepared)
}

/// Reads, checks, changes, checks again and replaces the file.
fn change(
    file: &Path,
    create: bool,
    edit: impl FnOnce(&mut ArrayOfTables) -> Result<Option<Table>, AuthError>,
) -> Result<(), AuthError> {
    // A symbolic link stays one; what it points to is replaced.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let folder = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let folder = File::open(folder).map_err(|source| AuthError::write(file, source))?;
    // Held until `folder` is closed. A file system without locks has no writers in parallel either.
    match folder.lock() {
        Err(source) if source.kind() != io::ErrorKind::Unsupported => {
            return Err(AuthError::write(file, source));
        }
        _ => {}
    }

    let before = match read_text(file) {
        Ok(text) => text,
        Err(AuthError::Read { source, .. }) if create && source.kind() == io::ErrorKind::NotFound => {
            NEW_FILE.to_owned()
        }
        Err(error) => return Err(error),
    };
    UserFile::parse(file, &before)?;
    let after = edit_users(file, &before, edit)?;
    UserFile::parse(file, &after)?;
    replace(&target, after.as_bytes())
        .and_then(|()| folder.sync_all())
        .map_err(|source| AuthError::write(file, source))
}

/// Changes the users in a text. `edit` gives back the user that it removed, if any.
fn edit_users(
    file: &Path,
    text: &str,
    edit: impl FnOnce(&mut ArrayOfTables) -> Result<Option<Table>, AuthError>,
) -> Result<String, AuthError> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        malformed(file, text, &error.span().unwrap_or(0..0), error.message().to_owned())
    })?;
    // Users may also stand in one line, as `user = [{...}]`; they become tables.
    let mut users =
        document.remove("user").and_then(|users| users.into_array_of_tables().ok()).unwrap_or_default();
    let removed = edit(&mut users)?;
    put_comment_first(&mut document, &mut users);
    if !users.is_empty() {
        document.insert("user", Item::ArrayOfTables(users));
    }
    if let Some(user) = removed {
        keep_comment(&mut document, &user);
    }
    Ok(document.to_string())
}

/// A text of comments alone is about the file: it stays above the first user, and does not end up behind it.
fn put_comment_first(document: &mut DocumentMut, users: &mut ArrayOfTables) {
    if !document.is_empty() {
        return;
    }
    if let Some(first) = users.get_mut(0) {
        let comment = document.trailing().as_str().unwrap_or_default().to_owned();
        if !comment.is_empty() {
            first.decor_mut().set_prefix(format!("{comment}\n"));
            document.set_trailing("");
        }
    }
}

/// Of the comments above a removed user, those set off by an empty line speak of more than that user: they go to the
/// table that follows, or to the end of the file.
fn keep_comment(document: &mut DocumentMut, removed: &Table) {
    let above = removed.decor().prefix().and_then(RawString::as_str).unwrap_or_default();
    let Some((comment, _)) = above.rsplit_once("\n\n") else { return };
    if comment.is_empty() {
        return;
    }
    let next = document
        .as_table_mut()
        .iter_mut()
        .filter_map(|(_, item)| item.as_array_of_tables_mut())
        .flat_map(ArrayOfTables::iter_mut)
        .filter(|table| table.position() > removed.position())
        .min_by_key(|table| table.position());
    if let Some(table) = next {
        let below = table.decor().prefix().and_then(RawString::as_str).unwrap_or_default();
        let both = format!("{comment}\n{below}");
        table.decor_mut().set_prefix(both);
    } else {
        let below = document.trailing().as_str().unwrap_or_default();
        let both = format!("{comment}\n{below}");
        document.set_trailing(both);
    }
}

/// Writes a file beside the target and renames it, so that a reader sees the old one or the new one. The new one has
/// owner and mode of the old one; if there is none, it is for its owner alone.
fn replace(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(target)?;
    let written = write_new(&beside, target, bytes).and_then(|()| fs::rename(&beside, target));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_new(beside: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    match fs::metadata(target) {
        Ok(old) => {
            let own = new.metadata()?;
            if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
                fchown(&new, Some(old.uid()), Some(old.gid()))?;
            }
            new.set_permissions(old.permissions())?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    new.write_all(bytes)?;
    new.sync_all()
}

/// A hidden name in the same folder that nobody else uses.
fn beside(target: &Path) -> io::Result<PathBuf> {
    let mut name = OsString::from(".");
    name.push(target.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{:016x}", getrandom::u64()?));
    Ok(target.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# top of the file
default = \"deny\"

# about all users

# about ann
[[user]]
name = \"ann\" # the first

[[rule]] # a rule
permission = \"allow\"
action = \"all\"
topic = \"a/#\"

[[user]]
name = \"bob\"
# the end
";

    fn remove(text: &str, name: &str) -> String {
        edit_users(Path::new("users.toml"), text, |users| {
            let at = users.iter().position(|user| is_user(user, name)).unwrap();
            Ok(Some(users.remove(at)))
        })
        .unwrap()
    }

    #[test]
    fn removing_a_user_keeps_what_is_said_about_others() {
        assert_eq!(
            remove(FILE, "ann"),
            "\
# top of the file
default = \"deny\"

# about all users

[[rule]] # a rule
permission = \"allow\"
action = \"all\"
topic = \"a/#\"

[[user]]
name = \"bob\"
# the end
"
        );
        assert_eq!(remove("# head\n\n[[user]]\nname = \"ann\"\n", "ann"), "# head\n");
    }

    #[test]
    fn a_new_user_follows_the_last_and_nothing_else_changes() {
        let added = edit_users(Path::new("users.toml"), FILE, |users| {
            let mut user = Table::new();
            user.insert("name", value("cyd"));
            users.push(user);
            Ok(None)
        })
        .unwrap();
        assert_eq!(added, FILE.replace("# the end", "\n[[user]]\nname = \"cyd\"\n# the end"));
    }

    #[test]
    fn the_first_user_follows_what_is_said_about_the_file() {
        let added = edit_users(Path::new("users.toml"), NEW_FILE, |users| {
            let mut user = Table::new();
            user.insert("name", value("ann"));
            users.push(user);
            Ok(None)
        })
        .unwrap();
        assert_eq!(added, format!("{NEW_FILE}\n[[user]]\nname = \"ann\"\n"));
    }

    #[test]
    fn users_in_one_line_become_tables() {
        let text = "user = [{ name = \"ann\" }, { name = \"bob\" }]\n";
        assert_eq!(remove(text, "ann").trim_start(), "[[user]]\nname = \"bob\"\n");
    }
}
