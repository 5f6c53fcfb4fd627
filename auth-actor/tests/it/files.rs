//! The file of users: what is wrong in it, and how it is written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use auth_actor::{AuthError, Provider, list_users, remove_user, set_password};

use crate::harness::{TestAuth, WRONG, allowed, argon2id, file_settings, user};

/// The error for a file with this text, without the folder.
#[track_caller]
fn check(text: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.toml");
    fs::write(&file, text).unwrap();
    let error = Provider::from_settings(&file_settings(file)).unwrap_err();
    assert!(matches!(error, AuthError::Malformed { .. }));
    let expected = format!("{}/{expected}", folder.path().display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn errors_name_file_and_line() {
    check("default = \"maybe\"\n", "users.toml: line 1: unknown variant `maybe`, expected `allow` or `deny`");
    check(
        "\n\n[[user]]\nname = \"ann\"\npasswort = \"x\"\n",
        "users.toml: line 5: unknown field `passwort`, expected one of `name`, `password`, `scram_sha_256`, `scram_sha_512`",
    );
    check("[[user]]\nname = \"\"\n", "users.toml: line 2: user name \"\" is empty");
    check(
        "[[user]]\nname = \"ann\"\n[[user]]\nname = \"\u{ff41}nn\"\n",
        "users.toml: line 4: user \"ann\" is there twice",
    );
    check(
        "[[user]]\nname = \"a\\u0007\"\n",
        "users.toml: line 2: user name \"a\\u{7}\" holds characters that RFC 4013 (SASLprep) does not admit",
    );
    check(
        "[[rule]]\npermission = \"allow\"\naction = \"all\"\ntopic = \"a/#/b\"\n",
        "users.toml: line 4: topic \"a/#/b\" # is not alone in the last level [MQTT-4.7.1-1]",
    );
    check(
        "[[rule]]\npermission = \"allow\"\naction = \"read\"\ntopic = \"a\"\n",
        "users.toml: line 3: unknown variant `read`, expected one of `publish`, `subscribe`, `all`",
    );
    check("[[rule]]\npermission = \"allow\"\ntopic = \"a\"\n", "users.toml: line 1: missing field `action`");
}

#[test]
fn errors_never_repeat_what_stands_in_place_of_a_hash() {
    let password = |text: &str| format!("[[user]]\nname = \"ann\"\npassword = \"{text}\"\n");
    check(
        &password("open sesame"),
        "users.toml: line 3: password of user \"ann\" is not an argon2id hash ($argon2id$v=19$...)",
    );
    check(
        &password(&argon2id("x", 8, 1).replace("argon2id", "argon2i")),
        "users.toml: line 3: password of user \"ann\" is not an argon2id hash ($argon2id$v=19$...)",
    );
    check(
        &password(&argon2id("x", 8, 1).replace("m=8", "m=4000000")),
        "users.toml: line 3: password of user \"ann\" has m=4000000, more than 262144",
    );
    check(
        "[[user]]\nname = \"ann\"\nscram_sha_256 = \"open sesame\"\n",
        "users.toml: line 3: scram_sha_256 of user \"ann\" is not of the form SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey",
    );
}

#[test]
fn a_missing_file_is_an_error_with_its_cause() {
    let error = Provider::from_settings(&file_settings("/nonexistent/users.toml".into())).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/users.toml: cannot be read");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("No such file"), "{cause}");
}

#[actix::test]
async fn a_password_that_was_set_is_the_one_that_counts() {
    let auth = TestAuth::with_file("");
    let file = auth.file();
    fs::remove_file(&file).unwrap();
    set_password(&file, "ann", b"first").unwrap();
    set_password(&file, "bob", b"other").unwrap();
    set_password(&file, "ann", b"second").unwrap();
    assert_eq!(list_users(&file).unwrap(), ["ann", "bob"]);
    auth.reload().await.unwrap();
    assert_eq!(auth.log_in("ann", "first").await, WRONG);
    assert_eq!(auth.log_in("ann", "second").await, allowed("ann"));
    assert_eq!(auth.log_in("bob", "other").await, allowed("bob"));

    remove_user(&file, "ann").unwrap();
    assert_eq!(list_users(&file).unwrap(), ["bob"]);
    auth.reload().await.unwrap();
    assert_eq!(auth.log_in("ann", "second").await, WRONG);
}

#[test]
fn a_file_is_for_its_owner_alone_and_holds_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.toml");
    set_password(&file, "ann", b"open sesame").unwrap();
    assert_eq!(mode(&file), 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        !text.contains("sesame") && text.contains("$argon2id$") && text.contains("SCRAM-SHA-512$"),
        "{text}"
    );
    // Nothing but the file is left behind.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn comments_rules_mode_and_links_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("real.toml"), folder.path().join("users.toml"));
    let head = "# ours\ndefault = \"deny\" # really\n\n";
    let tail =
        "\n# what all may do\n[[rule]]\npermission = \"allow\"\naction = \"all\"\ntopic = \"a/#\" # only a\n";
    fs::write(&file, format!("{head}{}{tail}", user("ann", "old"))).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&file, &link).unwrap();

    set_password(&link, "ann", b"new").unwrap();
    set_password(&link, "bob", b"new").unwrap();
    remove_user(&link, "ann").unwrap();

    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(head) && text.ends_with(tail), "{text}");
    assert_eq!(list_users(&link).unwrap(), ["bob"]);
    assert_eq!(mode(&file), 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_broken_file_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.toml");
    fs::write(&file, "[[user]]\nname = \"ann\"\nold = 1\n").unwrap();
    assert!(matches!(set_password(&file, "bob", b"x"), Err(AuthError::Malformed { line: 3, .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "[[user]]\nname = \"ann\"\nold = 1\n");
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.toml");
    assert!(matches!(set_password(&file, "", b"x"), Err(AuthError::UserName { .. })));
    assert!(matches!(set_password(&file, "a\u{7}", b"x"), Err(AuthError::UserName { .. })));
    assert!(matches!(set_password(&file, "ann", b""), Err(AuthError::Password { .. })));
    assert!(matches!(set_password(&file, "ann", b"\xff"), Err(AuthError::Password { .. })));
    assert!(!file.exists());
    assert!(matches!(remove_user(&file, "ann"), Err(AuthError::Read { .. })));
    fs::write(&file, user("ann", "x")).unwrap();
    assert!(matches!(remove_user(&file, "bob"), Err(AuthError::UnknownUser { .. })));
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}
