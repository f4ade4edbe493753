//! The forecast: how long the pool lasts at the rate at which its codes are claimed.

use promoflow::Promoflow;
use promoflow_tests::{Shop, Teach};

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
fn outlook(shop: &Shop) -> (u64, f64) {
    // Opens the database again, because counts are cached for a while by the wall clock.
    let lanes = shop.open().outlook().unwrap();
    assert_eq!(lanes.len(), 1);
    (lanes[0].count.available, lanes[0].days_left.unwrap())
}

fn lasts(shop: &Shop, available: u64, days: f64) {
    let (left, told) = outlook(shop);
    assert_eq!(left, available);
    assert!((told - days).abs() < 1e-9, "{told} days, not {days}");
}

#[test]
fn the_rate_covers_a_whole_day_however_quiet_it_was() {
    let (shop, promoflow) = Shop::with_codes(12);
    claim(&promoflow, 1);
    shop.clock.advance(3 * 24 * HOUR);
    claim(&promoflow, 3);
    lasts(&shop, 8, 8.0 / 3.0);
    // Some hours later the rate is the same.
    shop.clock.advance(23 * HOUR);
    lasts(&shop, 8, 8.0 / 3.0);
    claim(&promoflow, 1);
    lasts(&shop, 7, 7.0 / 4.0);
    // Two hours later yesterday's claims no longer count.
    shop.clock.advance(2 * HOUR);
    lasts(&shop, 7, 7.0);
}

#[test]
fn the_rate_of_the_first_day_covers_the_time_since_the_first_claim() {
    let (shop, promoflow) = Shop::with_codes(12);
    claim(&promoflow, 2);
    // The rate covers at least one hour.
    lasts(&shop, 10, 10.0 / 48.0);
    shop.clock.advance(6 * HOUR);
    claim(&promoflow, 1);
    lasts(&shop, 9, 9.0 / 12.0);
    shop.clock.advance(18 * HOUR);
    lasts(&shop, 9, 9.0 / 3.0);
}
