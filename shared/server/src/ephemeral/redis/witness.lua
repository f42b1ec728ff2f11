-- KEYS: epoch record. ARGV: now.
return epoch(KEYS[1], ARGV[1])
