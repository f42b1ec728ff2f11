-- KEYS: entry, epoch record. ARGV: now, packed entry, milliseconds until it is rubbish. Nil if a live entry is there.
local stored = redis.call('GET', KEYS[1])
if stored then
  local _, deadline = struct.unpack('>Bi8', stored)
  if deadline > tonumber(ARGV[1]) then
    return false
  end
end
local since = epoch(KEYS[2], ARGV[1])
if type(since) == 'table' then
  return since
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return since
