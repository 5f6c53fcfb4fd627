//! Rules of a file.

use auth_actor::{Action, Authorize, Policy};

use crate::harness::{CLIENT, TestAuth};

fn rule(permission: &str, action: &str, topic: &str) -> String {
    format!("[[rule]]\npermission = {permission:?}\naction = {action:?}\ntopic = {topic:?}\n")
}

#[actix::test]
async fn the_first_rule_that_matches_decides() {
    let auth = TestAuth::with_file(
        &[
            rule("deny", "publish", "a/locked"),
            rule("allow", "all", "a/#"),
            rule("deny", "all", "a/late"),
            rule("allow", "subscribe", "b/+"),
        ]
        .concat(),
    );
    assert_eq!(auth.policy, Policy { authenticates: true, authorizes: true });
    assert!(!auth.may(Action::Publish, "a/locked").await);
    assert!(auth.may(Action::Subscribe, "a/locked").await);
    assert!(auth.may(Action::Publish, "a/late").await);
    assert!(auth.may(Action::Subscribe, "b/+").await);
    assert!(!auth.may(Action::Subscribe, "b/#").await);
    assert!(!auth.may(Action::Publish, "b/x").await);
    assert!(!auth.may(Action::Publish, "elsewhere").await);
}

#[actix::test]
async fn the_default_counts_where_no_rule_matches() {
    let open = TestAuth::with_file(&format!("default = \"allow\"\n{}", rule("deny", "all", "secret/#")));
    assert!(open.policy.authorizes);
    assert!(open.may(Action::Publish, "a").await);
    assert!(!open.may(Action::Publish, "secret/plan").await);
    assert!(!open.may(Action::Subscribe, "#").await);

    let closed = TestAuth::with_file("default = \"deny\"\n");
    assert!(closed.policy.authorizes);
    assert!(!closed.may(Action::Publish, "a").await);

    let empty = TestAuth::with_file("");
    assert_eq!(empty.policy, Policy { authenticates: true, authorizes: false });
    assert!(empty.may(Action::Publish, "a").await);
}

#[actix::test]
async fn rules_for_one_user_or_client() {
    let auth = TestAuth::with_file(&format!(
        "{}user = \"ann\"\n{}user = \"bob\"\n{}client = {CLIENT:?}\n{}client = \"other\"\n",
        rule("allow", "all", "of/ann"),
        rule("allow", "all", "of/bob"),
        rule("allow", "all", "at/meter"),
        rule("allow", "all", "at/other"),
    ));
    assert!(auth.may(Action::Publish, "of/ann").await);
    assert!(!auth.may(Action::Publish, "of/bob").await);
    assert!(auth.may(Action::Publish, "at/meter").await);
    assert!(!auth.may(Action::Publish, "at/other").await);
}

#[actix::test]
async fn each_question_has_its_answer_in_order() {
    let auth = TestAuth::with_file(
        &[rule("allow", "all", "devices/%c/#"), rule("allow", "publish", "to/%u")].concat(),
    );
    let ask = |client: &str, user: Option<&str>| Authorize {
        client_identifier: client.to_owned(),
        user_name: user.map(str::to_owned),
        grant: None,
        wishes: [
            (Action::Publish, "devices/meter-1/state"),
            (Action::Publish, "to/ann"),
            (Action::Subscribe, "devices/meter-1/#"),
            (Action::Subscribe, "devices/+/state"),
        ]
        .map(|(action, topic)| (action, topic.to_owned()))
        .into(),
    };
    assert_eq!(auth.ask(ask("meter-1", Some("ann"))).await.verdicts, [true, true, true, false]);
    assert_eq!(auth.ask(ask("meter-2", Some("ann"))).await.verdicts, [false, true, false, false]);
    assert_eq!(auth.ask(ask("meter-1", None)).await.verdicts, [true, false, true, false]);
    // Names that would be wildcards or more than one level stand for nothing.
    assert_eq!(auth.ask(ask("+", Some("#"))).await.verdicts, [false; 4]);
    assert_eq!(auth.ask(ask("meter-1/state", Some("+"))).await.verdicts, [false; 4]);
    assert_eq!(auth.ask(Authorize { wishes: [].into(), ..ask("+", None) }).await.verdicts, [false; 0]);
}
