//! A web service that embeds Promoflow. Its handlers send events without blocking a thread.
//!
//! `cargo run --release -p example-embed-axum`, then
//! `curl -X POST http://127.0.0.1:8080/birthday/ann@example.com`.
#![forbid(unsafe_code)]

use std::error::Error;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use promoflow::event::Event;
use promoflow::run::SubmitError;
use promoflow::{EventSender, Observation, Promoflow};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Both block: before the service begins, no other task waits for this thread.
    let promoflow = Promoflow::builder("shop.db")
        .observer(|observation: &Observation| {
            if let Observation::RunFinished { run, state, .. } = observation {
                println!("run {run}: {state:?}");
            }
        })
        .open()?;
    let engine = promoflow.start()?;

    let service = Router::new()
        .route("/birthday/{email}", post(birthday))
        .with_state(engine.sender());
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, service)
        .with_graceful_shutdown(async {
            // Without signals the service runs until the process is killed.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;

    // Waits for what is in progress.
    tokio::task::spawn_blocking(move || engine.stop()).await?;
    Ok(())
}

/// Answers when the event is stored durably.
async fn birthday(
    State(events): State<EventSender>,
    Path(email): Path<String>,
) -> Result<String, (StatusCode, String)> {
    let event = Event::new("birthday", &email).with_param("Email", email.as_str());
    match events.send(event).await {
        Ok(receipt) => Ok(format!("{} runs started\n", receipt.runs.len())),
        Err(error @ (SubmitError::Invalid(_) | SubmitError::Conflict(_))) => {
            Err((StatusCode::BAD_REQUEST, format!("{error}\n")))
        }
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))),
    }
}
