//! A copy of a database, file and log, made while another process writes.

use promoflow_test_support::inspect;
use promoflow_tests::{Helper, PromoflowExt, TestApp};

#[test]
fn p12_a_copy_made_during_writes_opens_and_the_audit_holds() {
    let (app, promoflow) = TestApp::with_codes_in_file(4_000);
    // Closing the last connection empties the log, which stays below the size at which it is copied
    // into the file. A copy made during that checkpoint would not be a consistent snapshot.
    drop(promoflow);
    let database = app.database().file();
    let helper = env!("CARGO_BIN_EXE_helper");
    let mut helper = Helper::start(helper, &app, &["send", "load", "1500"]);
    let mut events = Vec::new();
    for copy in 0..8 {
        for _ in 0..100 {
            helper.ack().expect("the helper stopped sending");
        }
        let folder = app.sibling(&format!("copy-{copy}"));
        std::fs::create_dir(&folder).unwrap();
        let copied = folder.join("shop.db");
        for suffix in ["", "-wal"] {
            let name = |path: &std::path::Path| format!("{}{suffix}", path.display());
            std::fs::copy(name(database), name(&copied)).unwrap();
        }
        let promoflow = app
            .builder_at(&copied, &app.channel)
            .create(false)
            .open()
            .unwrap();
        promoflow.assert_audit();
        let database = inspect(&copied).unwrap();
        assert_eq!(database.integrity_errors(), Ok(Vec::new()));
        let count = database.count("event").unwrap();
        assert!(count >= (copy + 1) * 100, "{count} after {copy}");
        events.push(count);
    }
    assert!(events.is_sorted() && events[0] < events[7], "{events:?}");
    helper.kill();
}
