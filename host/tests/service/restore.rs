//! Backups of a running service, and databases restored from them. The tests of damaged backups are
//! about SQLite's file format, and open them through SQLite itself.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use crate::service::{TestApp, ok};

/// Returns the exit status and the output of a restore.
fn restore(app: &TestApp, backup: &Path, to: &str) -> (Option<i32>, String) {
    let mut command = app.command(&["restore", backup.to_str().unwrap()]);
    let output = command.arg("--db").arg(app.path(to)).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), printed)
}

#[test]
fn a_backup_of_a_running_service_becomes_a_database() {
    let app = TestApp::with_file().with_workflow();
    let service = app.serve();
    service.codes(9);
    for name in ["ann", "bob"] {
        let address = format!("{name}@example.com");
        let event = json!({ "eventTypeKey": "birthday", "keyValue": address, "id": name,
                            "params": [{ "name": "EmailAddress", "value": address }] });
        ok(service.post_json("/api/v1/event", &event).send().unwrap());
    }
    let backup = app.path("backup.db");
    app.succeed(&["backup", backup.to_str().unwrap()]);
    let bytes = std::fs::read(&backup).unwrap();

    assert_eq!(restore(&app, &backup, "new.db").0, Some(0));
    let count = |db: &str| {
        let mut command = app.command(&["codes", "count", "--type", "birthday"]);
        let output = command.arg("--db").arg(app.path(db)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(count("new.db"), count("promoflow.db"));
    assert!(count("new.db").contains("\"used\":2"));
    assert_eq!(
        std::fs::read(&backup).unwrap(),
        bytes,
        "the backup was changed"
    );

    // It never replaces a file, nor writes next to another database's leftover files.
    let (status, printed) = restore(&app, &backup, "new.db");
    assert_eq!(status, Some(2));
    assert!(printed.contains("is not overwritten"), "{printed}");
    std::fs::write(app.path("left.db-wal"), "x").unwrap();
    let (status, printed) = restore(&app, &backup, "left.db");
    assert_eq!(status, Some(2), "{printed}");
    assert!(!app.path("left.db").exists());
    // A database that a process writes is not a backup.
    let (status, printed) = restore(&app, &app.path("promoflow.db"), "other.db");
    assert_eq!(status, Some(2));
    assert!(printed.contains("in use"), "{printed}");
}

#[cfg(unix)]
#[test]
fn files_with_codes_and_addresses_are_readable_only_by_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let app = TestApp::with_file().with_workflow();
    let service = app.serve();
    service.codes(1);
    let backup = app.path("backup.db");
    app.succeed(&["backup", backup.to_str().unwrap()]);
    // A backup copied with default permissions.
    std::fs::set_permissions(&backup, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(restore(&app, &backup, "new.db").0, Some(0));
    std::fs::remove_file(&backup).unwrap();
    app.succeed(&["backup", backup.to_str().unwrap()]);
    for name in ["promoflow.db", "promoflow.db-wal", "backup.db", "new.db"] {
        let mode = std::fs::metadata(app.path(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn rejects_damaged_newer_or_foreign_backups() {
    let app = TestApp::with_file().with_workflow();
    let codes: String = (0..2_000).map(|n| format!("CODE-{n}\n")).collect();
    std::fs::write(app.path("codes.csv"), format!("code\n{codes}")).unwrap();
    app.succeed(&["codes", "import", app.path("codes.csv").to_str().unwrap()]);
    let backup = app.path("backup.db");
    app.succeed(&["backup", backup.to_str().unwrap()]);
    let good = std::fs::read(&backup).unwrap();
    let refused = |status: i32, wanted: &str| {
        let (found, printed) = restore(&app, &backup, "new.db");
        assert_eq!(found, Some(status), "{printed}");
        assert!(printed.contains(wanted), "{printed}");
        let files = std::fs::read_dir(app.path("")).unwrap();
        let names = files.map(|file| file.unwrap().file_name());
        let left: Vec<_> = names
            .filter(|name| name.to_string_lossy().contains("new.db"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    };
    let change = |sql: &str| {
        std::fs::write(&backup, &good).unwrap();
        let connection = Connection::open(&backup).unwrap();
        connection.execute_batch(sql).unwrap();
    };

    change("PRAGMA user_version = 999");
    refused(2, "a later one");
    change("PRAGMA application_id = 7");
    refused(2, "not a backup of a Promoflow database");
    // A code has vanished from the pool: P6 tells.
    change("DELETE FROM available_code WHERE code = 'CODE-7'");
    refused(1, "does not hold");
    let mut bytes = good.clone();
    // Damages pages of codes rather than the schema, which is read first.
    let code = bytes.windows(9).position(|part| part == b"CODE-1500");
    let page = code.unwrap() / 4096 * 4096;
    bytes[page..page + 4096].fill(0x5a);
    std::fs::write(&backup, &bytes).unwrap();
    refused(2, "damaged");
    std::fs::write(&backup, &good[..good.len() / 3]).unwrap();
    refused(2, "malformed");
    std::fs::write(&backup, "code\nA1\n").unwrap();
    refused(2, "not a SQLite database");
    std::fs::write(&backup, &good).unwrap();
    assert_eq!(restore(&app, &backup, "new.db").0, Some(0));
}

#[test]
fn rejects_a_backup_with_foreign_tables_or_triggers() {
    let app = TestApp::with_file().with_workflow();
    let backup = app.path("backup.db");
    app.succeed(&["backup", backup.to_str().unwrap()]);
    for (number, sql) in [
        "CREATE TRIGGER t AFTER INSERT ON code_group BEGIN UPDATE code_group SET type = 'x'; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE theirs (x)",
        "CREATE INDEX theirs ON code_group (discount)",
        "DROP TABLE code_group; CREATE TABLE code_group (id)",
    ]
    .into_iter()
    .enumerate()
    {
        let invalid = app.path(&format!("odd-{number}.db"));
        std::fs::copy(&backup, &invalid).unwrap();
        let database = Connection::open(&invalid).unwrap();
        database.execute_batch(sql).unwrap();
        drop(database);
        let (status, printed) = restore(&app, &invalid, "new.db");
        assert_eq!(status, Some(2), "{sql}: {printed}");
        assert!(
            printed.contains("is not a valid backup: unexpected"),
            "{sql}: {printed}"
        );
        assert!(!app.path("new.db").exists());
    }
}
