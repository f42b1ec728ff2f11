-- KEYS: entry. ARGV: now. {0, value} for the first caller, {1, mark} for those after it, nil if no live entry is there.
local stored = redis.call('GET', KEYS[1])
if not stored then
  return false
end
local taken, deadline, marked, start = struct.unpack('>Bi8I4', stored)
if deadline <= tonumber(ARGV[1]) then
  return false
end
local value = start + marked
if taken == 1 then
  return {1, string.sub(stored, start, value - 1)}
end
redis.call('SET', KEYS[1], '\1' .. string.sub(stored, 2, value - 1), 'KEEPTTL')
return {0, string.sub(stored, value)}
