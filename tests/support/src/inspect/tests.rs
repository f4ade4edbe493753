//! What both engines do alike.

use crate::{Change, Column, FromRow, Inspect, Value, inspect};

/// A database with an empty table.
struct TestTable {
    address: String,
    _folder: tempfile::TempDir,
    _database: Option<promoflow_test_postgres::TestDatabase>,
}

impl TestTable {
    fn sqlite() -> TestTable {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.db");
        let table = "PRAGMA journal_mode = WAL;
                     CREATE TABLE code (id INTEGER PRIMARY KEY, text TEXT, bytes BLOB,
                                        retired INTEGER CHECK (retired IN (0, 1))) STRICT";
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection.execute_batch(table).unwrap();
        TestTable {
            address: file.to_str().unwrap().to_owned(),
            _folder: folder,
            _database: None,
        }
    }

    fn postgres() -> TestTable {
        let database = promoflow_test_postgres::database();
        let table = "CREATE TABLE code (id bigint PRIMARY KEY, text text, bytes bytea,
                                        retired smallint CHECK (retired IN (0, 1)))";
        database.execute(table).unwrap();
        TestTable {
            address: database.address().to_owned(),
            _folder: tempfile::tempdir().unwrap(),
            _database: Some(database),
        }
    }

    fn inspect(&self) -> Box<dyn Inspect> {
        inspect(&self.address).unwrap()
    }
}

fn on_both(test: impl Fn(&TestTable)) {
    test(&TestTable::sqlite());
    test(&TestTable::postgres());
}

#[test]
fn values_are_stored_and_returned_as_they_are() {
    on_both(|table| {
        let database = table.inspect();
        let sql = "INSERT INTO code (id, bytes, text, retired) VALUES ($1, $3, $2, $4)";
        let [id, text, bytes, retired] = [7.into(), "a\"é".into(), vec![1, 2].into(), 1.into()];
        let params = [id, text, bytes, retired];
        assert_eq!(database.execute(sql, &params), Ok(1));
        database
            .execute("INSERT INTO code VALUES (8, 'A', NULL, 0)", &[])
            .unwrap();
        let sql = "SELECT id, text, bytes, retired FROM code ORDER BY id";
        let rows = database.query(sql, &[]).unwrap();
        assert_eq!(rows[0], params);
        assert_eq!(rows[1], [8.into(), "A".into(), Value::Null, 0.into()]);
        let sql = "SELECT text, bytes, retired FROM code WHERE id = $1";
        let row: (String, Option<Vec<u8>>, bool) = database.row(sql, &[8.into()]).unwrap();
        assert_eq!(row, ("A".to_owned(), None, false));
        assert!(i64::from_row(vec!["A".into()]).is_err());
        assert!(database.row::<i64>("SELECT id FROM code", &[]).is_err());
        assert!(database.query(sql, &[]).is_err());
        assert!(database.query(sql, &[8.into(), 9.into()]).is_err());
    });
}

#[test]
fn sums_and_comparisons_are_numbers() {
    on_both(|table| {
        let database = table.inspect();
        for id in [-40_000_000_000, 10_000, 0, -1] {
            let insert = "INSERT INTO code (id) VALUES ($1)";
            database.execute(insert, &[id.into()]).unwrap();
        }
        let row = |sql: &str| database.row::<i64>(sql, &[]);
        assert_eq!(row("SELECT sum(id) FROM code"), Ok(-39_999_990_001));
        assert_eq!(row("SELECT sum(id) FROM code WHERE id > 0"), Ok(10_000));
        assert_eq!(row("SELECT sum(id) FROM code WHERE id = 0"), Ok(0));
        assert_eq!(row("SELECT max(id) = 10000 FROM code"), Ok(1));
        assert_eq!(database.count("code"), Ok(4));
    });
}

#[test]
fn values_out_of_range_are_stored() {
    on_both(|table| {
        let database = table.inspect();
        let insert = "INSERT INTO code (id, retired) VALUES (1, 7)";
        assert_eq!(database.execute(insert, &[]), Ok(1));
    });
}

#[test]
fn statements_are_counted_together() {
    on_both(|table| {
        let database = table.inspect();
        let three = "INSERT INTO code (id) VALUES (1), (2);
                     UPDATE code SET retired = 1 WHERE id = 1";
        assert_eq!(database.execute(three, &[]), Ok(3));
        assert_eq!(database.count("code WHERE retired = 1"), Ok(1));
        let none = database.execute("DELETE FROM code WHERE id = 3", &[]);
        assert_eq!(none, Ok(0));
    });
}

#[test]
fn columns_are_listed_with_the_primary_key() {
    on_both(|table| {
        let column = |name: &str, is_key| Column {
            name: name.to_owned(),
            is_key,
        };
        let expected = [
            column("id", true),
            column("text", false),
            column("bytes", false),
            column("retired", false),
        ];
        assert_eq!(table.inspect().columns("code").unwrap(), expected);
    });
}

#[test]
fn changes_are_rejected_until_they_are_accepted_again() {
    on_both(|table| {
        let database = table.inspect();
        let insert = |id: i64| database.execute("INSERT INTO code (id) VALUES ($1)", &[id.into()]);
        let condition = "NEW.id > 1 AND EXISTS (SELECT 1 FROM code WHERE id = 1)";
        database.reject(Change::Insert, "code", condition).unwrap();
        assert_eq!(insert(1), Ok(1));
        let error = insert(2).unwrap_err().to_string();
        assert!(error.contains("rejects INSERT on code"), "{error}");
        database.accept(Change::Insert, "code").unwrap();
        assert_eq!(insert(2), Ok(1));
        database
            .reject(Change::Delete, "code", "OLD.id = 1")
            .unwrap();
        let delete = |id: i64| database.execute("DELETE FROM code WHERE id = $1", &[id.into()]);
        assert!(delete(1).is_err());
        assert_eq!(delete(2), Ok(1));
        database
            .reject(Change::Update, "code", "NEW.id = 3")
            .unwrap();
        assert!(database.execute("UPDATE code SET id = 3", &[]).is_err());
        assert_eq!(database.execute("UPDATE code SET id = 4", &[]), Ok(1));
    });
}

#[test]
fn another_writer_waits_for_the_end_of_a_lock() {
    on_both(|table| {
        let database = table.inspect();
        database.lock_writes().unwrap();
        let other = table.inspect();
        assert_eq!(other.count("code"), Ok(0));
        let writes = std::thread::spawn(move || other.execute("DELETE FROM code", &[]));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!writes.is_finished());
        drop(database);
        assert_eq!(writes.join().unwrap(), Ok(0));
    });
}

#[test]
fn an_undamaged_database_has_no_integrity_errors() {
    on_both(|table| {
        let database = table.inspect();
        let insert = "INSERT INTO code (id, text) VALUES (1, 'A'), (2, 'B')";
        database.execute(insert, &[]).unwrap();
        assert_eq!(database.integrity_errors(), Ok(Vec::new()));
    });
}
