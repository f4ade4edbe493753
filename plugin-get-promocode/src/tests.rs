//! Claims of a step, and the ports it takes.

use promoflow_block::testing::Host;
use promoflow_block::{ClaimError, Error, Outcome, Resumption, Reuse, Selector, Value, WhenEmpty};

use super::GetPromocode;

type Param = (&'static str, Value);

fn step(more: impl IntoIterator<Item = Param>) -> Vec<Param> {
    let mut params = vec![
        ("type", "birthday".into()),
        ("discount", 10.into()),
        ("days", 7.into()),
    ];
    params.extend(more);
    params
}

fn json(text: &str) -> Value {
    Value::Json(text.into())
}

#[test]
fn saves_the_code_under_the_given_name() {
    let mut host = Host::new().code("A1");
    let outcome = host.run::<GetPromocode>(step([("as", "gift".into())]));
    assert_eq!(outcome, Ok(Outcome::port("next")));
    assert_eq!(host.get("gift"), Some(&"A1".into()));
    assert_eq!(host.get("promocode"), None);
    assert_eq!(host.claims, [Selector::new("birthday", 10, 7)]);
}

#[test]
fn takes_the_port_if_the_pool_is_empty() {
    for params in [step([]), step([("when-empty", "port".into())])] {
        let mut host = Host::new();
        assert_eq!(
            host.run::<GetPromocode>(params),
            Ok(Outcome::port("exhausted"))
        );
        assert_eq!(host.get("promocode"), None);
    }
}

#[test]
fn fails_on_an_empty_pool_if_configured() {
    let outcome = Host::new().run::<GetPromocode>(step([("when-empty", "fail".into())]));
    let Err(Error::Rejected(why)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(why.contains("birthday") && why.contains("10"), "{why}");
}

#[test]
fn waits_on_an_empty_pool_and_claims_again() {
    let wait = || step([("when-empty", "wait".into())]);
    let mut host = Host::new();
    let selector = Selector {
        when_empty: WhenEmpty::Wait,
        ..Selector::new("birthday", 10, 7)
    };
    assert_eq!(
        host.run::<GetPromocode>(wait()),
        Ok(Outcome::wait_for_code(selector))
    );
    let mut host = host.code("B2");
    assert_eq!(
        host.resume::<GetPromocode>(wait(), Resumption::Code),
        Ok(Outcome::port("next"))
    );
    assert_eq!(host.get("promocode"), Some(&"B2".into()));
    assert_eq!(
        host.resume::<GetPromocode>(wait(), Resumption::GaveUp),
        Ok(Outcome::port("exhausted"))
    );
}

#[test]
fn uses_the_substitute_if_the_pool_is_empty() {
    let mut host = Host::new();
    let outcome = host.run::<GetPromocode>(step([("when-empty", json(r#"{"code":"WELCOME"}"#))]));
    assert_eq!(outcome, Ok(Outcome::port("next")));
    assert_eq!(host.get("promocode"), Some(&"WELCOME".into()));
}

#[test]
fn passes_reuse_to_the_host() {
    for (given, reuse) in [
        (Value::from("never"), Reuse::Never),
        (Value::from("run"), Reuse::WithinRun),
        (json(r#"{"contact":2592000}"#), Reuse::ForContact(2_592_000)),
    ] {
        let mut host = Host::new().code("A1");
        host.run::<GetPromocode>(step([("reuse", given)])).unwrap();
        assert_eq!(host.claims[0].reuse, reuse);
    }
}

#[test]
fn rejects_choices_without_their_value() {
    for param in [
        ("reuse", Value::from("contact")),
        ("when-empty", Value::from("code")),
        ("when-empty", json(r#"{"wait":5}"#)),
        ("when-empty", json("[]")),
    ] {
        let outcome = Host::new()
            .code("A1")
            .run::<GetPromocode>(step([param.clone()]));
        assert!(
            matches!(&outcome, Err(Error::Invalid(why)) if why.starts_with(param.0)),
            "{param:?}: {outcome:?}"
        );
    }
}

#[test]
fn maps_claim_errors_to_block_errors() {
    for (refusal, error) in [
        (
            ClaimError::Unavailable("busy".into()),
            Error::Unavailable("busy".into()),
        ),
        (ClaimError::Denied("no".into()), Error::Invalid("no".into())),
        (
            ClaimError::Invalid("type".into()),
            Error::Invalid("type".into()),
        ),
    ] {
        let mut host = Host::new().refuse_claims(refusal);
        assert_eq!(host.run::<GetPromocode>(step([])), Err(error));
    }
}
