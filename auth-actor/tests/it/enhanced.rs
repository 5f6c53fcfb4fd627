//! Enhanced authentication [MQTT-4.12] with SCRAM.

use auth_actor::{BeginExchange, ContinueExchange, Exchange, ExchangeOutcome, Identity, Refusal};

use crate::harness::{CLIENT, TestAuth, user};
use crate::scram_client::{ScramClient, ServerFirst};

const METHODS: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

fn begin(method: &str, data: Option<Vec<u8>>, reauthenticate: Option<&str>) -> BeginExchange {
    BeginExchange {
        client_identifier: CLIENT.to_owned(),
        method: method.to_owned(),
        data,
        reauthenticate: reauthenticate.map(Identity::named),
    }
}

#[track_caller]
fn continued(outcome: ExchangeOutcome) -> (Exchange, Vec<u8>) {
    match outcome {
        ExchangeOutcome::Continue { exchange, data } => (exchange, data),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(outcome: ExchangeOutcome) -> Refusal {
    match outcome {
        ExchangeOutcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn success(outcome: ExchangeOutcome) -> (Option<String>, Vec<u8>) {
    match outcome {
        ExchangeOutcome::Success { identity, data } => (identity.user_name, data),
        other => panic!("{other:?}"),
    }
}

/// All steps of one client.
async fn run(
    auth: &TestAuth,
    method: &'static str,
    name: &str,
    password: &str,
    again: Option<&str>,
) -> ExchangeOutcome {
    let client = ScramClient::new(method, name, password);
    let (exchange, challenge) = continued(auth.ask(begin(method, Some(client.first()), again)).await);
    let data = Some(client.last(&challenge).0);
    auth.ask(ContinueExchange { exchange, data }).await
}

#[actix::test]
async fn both_sides_prove_that_they_know_the_password() {
    let auth = TestAuth::with_file(&user("ann,=", "pencil"));
    for method in METHODS {
        let client = ScramClient::new(method, "ann,=", "pencil");
        let (exchange, challenge) = continued(auth.ask(begin(method, Some(client.first()), None)).await);
        let (last, expected) = client.last(&challenge);
        let outcome = auth.ask(ContinueExchange { exchange, data: Some(last) }).await;
        assert_eq!(success(outcome), (Some("ann,=".to_owned()), expected));
    }
}

#[actix::test]
async fn a_client_without_data_is_asked_for_its_first_message() {
    let auth = TestAuth::with_file(&user("ann", "pencil"));
    let client = ScramClient::new(METHODS[0], "ann", "pencil");
    let (exchange, empty) = continued(auth.ask(begin(METHODS[0], None, None)).await);
    assert_eq!(empty, b"");
    let (exchange, challenge) =
        continued(auth.ask(ContinueExchange { exchange, data: Some(client.first()) }).await);
    let data = Some(client.last(&challenge).0);
    success(auth.ask(ContinueExchange { exchange, data }).await);
}

#[actix::test]
async fn a_wrong_proof_is_refused() {
    let auth = TestAuth::with_file(&user("ann", "pencil"));
    for method in METHODS {
        assert_eq!(refused(run(&auth, method, "ann", "pen", None).await), Refusal::BadUserNameOrPassword);
        assert_eq!(refused(run(&auth, method, "bob", "pencil", None).await), Refusal::BadUserNameOrPassword);
    }
}

#[actix::test]
async fn broken_messages_are_refused() {
    let auth = TestAuth::with_file(&user("ann", "pencil"));
    for first in ["", "hello", "p=tls-unique,,n=ann,r=abc", "n,a=bob,n=ann,r=abc", "n,,n=an\u{7}n,r=abc"] {
        let outcome = auth.ask(begin(METHODS[0], Some(first.into()), None)).await;
        assert_eq!(refused(outcome), Refusal::NotAuthorized, "{first:?}");
    }
    let client = ScramClient::new(METHODS[0], "ann", "pencil");
    for last in [None, Some(Vec::new()), Some(b"c=biws,r=abc,p=AAAA".to_vec())] {
        let (exchange, _) = continued(auth.ask(begin(METHODS[0], Some(client.first()), None)).await);
        assert_eq!(
            refused(auth.ask(ContinueExchange { exchange, data: last }).await),
            Refusal::NotAuthorized
        );
    }
}

#[actix::test]
async fn an_overheard_proof_does_not_serve_again() {
    let auth = TestAuth::with_file(&user("ann", "pencil"));
    let client = ScramClient::new(METHODS[0], "ann", "pencil");
    let (exchange, challenge) = continued(auth.ask(begin(METHODS[0], Some(client.first()), None)).await);
    let overheard = client.last(&challenge).0;
    success(auth.ask(ContinueExchange { exchange, data: Some(overheard.clone()) }).await);

    // The same nonce of the client again: the server's is another.
    let (exchange, second) = continued(auth.ask(begin(METHODS[0], Some(client.first()), None)).await);
    assert_ne!(second, challenge);
    let outcome = auth.ask(ContinueExchange { exchange, data: Some(overheard) }).await;
    assert_eq!(refused(outcome), Refusal::NotAuthorized);
}

#[actix::test]
async fn an_unknown_user_looks_like_any_other() {
    let text = user("ann", "pencil");
    let ask = async |auth: &TestAuth, name| {
        let first = ScramClient::new(METHODS[0], name, "").first();
        ServerFirst::parse(&continued(auth.ask(begin(METHODS[0], Some(first), None)).await).1)
    };
    let auth = TestAuth::with_file(&text);
    let known = ask(&auth, "ann").await;
    let unknown = ask(&auth, "bob").await;
    assert_eq!((unknown.salt.len(), unknown.iterations), (known.salt.len(), known.iterations));
    assert_ne!(unknown.salt, known.salt);
    assert_ne!(ask(&auth, "cyd").await.salt, unknown.salt);
    // The salt of a user who exists stays, so this one has to stay as well, after a restart too.
    assert_eq!(ask(&auth, "bob").await.salt, unknown.salt);
    assert_eq!(ask(&TestAuth::with_file(&text), "bob").await.salt, unknown.salt);
}

#[actix::test]
async fn other_methods_are_refused() {
    let auth = TestAuth::with_file(&user("ann", "pencil"));
    for method in ["", "PLAIN", "SCRAM-SHA-1", "scram-sha-256", "SCRAM-SHA-256-PLUS"] {
        let outcome = auth.ask(begin(method, None, None)).await;
        assert_eq!(refused(outcome), Refusal::BadAuthenticationMethod, "{method:?}");
    }
}

#[actix::test]
async fn re_authentication_is_for_the_same_user() {
    let auth = TestAuth::with_file(&(user("ann", "pencil") + &user("bob", "brush")));
    let outcome = run(&auth, METHODS[1], "ann", "pencil", Some("ann")).await;
    assert_eq!(success(outcome).0.as_deref(), Some("ann"));
    assert_eq!(refused(run(&auth, METHODS[1], "ann", "pen", Some("ann")).await), Refusal::NotAuthorized);

    let first = ScramClient::new(METHODS[1], "bob", "brush").first();
    let outcome = auth.ask(begin(METHODS[1], Some(first.clone()), Some("ann"))).await;
    assert_eq!(refused(outcome), Refusal::NotAuthorized);
    let nobody =
        BeginExchange { reauthenticate: Some(Identity::default()), ..begin(METHODS[1], Some(first), None) };
    assert_eq!(refused(auth.ask(nobody).await), Refusal::NotAuthorized);
}

#[actix::test]
async fn a_user_removed_between_two_steps_is_refused() {
    let auth = TestAuth::with_file(&(user("ann", "pencil") + &user("bob", "brush")));
    let client = ScramClient::new(METHODS[0], "ann", "pencil");
    let (exchange, challenge) = continued(auth.ask(begin(METHODS[0], Some(client.first()), None)).await);
    std::fs::write(auth.file(), user("bob", "brush")).unwrap();
    auth.reload().await.unwrap();
    let data = Some(client.last(&challenge).0);
    let outcome = auth.ask(ContinueExchange { exchange, data }).await;
    assert_eq!(refused(outcome), Refusal::BadUserNameOrPassword);
}
