//! The providers without a file, and the settings.

use auth_actor::{
    Action, AuthError, AuthSettings, AuthenticationOutcome, Authorize, BeginExchange, ExchangeOutcome,
    Identity, Observe, Policy, Provider, ProviderKind, Refusal, Reload,
};

use crate::harness::{CLIENT, TestAuth, allowed, login};

fn mock(allow: bool) -> TestAuth {
    TestAuth::with_settings(&AuthSettings { provider: ProviderKind::Mock, mock_allow: allow, file: None })
}

fn questions() -> Authorize {
    Authorize {
        client_identifier: CLIENT.to_owned(),
        user_name: None,
        questions: vec![(Action::Publish, "a".to_owned()), (Action::Subscribe, "#".to_owned())],
    }
}

fn exchange() -> BeginExchange {
    BeginExchange {
        client_identifier: CLIENT.to_owned(),
        method: "SCRAM-SHA-256".to_owned(),
        data: None,
        reauthenticate: None,
    }
}

#[actix::test]
async fn anonymous_allows_everything_and_need_not_be_asked() {
    let auth = TestAuth::with_settings(&AuthSettings::default());
    assert_eq!(auth.policy, Policy { authenticates: false, authorizes: false });
    let nobody = AuthenticationOutcome::Allowed(Identity { user_name: None });
    assert_eq!(auth.ask(login(None, None)).await, nobody);
    assert_eq!(auth.log_in("ann", "whatever").await, allowed("ann"));
    assert_eq!(auth.ask(questions()).await, [true, true]);
    assert!(matches!(auth.ask(exchange()).await, ExchangeOutcome::Refused(Refusal::BadAuthenticationMethod)));
    auth.ask(Reload).await.unwrap();
}

#[actix::test]
async fn mock_gives_the_same_answer_to_everything() {
    let yes = mock(true);
    assert_eq!(yes.policy, Policy { authenticates: false, authorizes: false });
    assert_eq!(yes.log_in("ann", "whatever").await, allowed("ann"));
    assert_eq!(yes.ask(questions()).await, [true, true]);

    let no = mock(false);
    assert_eq!(no.policy, Policy { authenticates: true, authorizes: false });
    assert_eq!(no.log_in("ann", "whatever").await, AuthenticationOutcome::Refused(Refusal::NotAuthorized));
    assert_eq!(no.ask(questions()).await, [false, false]);
    assert!(matches!(no.ask(exchange()).await, ExchangeOutcome::Refused(Refusal::NotAuthorized)));
}

#[actix::test]
async fn what_was_asked_adds_up() {
    let auth = mock(false);
    auth.log_in("ann", "whatever").await;
    auth.ask(exchange()).await;
    auth.ask(questions()).await;
    let seen = auth.ask(Observe).await;
    assert_eq!((seen.asked, seen.allowed, seen.refused, seen.continued, seen.pending), (2, 0, 2, 0, 0));
    assert_eq!((seen.actions_allowed, seen.actions_refused), (0, 2));
}

#[test]
fn settings_have_defaults_and_no_unknown_keys() {
    let parse = |text: &str| toml::from_str::<AuthSettings>(text);
    assert_eq!(parse("").unwrap(), AuthSettings::default());
    assert_eq!(
        parse("provider = \"file\"\nfile = \"users.toml\"\nmock_allow = false").unwrap(),
        AuthSettings { provider: ProviderKind::File, mock_allow: false, file: Some("users.toml".into()) }
    );
    assert!(parse("provider = \"ldap\"").is_err());
    assert!(parse("mock = true").is_err());
}

#[test]
fn the_file_provider_needs_a_file() {
    let settings = AuthSettings { provider: ProviderKind::File, ..AuthSettings::default() };
    let error = Provider::from_settings(&settings).unwrap_err();
    assert!(matches!(error, AuthError::NoFile));
    assert_eq!(error.to_string(), "auth.file: is missing, the provider \"file\" needs it");
}
