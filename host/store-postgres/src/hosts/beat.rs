//! The beat: shows other hosts that this process runs, finds hosts that do not run any more, and
//! divides the work with the rest.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_store::StoreError;

use super::judge::{self, Judge, Judged};
use super::shares::{Plan, Share, SharePage};
use crate::clock::DatabaseClock;
use crate::connection::{Connection, params};
use crate::errors::{Error, Result};
use crate::seats::{Link, Seats};

/// The time between two beats.
const INTERVAL: Duration = Duration::from_secs(1);
/// The time between two attempts to beat.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// The longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often to remove hosts that ended long ago.
const CLEANING_INTERVAL: Duration = Duration::from_secs(3_600);
/// How long a host that ended is kept: until then it may look up what it committed last.
const KEPT_MILLISECONDS: i64 = 24 * 3_600 * 1_000;

/// The thread that beats, once this process is a host.
pub(crate) struct Beat {
    heart: Mutex<Option<Heart>>,
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Beat {
    /// Prepares the thread, which owns nothing of the process but what it is given here.
    pub(crate) fn new(link: Arc<Link>, seats: Arc<Seats>, clock: Arc<DatabaseClock>) -> Beat {
        let signal = Arc::new(Signal::default());
        let heart = Heart {
            link,
            seats,
            clock,
            signal: Arc::clone(&signal),
            connection: None,
            judge: Judge::default(),
            cleaned: None,
            is_failing: false,
        };
        Beat {
            heart: Mutex::new(Some(heart)),
            signal,
            thread: Mutex::default(),
        }
    }

    /// Starts the thread, unless it runs.
    pub(crate) fn start(&self) -> Result<()> {
        let Some(heart) = self.heart.lock().take() else {
            return Ok(());
        };
        let thread = thread::Builder::new()
            .name("postgres-beat".into())
            .spawn(move || heart.run())
            .map_err(|error| StoreError::Open(format!("cannot start a thread: {error}")))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Beats at once, and waits until that is done or failed.
    pub(crate) fn beat_now(&self) {
        self.signal.request(ANSWER_TIMEOUT);
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.signal.stop();
        if let Some(thread) = self.thread.lock().take() {
            // It never panics, and there is nothing to do if it did.
            let _ended = thread.join();
        }
    }

    /// Stops or resumes beating, as if the process was stopped.
    #[cfg(test)]
    pub(crate) fn pause(&self, paused: bool) {
        self.signal.state.lock().is_paused = paused;
    }
}

/// What other threads want of the one that beats.
#[derive(Default)]
struct Signal {
    state: Mutex<SignalState>,
    wake: Condvar,
    beaten: Condvar,
}

#[derive(Default)]
struct SignalState {
    is_stopping: bool,
    is_paused: bool,
    /// The number of requests to beat, and how many of them are served.
    requested: u64,
    served: u64,
}

impl Signal {
    fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.wake.notify_all();
    }

    fn request(&self, at_most: Duration) {
        let mut state = self.state.lock();
        state.requested += 1;
        let request = state.requested;
        self.wake.notify_all();
        let until = Instant::now() + at_most;
        while state.served < request {
            if self.beaten.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// Waits for a request, at most for that time. Returns the number of requests; `None` if the
    /// thread must end.
    fn wait(&self, at_most: Duration) -> Option<u64> {
        let mut state = self.state.lock();
        let mut until = Instant::now() + at_most;
        loop {
            if state.is_stopping {
                return None;
            }
            let is_over = Instant::now() >= until;
            if (is_over || state.served < state.requested) && !state.is_paused {
                return Some(state.requested);
            }
            if is_over {
                until = Instant::now() + at_most;
            }
            self.wake.wait_until(&mut state, until);
        }
    }

    fn serve(&self, requests: u64) {
        self.state.lock().served = requests;
        self.beaten.notify_all();
    }
}

/// What the thread works with.
struct Heart {
    link: Arc<Link>,
    seats: Arc<Seats>,
    clock: Arc<DatabaseClock>,
    signal: Arc<Signal>,
    connection: Option<Connection>,
    judge: Judge,
    /// When hosts that ended long ago were removed last.
    cleaned: Option<Instant>,
    is_failing: bool,
}

impl Heart {
    fn run(mut self) {
        let mut wait = INTERVAL;
        while let Some(requests) = self.signal.wait(wait) {
            let beaten = self.beat();
            wait = match &beaten {
                Ok(()) => INTERVAL,
                Err(_) => RETRY_INTERVAL,
            };
            // Logs only the first failure: the next attempt follows within milliseconds.
            match beaten {
                Err(error) if !self.is_failing => {
                    tracing::warn!("cannot show other hosts that this one runs: {error}");
                    self.is_failing = true;
                }
                Err(_) => {}
                Ok(()) => self.is_failing = false,
            }
            self.signal.serve(requests);
        }
    }

    fn beat(&mut self) -> Result<()> {
        let Some(host) = self.seats.host() else {
            return Ok(());
        };
        let idle = self.connection.take().filter(|one| !one.is_closed());
        let connection = match idle {
            Some(connection) => connection,
            None => self.link.connect(Some(ANSWER_TIMEOUT))?,
        };
        self.beat_on(&connection, &host)?;
        self.connection = Some(connection);
        Ok(())
    }

    fn beat_on(&mut self, connection: &Connection, host: &str) -> Result<()> {
        let executes = i32::from(self.seats.shares.wants_runs());
        let sent = Instant::now();
        // Each statement is a transaction.
        let answers = connection.pipeline(&[
            (
                "UPDATE host SET beat = beat + 1, executes = $2
                 WHERE id = $1 AND ended_at IS NULL",
                params![host, executes],
            ),
            (
                "SELECT id, beat, executes FROM host WHERE ended_at IS NULL",
                params![],
            ),
        ])?;
        let answered = Instant::now();
        let [beat, hosts] = &answers[..] else {
            return Err(Error::Lost("no answer".into()));
        };
        if beat.affected == 0 {
            self.seats.forget(host);
            return Ok(());
        }
        let mut others = Vec::new();
        let mut executors = 0;
        for row in &hosts.rows {
            executors += usize::from(row.flag(2)?);
            let (id, beat): (String, i64) = (row.get(0)?, row.get(1)?);
            if id != host {
                others.push(Judged { id, beat });
            }
        }
        for dead in self.judge.find_dead(others, sent, answered) {
            if judge::take_over(connection, &dead)? {
                tracing::warn!(host = dead.id, "took over the work of a dead host");
            }
        }
        self.divide_work(connection, host, sent, executors)?;
        self.clock.update(connection)?;
        let is_due = |cleaned: Instant| cleaned.elapsed() > CLEANING_INTERVAL;
        if self.cleaned.is_none_or(is_due) {
            let before = self.clock.now().0 - KEPT_MILLISECONDS;
            judge::remove_ended(connection, Timestamp(before))?;
            self.cleaned = Some(Instant::now());
        }
        Ok(())
    }

    /// Takes shares that are free and gives up what others are to have. `sent`: the time of the
    /// beat.
    fn divide_work(
        &self,
        connection: &Connection,
        host: &str,
        sent: Instant,
        executors: usize,
    ) -> Result<()> {
        let shares = &self.seats.shares;
        let mut page = SharePage::default();
        page.free.extend(shares.wanted());
        let rows = connection.query("SELECT kind, name, host FROM share", &[])?;
        for row in &rows.rows {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            let share = Share::read(&kind, &name)?;
            let Some(owner) = row.get::<Option<String>>(2)? else {
                continue;
            };
            page.free.remove(&share);
            if owner == host {
                page.own.insert(share);
            }
        }
        let plan = shares.beaten(sent, page, executors);
        self.change_shares(connection, host, plan)
    }

    /// Takes and gives up shares, unless this host was taken for dead.
    fn change_shares(&self, connection: &Connection, host: &str, plan: Plan) -> Result<()> {
        if plan == Plan::default() {
            return Ok(());
        }
        let keys = |shares: Vec<Share>| -> (Vec<&'static str>, Vec<String>) {
            let mut keys: Vec<_> = shares.into_iter().map(Share::key).collect();
            // All hosts lock rows in one order.
            keys.sort_unstable();
            keys.into_iter().unzip()
        };
        let (kinds, names) = keys(plan.take);
        let (kinds_to_give_up, names_to_give_up) = keys(plan.give_up);
        let answers = connection.pipeline(&[
            ("BEGIN", params![]),
            (
                "SELECT id FROM host WHERE id = $1 AND ended_at IS NULL FOR UPDATE",
                params![host],
            ),
            (
                "INSERT INTO share (kind, name) SELECT kind, name
                 FROM unnest($1::text[], $2::text[]) AS missing (kind, name)
                 ON CONFLICT (kind, name) DO NOTHING",
                params![kinds, names],
            ),
            (
                "SELECT kind FROM share
                 WHERE (kind, name) IN (SELECT * FROM unnest($1::text[], $2::text[]))
                     AND host IS NULL
                 ORDER BY kind, name FOR UPDATE",
                params![kinds, names],
            ),
        ])?;
        if answers.get(1).is_none_or(|answer| answer.rows.is_empty()) {
            connection.run_script("ROLLBACK")?;
            self.seats.forget(host);
            return Ok(());
        }
        let answers = connection.pipeline(&[
            (
                "UPDATE share SET host = $1
                 WHERE (kind, name) IN (SELECT * FROM unnest($2::text[], $3::text[]))
                     AND host IS NULL
                 RETURNING kind, name",
                params![host, kinds, names],
            ),
            (
                "UPDATE share SET host = NULL
                 WHERE (kind, name) IN (SELECT * FROM unnest($2::text[], $3::text[]))
                     AND host = $1",
                params![host, kinds_to_give_up, names_to_give_up],
            ),
            ("COMMIT", params![]),
        ])?;
        let taken = answers.first().map(|answer| answer.rows.iter());
        let taken = taken.into_iter().flatten().map(|row| {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            Share::read(&kind, &name)
        });
        self.seats.shares.taken(taken.collect::<Result<Vec<_>>>()?);
        Ok(())
    }
}
