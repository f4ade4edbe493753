//! The forecast: how long the pool lasts at the rate at which its codes are claimed.

use promoflow::Promoflow;
use promoflow_tests::{PromoflowExt, TestApp};

const HOUR: i64 = 60 * 60 * 1_000;

/// Sends `count` events of the main job.
fn claim(promoflow: &Promoflow, count: usize) {
    let running = promoflow.start().unwrap();
    for number in 0..count {
        let address = format!("ann-{number}@example.com");
        assert!(promoflow.birthday(&running, &address).is_some());
    }
}

/// Returns the available codes of the only group, and the days until they run out.
fn forecast(app: &TestApp) -> (u64, f64) {
    // Opens the database again, because counts are cached for a while by the wall clock.
    let groups = app.open().forecast().unwrap();
    assert_eq!(groups.len(), 1);
    (groups[0].count.available, groups[0].days_left.unwrap())
}

fn assert_forecast(app: &TestApp, available: u64, days: f64) {
    let (left, actual) = forecast(app);
    assert_eq!(left, available);
    assert!((actual - days).abs() < 1e-9, "{actual} days, not {days}");
}

#[test]
fn the_rate_covers_a_whole_day_however_quiet_it_was() {
    let (app, promoflow) = TestApp::with_codes(12);
    claim(&promoflow, 1);
    app.clock.advance(3 * 24 * HOUR);
    claim(&promoflow, 3);
    assert_forecast(&app, 8, 8.0 / 3.0);
    // Some hours later the rate is the same.
    app.clock.advance(23 * HOUR);
    assert_forecast(&app, 8, 8.0 / 3.0);
    claim(&promoflow, 1);
    assert_forecast(&app, 7, 7.0 / 4.0);
    // Two hours later yesterday's claims no longer count.
    app.clock.advance(2 * HOUR);
    assert_forecast(&app, 7, 7.0);
}

#[test]
fn the_rate_of_the_first_day_covers_the_time_since_the_first_claim() {
    let (app, promoflow) = TestApp::with_codes(12);
    claim(&promoflow, 2);
    // The rate covers at least one hour.
    assert_forecast(&app, 10, 10.0 / 48.0);
    app.clock.advance(6 * HOUR);
    claim(&promoflow, 1);
    assert_forecast(&app, 9, 9.0 / 12.0);
    app.clock.advance(18 * HOUR);
    assert_forecast(&app, 9, 9.0 / 3.0);
}
