-- A session that nobody used for long is over, and goes long before its last day.
CREATE INDEX sessions_seen_at ON sessions (seen_at);
