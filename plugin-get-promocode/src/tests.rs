//! What a step asks of the pool, and where it leads.

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
fn sets_the_code_under_the_name_that_the_step_gives() {
    let mut host = Host::new().code("A1");
    let outcome = host.run::<GetPromocode>(step([("as", "gift".into())]));
    assert_eq!(outcome, Ok(Outcome::port("next")));
    assert_eq!(host.get("gift"), Some(&"A1".into()));
    assert_eq!(host.get("promocode"), None);
    assert_eq!(host.claims, [Selector::new("birthday", 10, 7)]);
}

#[test]
fn an_empty_pool_leads_to_the_port() {
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
fn an_empty_pool_fails_where_the_step_says_so() {
    let outcome = Host::new().run::<GetPromocode>(step([("when-empty", "fail".into())]));
    let Err(Error::Rejected(why)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(why.contains("birthday") && why.contains("10"), "{why}");
}

#[test]
fn an_empty_pool_is_waited_for_and_asked_again() {
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
fn an_empty_pool_is_stood_in_for() {
    let mut host = Host::new();
    let outcome = host.run::<GetPromocode>(step([("when-empty", json(r#"{"code":"WELCOME"}"#))]));
    assert_eq!(outcome, Ok(Outcome::port("next")));
    assert_eq!(host.get("promocode"), Some(&"WELCOME".into()));
}

#[test]
fn passes_on_what_serves_again() {
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
fn a_choice_without_what_it_carries_is_refused() {
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
fn the_hosts_refusals_keep_their_meaning() {
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
