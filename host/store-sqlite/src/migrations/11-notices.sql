-- Events of alerts on their way to webhooks: `event` is the whole of it, as JSON. Stored with the word
-- that the event itself is stored (`told` of the alert), so that each crossing has one row a webhook.
CREATE TABLE notice (
    id INTEGER PRIMARY KEY,
    webhook TEXT NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts INTEGER NOT NULL,
    due INTEGER,
    error TEXT,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX notice_due ON notice (webhook, due) WHERE due IS NOT NULL;
