//! A copy of a database, file and log, made while another process writes.

use promoflow_tests::{Helper, PromoflowExt, TestApp};

use crate::column;

#[test]
fn p12_a_copy_made_during_writes_opens_and_the_audit_holds() {
    let (app, promoflow) = TestApp::with_codes(4_000);
    // Closing the last connection empties the log, which stays below the size at which it is copied
    // into the file. A copy made during that checkpoint would not be a consistent snapshot.
    drop(promoflow);
    let database = app.database();
    let helper = env!("CARGO_BIN_EXE_helper");
    let mut helper = Helper::start(helper, &database, &["send", "load", "1500"]);
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
            std::fs::copy(name(&database), name(&copied)).unwrap();
        }
        let promoflow = app
            .builder_at(&copied, &app.channel)
            .create(false)
            .open()
            .unwrap();
        promoflow.assert_audit();
        let sql = rusqlite::Connection::open(&copied).unwrap();
        let sound: Vec<String> = column(&sql, "PRAGMA integrity_check");
        assert_eq!(sound, ["ok"]);
        let count: Vec<i64> = column(&sql, "SELECT count(*) FROM event");
        assert!(count[0] >= (copy + 1) * 100, "{count:?} after {copy}");
        events.push(count[0]);
    }
    assert!(events.is_sorted() && events[0] < events[7], "{events:?}");
    helper.kill();
}
