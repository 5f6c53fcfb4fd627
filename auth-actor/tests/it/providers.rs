//! The providers without a file, and the settings.

use std::sync::Arc;

use auth_actor::{
    Action, AuthError, AuthSettings, AuthenticationOutcome, Authorize, BeginExchange, ExchangeOutcome,
    Identity, Outcome, Policy, Provider, ProviderKind, QuestionKind, Refusal,
};

use crate::harness::{CLIENT, TestAuth, allowed, login};

fn mock(allow: bool) -> TestAuth {
    TestAuth::with_settings(&AuthSettings {
        provider: ProviderKind::Mock,
        mock_allow: allow,
        ..AuthSettings::default()
    })
}

fn questions() -> Authorize {
    Authorize {
        client_identifier: CLIENT.to_owned(),
        user_name: None,
        grant: None,
        wishes: Arc::new([(Action::Publish, "a".to_owned()), (Action::Subscribe, "#".to_owned())]),
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
    let nobody = AuthenticationOutcome::Allowed(Identity::default());
    assert_eq!(auth.ask(login(None, None)).await, nobody);
    assert_eq!(auth.log_in("ann", "whatever").await, allowed("ann"));
    assert_eq!(auth.ask(questions()).await.verdicts, [true, true]);
    assert!(matches!(auth.ask(exchange()).await, ExchangeOutcome::Refused(Refusal::BadAuthenticationMethod)));
    auth.reload().await.unwrap();
}

#[actix::test]
async fn mock_gives_the_same_answer_to_everything() {
    let yes = mock(true);
    assert_eq!(yes.policy, Policy { authenticates: false, authorizes: false });
    assert_eq!(yes.log_in("ann", "whatever").await, allowed("ann"));
    assert_eq!(yes.ask(questions()).await.verdicts, [true, true]);

    let no = mock(false);
    assert_eq!(no.policy, Policy { authenticates: true, authorizes: false });
    assert_eq!(no.log_in("ann", "whatever").await, AuthenticationOutcome::Refused(Refusal::NotAuthorized));
    assert_eq!(no.ask(questions()).await.verdicts, [false, false]);
    assert!(matches!(no.ask(exchange()).await, ExchangeOutcome::Refused(Refusal::NotAuthorized)));
}

#[actix::test]
async fn what_is_asked_is_counted() {
    let auth = mock(false);
    auth.log_in("ann", "whatever").await;
    auth.ask(exchange()).await;
    auth.ask(questions()).await;
    let refused = |kind| auth.count(kind, Outcome::Refused);
    assert_eq!(refused(QuestionKind::Login), 1);
    assert_eq!(refused(QuestionKind::ExchangeStep), 1);
    assert_eq!(refused(QuestionKind::Permission), 2);
    for kind in QuestionKind::ALL {
        let all: u64 = Outcome::ALL.iter().map(|outcome| auth.count(kind, *outcome)).sum();
        assert_eq!(all, refused(kind));
    }
}

#[test]
fn settings_have_defaults_and_no_unknown_keys() {
    let parse = |text: &str| toml::from_str::<AuthSettings>(text);
    assert_eq!(parse("").unwrap(), AuthSettings::default());
    assert_eq!(
        parse("provider = \"file\"\nfile = \"users.toml\"\nmock_allow = false").unwrap(),
        AuthSettings {
            provider: ProviderKind::File,
            mock_allow: false,
            file: Some("users.toml".into()),
            ..AuthSettings::default()
        }
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
