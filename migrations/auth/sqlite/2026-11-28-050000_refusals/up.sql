-- Why requests were refused, for operators, for a while. A client may choose the id of its request, so that several may share one.
CREATE TABLE refusals (
    request_id TEXT NOT NULL,
    id TEXT NOT NULL,
    refused_at INTEGER NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    status INTEGER NOT NULL,
    error TEXT,
    causes TEXT NOT NULL,
    mend TEXT,
    client_id TEXT,
    grant_type TEXT,
    trace_id TEXT,
    PRIMARY KEY (request_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX refusals_refused_at ON refusals (refused_at);
