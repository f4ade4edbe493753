-- The schema of a Promoflow database.
-- Times are milliseconds since 1970 in UTC; 9223372036854775807 means never.

-- A setting of the installation.
-- `pool-generation` and `key-generation` increase with each change of the pool and of the API keys.
-- `config-version` is the number of configuration changes so far; `next-code-id` is the id of the
-- next code. `installation` distinguishes this installation's deliveries from another one's at the
-- same provider. `contacts-enabled` is 1 once contacts are in use; `contacts-last-event` is the
-- last event from which they were filled before. `has-lowercase-codes` is 1 if a code has letters
-- other than A to Z.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO setting (name, value) VALUES
    ('time-zone', 'UTC'), ('pool-generation', '0'), ('key-generation', '0'),
    ('config-version', '0'), ('next-code-id', '1'), ('installation', lower(hex(randomblob(8)))),
    ('contacts-enabled', '0'), ('contacts-last-event', '0'), ('has-lowercase-codes', '0');

-- Configuration. `config_version` is the value of the setting when the row was added.

-- A version of a message. Versions are only ever added.
CREATE TABLE message (
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    config_version INTEGER NOT NULL,
    definition TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id, version)
) STRICT, WITHOUT ROWID;

-- A block that a workflow uses: its WebAssembly component, by the component's digest.
CREATE TABLE block (
    digest TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    component BLOB NOT NULL
) STRICT;

-- A version of a workflow. Versions are only ever added.
CREATE TABLE workflow (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    config_version INTEGER NOT NULL,
    definition TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (id, version)
) STRICT;

-- Whether a workflow, in all its versions, starts runs.
-- `pause_reason`: why it is paused; NULL if a person paused it.
CREATE TABLE workflow_state (
    workflow TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('active', 'paused')),
    pause_reason TEXT
) STRICT, WITHOUT ROWID;

-- The pool.

-- A code group: a type and a discount. Its small id keeps the keys below short.
CREATE TABLE code_group (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    discount INTEGER NOT NULL CHECK (discount BETWEEN 0 AND 99),
    UNIQUE (type, discount)
) STRICT;

-- A promo code, whatever its state. `upload`: the last upload that changed it.
CREATE TABLE code (
    code TEXT PRIMARY KEY,
    id INTEGER NOT NULL,
    code_group INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    retired INTEGER NOT NULL CHECK (retired IN (0, 1)),
    upload INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A code that may be claimed, in the order of claiming. A claim deletes from the head, so two
-- claims cannot find the same code, and claims touch few pages regardless of the upload order.
CREATE TABLE available_code (
    code_group INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    code_id INTEGER NOT NULL,
    code TEXT NOT NULL,
    PRIMARY KEY (code_group, expires_at, code_id)
) STRICT, WITHOUT ROWID;

-- The ledger of the pool. Its rows are only ever added; `audit` re-derives the promises from them.

-- An upload of codes. `api_key`: the key that uploaded; NULL if not through the service. `owner`:
-- the process that must end it; NULL if it was committed at once, or if any process completes it.
CREATE TABLE upload (
    id INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL,
    source TEXT NOT NULL,
    api_key TEXT,
    owner TEXT
) STRICT;

-- The rows of an upload that were imported in one transaction, counted by outcome.
CREATE TABLE upload_batch (
    id INTEGER PRIMARY KEY,
    upload INTEGER NOT NULL REFERENCES upload,
    first_code_id INTEGER NOT NULL,
    inserted INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    rejected INTEGER NOT NULL
) STRICT;
CREATE INDEX upload_batch_by_upload ON upload_batch (upload);

-- A code was retired (1) or made available again (0).
CREATE TABLE retirement (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL,
    retired INTEGER NOT NULL CHECK (retired IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;

-- A code that a step of a run got. `visit`: counts the visits of the run to that step; `ordinal`:
-- counts the claims or messages of that visit.
CREATE TABLE claim (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    step TEXT NOT NULL,
    visit INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    code_group INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    code_id INTEGER NOT NULL,
    code TEXT NOT NULL,
    contact TEXT NOT NULL,
    claimed_at INTEGER NOT NULL
) STRICT;
-- In the order of `available_code`, so that the claims of a code group append to it.
CREATE INDEX claim_by_code ON claim (code_group, expires_at, code_id);
CREATE UNIQUE INDEX claim_by_step ON claim (run, step, visit, ordinal);

-- A claim was released: its code went back to the pool.
CREATE TABLE claim_release (
    claim INTEGER PRIMARY KEY REFERENCES claim,
    created_at INTEGER NOT NULL
) STRICT;

-- The claim of a code group that a contact keeps.
CREATE TABLE contact_code (
    contact TEXT NOT NULL,
    code_group INTEGER NOT NULL,
    claim INTEGER NOT NULL REFERENCES claim,
    PRIMARY KEY (contact, code_group)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_code_by_claim ON contact_code (claim);

-- A run used a claim that its contact kept from an earlier run.
CREATE TABLE code_reuse (
    run INTEGER NOT NULL,
    claim INTEGER NOT NULL REFERENCES claim,
    PRIMARY KEY (run, claim)
) STRICT, WITHOUT ROWID;
CREATE INDEX code_reuse_by_claim ON code_reuse (claim);

-- Uploads.

-- The end of an upload. An upload without one is in progress, or its process has died.
CREATE TABLE upload_end (
    upload INTEGER PRIMARY KEY REFERENCES upload,
    state TEXT NOT NULL CHECK (state IN ('completed', 'interrupted')),
    ended_at INTEGER NOT NULL
) STRICT;

-- One of the first rejected rows of an upload.
CREATE TABLE upload_rejection (
    upload INTEGER NOT NULL REFERENCES upload,
    number INTEGER NOT NULL,
    line INTEGER NOT NULL,
    field TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

-- A warning about an upload. It rejects no row.
CREATE TABLE upload_warning (
    upload INTEGER NOT NULL REFERENCES upload,
    number INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

-- A slice of a staged upload: checked rows, in code order, that are not yet imported. They are
-- imported only if the stage belongs to an accepted upload.
CREATE TABLE upload_slice (
    stage TEXT NOT NULL,
    number INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    rows BLOB NOT NULL,
    PRIMARY KEY (stage, number)
) STRICT;

-- The stage of an accepted upload that still has slices to import.
CREATE TABLE upload_stage (
    upload INTEGER PRIMARY KEY REFERENCES upload,
    stage TEXT NOT NULL,
    first_code_id INTEGER NOT NULL
) STRICT;

-- Events and runs.

-- An accepted event. `event_id`: the sender's id, by which a repeated event is recognised.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    event_id TEXT,
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    params TEXT NOT NULL,
    accepted_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_by_id ON event (event_id) WHERE event_id IS NOT NULL;

-- The trace context of an event. Stored while traces are exported; see docs/operation.md.
CREATE TABLE event_trace (
    event INTEGER PRIMARY KEY REFERENCES event,
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,
    sampled INTEGER NOT NULL CHECK (sampled IN (0, 1))
) STRICT;

-- A run of a workflow version for an event. `segment`: the number of committed segments; `step`:
-- the index of the step with which the next segment begins; `attempt`: the attempts of that
-- segment so far. `due_at`: when the run may continue; NULL if it has ended or waits without a
-- deadline. `data`: its values after the last segment; NULL: the parameters of its event.
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL REFERENCES event,
    workflow INTEGER NOT NULL REFERENCES workflow,
    config_version INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('running', 'waiting', 'completed', 'failed', 'cancelled')),
    segment INTEGER NOT NULL,
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    due_at INTEGER,
    data TEXT,
    error TEXT,
    started_at INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;
CREATE INDEX run_by_event ON run (event);
CREATE INDEX run_due ON run (due_at) WHERE due_at IS NOT NULL;
-- Most runs complete with their first commit and are never in this index.
CREATE INDEX run_unfinished ON run (state) WHERE state <> 'completed';

-- A run of a workflow that has a start or stop rule, by event key.
-- `stop_event`: the type of the event that stops the run.
CREATE TABLE start_record (
    event_key TEXT NOT NULL,
    workflow TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES run,
    stop_event TEXT,
    PRIMARY KEY (event_key, workflow, run)
) STRICT, WITHOUT ROWID;

-- A committed segment of a run. `steps`: the executed steps, as a JSON array.
CREATE TABLE journal (
    run INTEGER NOT NULL REFERENCES run,
    segment INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('completed', 'failed', 'waiting')),
    steps TEXT NOT NULL,
    committed_at INTEGER NOT NULL,
    PRIMARY KEY (run, segment)
) STRICT, WITHOUT ROWID;

-- The failed attempts of a step in a run's current segment, for one kind of failure.
CREATE TABLE retry_state (
    run INTEGER NOT NULL REFERENCES run,
    step TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('unavailable', 'trapped')),
    attempts INTEGER NOT NULL,
    failed_at INTEGER NOT NULL,
    PRIMARY KEY (run, step, kind)
) STRICT, WITHOUT ROWID;

-- A name, other than its event's key, under which a run's contact got or keeps codes.
CREATE TABLE contact_alias (
    run INTEGER NOT NULL REFERENCES run,
    name TEXT NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

-- An active run with a message that was not sent, because the contact has no address for it or has
-- unsubscribed. When the run completes, the codes that none of its messages may carry are released.
CREATE TABLE release_on_completion (
    run INTEGER PRIMARY KEY REFERENCES run
) STRICT;

-- The wait of a run for a code or a reply, in the order in which runs get codes. Kept until the run
-- continues. `ordinal`: that of the claim to make. `is_served`: the wait is over, because the run
-- got a code (`claim`) or a reply, or may use a code that its contact keeps. `kept_claim`: the
-- claim that the contact kept when the run asked, or 0; a newer one ends the wait.
CREATE TABLE run_wait (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL UNIQUE REFERENCES run,
    step TEXT NOT NULL,
    visit INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    code_group INTEGER REFERENCES code_group,
    days INTEGER,
    contact TEXT,
    keeps_code INTEGER CHECK (keeps_code IN (0, 1)),
    kept_claim INTEGER,
    request TEXT,
    created_at INTEGER NOT NULL,
    is_served INTEGER NOT NULL CHECK (is_served IN (0, 1)),
    claim INTEGER REFERENCES claim,
    reply TEXT,
    CHECK ((code_group IS NULL) <> (request IS NULL))
) STRICT;
CREATE INDEX run_wait_by_code_group ON run_wait (code_group, id)
    WHERE is_served = 0 AND code_group IS NOT NULL;

-- A claim for a waiting run whose code expired before the run's step took it.
CREATE TABLE expired_grant (
    claim INTEGER PRIMARY KEY REFERENCES claim,
    created_at INTEGER NOT NULL
) STRICT;

-- The outbox.

-- A delivery: the sending of one rendered message. `alternative`: the number of the current
-- alternative, from which `channel`, `address`, `message` and `content` are copied.
-- `attempts_before`: attempts that do not count for the back-off, because they used another
-- alternative or were made before an operator restarted the delivery. `due_at`: when the next
-- attempt may begin; NULL if there is none. `allowed_hours`: the hours of the day in which attempts
-- may begin, with their time zone.
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run,
    step TEXT NOT NULL,
    visit INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    message TEXT NOT NULL,
    content TEXT NOT NULL,
    alternative INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'cancelled')),
    attempts INTEGER NOT NULL,
    attempts_before INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,
    expires_at INTEGER NOT NULL,
    allowed_hours TEXT,
    error TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX delivery_by_step ON delivery (run, step, visit, ordinal);
-- By channel, so that a look-up does not pass deliveries of other channels.
CREATE INDEX delivery_due ON delivery (channel, due_at) WHERE due_at IS NOT NULL;

-- An alternative of a delivery that has more than one, including the first.
CREATE TABLE delivery_alternative (
    delivery INTEGER NOT NULL REFERENCES delivery,
    number INTEGER NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    message TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- An attempt of a delivery. `ambiguous`: the provider may have accepted the message. 1 from the
-- start of the attempt until its outcome says otherwise.
CREATE TABLE attempt (
    delivery INTEGER NOT NULL REFERENCES delivery,
    number INTEGER NOT NULL,
    alternative INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    outcome TEXT CHECK (outcome IN ('delivered', 'retryable', 'permanent')),
    ambiguous INTEGER NOT NULL DEFAULT 1 CHECK (ambiguous IN (0, 1)),
    error TEXT,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- The latest `Retry-After` deadline of a channel, by its kind, or of a webhook, by its name.
CREATE TABLE throttle (
    party TEXT NOT NULL CHECK (party IN ('channel', 'webhook')),
    name TEXT NOT NULL,
    until_at INTEGER NOT NULL,
    PRIMARY KEY (party, name)
) STRICT, WITHOUT ROWID;

-- Alerts.

-- An alert that was raised at least once. `sequence`: how often; `params`: those of its last event;
-- `is_notified`: 0 until that event is stored.
CREATE TABLE alert (
    kind TEXT NOT NULL,
    type TEXT NOT NULL,
    discount INTEGER NOT NULL,
    level TEXT NOT NULL,
    raised INTEGER NOT NULL CHECK (raised IN (0, 1)),
    sequence INTEGER NOT NULL,
    is_notified INTEGER NOT NULL CHECK (is_notified IN (0, 1)),
    params TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (type, discount, kind, level)
) STRICT, WITHOUT ROWID;

-- An alert event, as JSON, that is sent to a webhook. Added in the transaction that sets
-- `is_notified` of the alert, so that each event has one row for each webhook.
CREATE TABLE notification (
    id INTEGER PRIMARY KEY,
    webhook TEXT NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts INTEGER NOT NULL,
    due_at INTEGER,
    error TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX notification_due ON notification (webhook, due_at) WHERE due_at IS NOT NULL;

-- Contacts.

-- A contact. `fields`: a JSON object; `languages`: a JSON array.
CREATE TABLE contact (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    external_id TEXT,
    fields TEXT NOT NULL,
    languages TEXT NOT NULL,
    time_zone TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX contact_by_external_id ON contact (external_id)
    WHERE external_id IS NOT NULL;

-- An address of a contact. `address_key`: its normalised form, common to its spellings.
CREATE TABLE contact_address (
    contact INTEGER NOT NULL REFERENCES contact,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    address_key TEXT NOT NULL,
    PRIMARY KEY (contact, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_by_address ON contact_address (kind, address_key, contact);

-- An address that a contact had until some time. Pending deliveries and late unsubscriptions for it
-- still belong to that contact.
CREATE TABLE former_address (
    contact INTEGER NOT NULL REFERENCES contact,
    kind TEXT NOT NULL,
    address_key TEXT NOT NULL,
    until_at INTEGER NOT NULL,
    PRIMARY KEY (contact, kind, address_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX former_address_by_key ON former_address (kind, address_key, until_at);

-- A contact's consent for a channel, given (1) or withdrawn (0). No row: none was stated.
CREATE TABLE consent (
    contact INTEGER NOT NULL REFERENCES contact,
    channel TEXT NOT NULL,
    given INTEGER NOT NULL CHECK (given IN (0, 1)),
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (contact, channel)
) STRICT, WITHOUT ROWID;
-- Small however large the directory is, so that checking for any withdrawn consent is one look-up.
CREATE INDEX consent_withdrawn ON consent (contact, channel) WHERE given = 0;

-- An address that has unsubscribed from a channel, whichever contact has it.
CREATE TABLE suppression (
    channel TEXT NOT NULL,
    address_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (channel, address_key)
) STRICT, WITHOUT ROWID;

-- The service.

-- An API key. Only the hash of its secret is stored.
CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

-- The response to a request with an Idempotency-Key. `owner`: the process that still processes the
-- request and has reserved the key; NULL once the response is stored.
CREATE TABLE idempotent_response (
    api_key TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    owner TEXT,
    fingerprint BLOB,
    status INTEGER,
    content_type TEXT,
    location TEXT,
    body BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (api_key, idempotency_key),
    CHECK ((owner IS NULL) = (fingerprint IS NOT NULL AND status IS NOT NULL AND body IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotent_response_by_age ON idempotent_response (created_at);
