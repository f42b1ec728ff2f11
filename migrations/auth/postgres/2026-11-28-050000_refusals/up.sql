-- Why requests were refused, for operators, for a while. A client may choose the id of its request, so that several may share one.
CREATE TABLE refusals (
    request_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    refused_at BIGINT NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    route TEXT COLLATE "C" NOT NULL,
    status BIGINT NOT NULL,
    error TEXT COLLATE "C",
    causes JSON NOT NULL,
    mend TEXT COLLATE "C",
    client_id TEXT COLLATE "C",
    grant_type TEXT COLLATE "C",
    trace_id TEXT COLLATE "C",
    PRIMARY KEY (request_id, id)
);
CREATE INDEX refusals_refused_at ON refusals (refused_at);
