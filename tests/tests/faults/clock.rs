//! P1 and P8 with a clock that jumps by days, back and forth, while codes are claimed.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use promoflow_tests::{PromoflowExt, TestApp, until};

use crate::birthday;

const DAY: i64 = 86_400_000;

/// Returns codes that expire day by day around the clock's current day.
fn expiring(count: usize) -> String {
    let mut csv = "code,expirationDate,discount,type\n".to_owned();
    for number in 0..count {
        let day = 1 + number % 28;
        csv.push_str(&format!("D-{number},2026-06-{day:02},10,birthday\n"));
    }
    csv
}

#[test]
fn p1_p8_a_jumping_clock_gives_no_code_twice_and_no_expired_code() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.import_codes(&expiring(3_000));
    let running = promoflow.start().unwrap();
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for jump in [9, -4, 12, -20, 6, 15, -9, -9].into_iter().cycle() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                app.clock.advance(jump * DAY);
                thread::sleep(Duration::from_millis(3));
            }
        });
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let running = &running;
                scope.spawn(move || {
                    for number in 0..400 {
                        running
                            .send(birthday(&format!("e{sender}-{number}")))
                            .unwrap();
                    }
                })
            })
            .collect();
        let all = senders.into_iter().try_for_each(|sender| sender.join());
        ends.store(true, Ordering::SeqCst);
        all.unwrap();
    });
    // Earlier than most of the times that the clock has shown.
    app.clock.set("2026-05-10T00:00:00Z");
    running.wait_all_idle().unwrap();
    drop(running);

    let database = app.inspect();
    let claims = database.count("claim").unwrap();
    assert!(claims > 100, "only {claims} codes were claimed");
    let codes = |sql: &str| database.rows::<String>(sql, &[]).unwrap();
    let expired = codes("SELECT code FROM claim WHERE expires_at <= claimed_at");
    assert!(expired.is_empty(), "claimed after expiry: {expired:?}");
    let ids = |sql: &str| database.rows::<i64>(sql, &[]).unwrap();
    let still_waiting = ids("SELECT id FROM delivery WHERE due_at IS NOT NULL UNION ALL
         SELECT id FROM run WHERE due_at IS NOT NULL");
    assert!(
        still_waiting.is_empty(),
        "still waiting for a wrong time: {still_waiting:?}"
    );
    let late = ids(
        "SELECT delivery.id FROM delivery JOIN attempt ON attempt.delivery = delivery.id
         WHERE delivery.expires_at <= attempt.started_at",
    );
    assert!(late.is_empty(), "left with expired codes: {late:?}");
    let twice = codes("SELECT code FROM claim GROUP BY code HAVING count(*) > 1");
    assert!(twice.is_empty(), "claimed twice: {twice:?}");
    promoflow.assert_audit();
}

#[test]
fn runs_accepted_by_a_fast_clock_continue_after_its_correction() {
    let (app, promoflow) = TestApp::with_codes_in_file(2);
    let mut lock = app.database().file().as_os_str().to_owned();
    lock.push("-executor");
    let other = File::create(lock).unwrap();
    other.lock().unwrap();
    let running = promoflow.start().unwrap();
    app.clock.advance(365 * DAY);
    let receipt = running.send(birthday("ann")).unwrap();
    app.clock.advance(-365 * DAY);
    other.unlock().unwrap();
    until(|| running.is_executor());
    running.wait_idle(&receipt.runs).unwrap();
    assert_eq!(app.channel.texts(), ["C-0000"]);
}
