//! User names and passwords of a file.

use auth_actor::{Action, AuthenticationOutcome, HASH_QUEUE_MAX, Outcome, Policy, QuestionKind, Refusal};

use crate::harness::{TestAuth, WRONG, allowed, argon2id, login, user, within};

#[actix::test]
async fn only_the_right_password_of_a_known_user_is_allowed() {
    let auth = TestAuth::with_file(&user("ann", "right"));
    assert_eq!(auth.policy, Policy { authenticates: true, authorizes: false });
    assert_eq!(auth.log_in("ann", "right").await, allowed("ann"));
    assert_eq!(auth.log_in("ann", "Right").await, WRONG);
    assert_eq!(auth.log_in("ann", "").await, WRONG);
    assert_eq!(auth.log_in("bob", "right").await, WRONG);
    assert_eq!(auth.log_in("", "right").await, WRONG);
    assert_eq!(auth.log_in("ann\u{7}", "right").await, WRONG);
}

#[actix::test]
async fn a_missing_user_name_or_password_is_refused() {
    let auth = TestAuth::with_file(&user("ann", "right"));
    let refused = AuthenticationOutcome::Refused;
    assert_eq!(auth.ask(login(None, None)).await, refused(Refusal::NotAuthorized));
    assert_eq!(auth.ask(login(None, Some("right"))).await, refused(Refusal::NotAuthorized));
    assert_eq!(auth.ask(login(Some("ann"), None)).await, WRONG);
}

#[actix::test]
async fn a_user_without_a_password_hash_cannot_log_in_with_a_password() {
    let auth = TestAuth::with_file("[[user]]\nname = \"ann\"\n");
    assert_eq!(auth.log_in("ann", "").await, WRONG);
    assert_eq!(auth.log_in("ann", "right").await, WRONG);
}

/// SASLprep: the fullwidth letters are the same name.
#[actix::test]
async fn a_user_name_is_found_in_any_of_its_forms() {
    let auth = TestAuth::with_file(&user("ann", "right"));
    assert_eq!(auth.log_in("\u{ff41}\u{ff4e}\u{ff4e}", "right").await, allowed("ann"));
}

#[actix::test]
async fn the_actor_answers_while_passwords_are_verified() {
    let slow = format!("[[user]]\nname = \"ann\"\npassword = \"{}\"\n", argon2id("right", 64 * 1024, 2));
    let auth = TestAuth::with_file(&slow);
    let logins: Vec<_> =
        (0..6).map(|_| actix::spawn(auth.try_to_ask(login(Some("ann"), Some("right"))))).collect();
    while auth.asking.waiting() < 6 {
        actix::clock::sleep(std::time::Duration::from_millis(1)).await;
    }
    // Had the actor's thread verified them, none would wait by now.
    assert!(auth.may(Action::Publish, "a").await);
    assert!(auth.asking.waiting() > 0);
    for login in logins {
        assert_eq!(within(login).await.unwrap().unwrap().answer, allowed("ann"));
    }
    assert_eq!((auth.count(QuestionKind::Login, Outcome::Allowed), auth.asking.waiting()), (6, 0));
}

#[actix::test]
async fn beyond_the_queue_a_client_is_told_to_come_again() {
    let slow = format!("[[user]]\nname = \"ann\"\npassword = \"{}\"\n", argon2id("right", 1024, 2));
    let auth = TestAuth::with_file(&slow);
    let more = HASH_QUEUE_MAX * 4;
    let logins: Vec<_> =
        (0..more).map(|_| actix::spawn(auth.try_to_ask(login(Some("ann"), Some("right"))))).collect();
    let mut unavailable = 0;
    for login in logins {
        match within(login).await.unwrap().unwrap().answer {
            AuthenticationOutcome::Allowed(_) => {}
            AuthenticationOutcome::Refused(Refusal::Unavailable) => unavailable += 1,
            other => panic!("{other:?}"),
        }
    }
    // What fits into the queue is answered.
    assert!(unavailable > 0 && unavailable <= more - HASH_QUEUE_MAX, "{unavailable}");
    assert_eq!(auth.count(QuestionKind::Login, Outcome::Unavailable), unavailable as u64);
    assert_eq!(auth.count(QuestionKind::Login, Outcome::Allowed), (more - unavailable) as u64);
    assert_eq!(auth.log_in("ann", "right").await, allowed("ann"));
}

#[actix::test]
async fn a_reload_replaces_users_and_rules() {
    let auth = TestAuth::with_file(&user("ann", "old"));
    assert!(!auth.live.current().authorizes);
    let before = auth.live.revision();

    let rules = "[[rule]]\npermission = \"allow\"\naction = \"all\"\ntopic = \"a/#\"\n";
    std::fs::write(auth.file(), user("ann", "new") + rules).unwrap();
    assert_eq!(auth.log_in("ann", "old").await, allowed("ann"));
    auth.reload().await.unwrap();
    assert_eq!(auth.log_in("ann", "old").await, WRONG);
    assert_eq!(auth.log_in("ann", "new").await, allowed("ann"));
    assert!(auth.live.current().authorizes);
    assert_eq!(auth.live.revision(), before + 1);
}

#[actix::test]
async fn a_reload_of_a_broken_file_changes_nothing() {
    let auth = TestAuth::with_file(&user("ann", "right"));
    std::fs::write(auth.file(), "[[user]]\nname = 1\n").unwrap();
    let error = auth.reload().await.unwrap_err();
    assert!(error.to_string().contains("users.toml: line 2: "), "{error}");
    assert_eq!(auth.log_in("ann", "right").await, allowed("ann"));
    assert_eq!(auth.live.revision(), 0);
}
