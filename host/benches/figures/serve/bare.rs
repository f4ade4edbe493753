//! The baseline: an axum handler that reads an event, has one row of it committed, and answers. One
//! thread commits all waiting rows at once.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use promoflow::store::SqliteStore;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_type_key: String,
    key_value: String,
    params: Vec<Param>,
}

#[derive(Deserialize, Serialize)]
struct Param {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Accepted {
    event: i64,
}

struct Waiting {
    event: Event,
    done: oneshot::Sender<i64>,
}

/// Starts the handler on an available port. It runs until the process ends.
pub(super) fn start(database: &Path) -> Result<SocketAddr> {
    let connection = SqliteStore::connect(database)?;
    connection.execute_batch(
        "CREATE TABLE event (id INTEGER PRIMARY KEY, type TEXT, key TEXT, params TEXT) STRICT",
    )?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        while let Ok(first) = receiver.recv() {
            let batch = [first].into_iter().chain(receiver.try_iter()).collect();
            if let Err(error) = commit(&connection, batch) {
                eprintln!("the bare handler: {error:#}");
            }
        }
    });
    let (address_sender, address_receiver) = mpsc::channel();
    thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
            address_sender.send(listener.local_addr()?)?;
            let router = Router::new()
                .route("/api/v1/event", post(accept))
                .with_state(sender);
            Ok(axum::serve(listener, router).await?)
        })
    });
    address_receiver
        .recv()
        .context("the bare handler does not listen")
}

async fn accept(
    State(committer): State<mpsc::Sender<Waiting>>,
    Json(event): Json<Event>,
) -> Result<Json<Accepted>, StatusCode> {
    let (done, committed) = oneshot::channel();
    let handed_in = committer.send(Waiting { event, done });
    handed_in.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    match committed.await {
        Ok(event) => Ok(Json(Accepted { event })),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn commit(connection: &Connection, batch: Vec<Waiting>) -> Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT INTO event (type, key, params) VALUES (?, ?, ?)")?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut committed = Vec::with_capacity(batch.len());
    for Waiting { event, done } in batch {
        let params = serde_json::to_string(&event.params)?;
        let row = insert.insert((event.event_type_key, event.key_value, params))?;
        committed.push((done, row));
    }
    connection.execute_batch("COMMIT")?;
    for (done, row) in committed {
        // The client may have disconnected.
        let _gone = done.send(row);
    }
    Ok(())
}
