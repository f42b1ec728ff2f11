DROP INDEX sessions_seen_at;
