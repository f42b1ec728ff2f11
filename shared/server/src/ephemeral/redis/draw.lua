-- KEYS: bucket. ARGV: now, tokens wanted, capacity, milliseconds to fill, first penalty, longest penalty, how long to keep what is
-- over. {granted, drops, at, strikes, blocked until}. The same steps as `Bucket::draw`, on whole numbers below 2^53.
local now, want, capacity, per = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local penalty, longest = tonumber(ARGV[5]), tonumber(ARGV[6])
local full = capacity * per
local drops, at, strikes, blocked = full, now, 0, now
local stored = redis.call('GET', KEYS[1])
if stored then
  drops, at, strikes, blocked = struct.unpack('>i8i8i8i8', stored)
end
if at > now + per then
  at = now
end
drops = math.min(full, drops + math.max(0, math.min(now - at, per)) * capacity)
at = math.max(at, now)
blocked = math.min(blocked, now + math.max(longest, math.ceil(per / capacity)))
if blocked + per <= now then
  strikes = 0
end
if strikes > 0 and now < blocked then
  return {0, drops, at, strikes, blocked}
end
local granted = math.min(want, math.floor(drops / per))
drops = drops - granted * per
if granted == 0 and want > 0 then
  blocked = math.max(now + math.min(penalty * 2 ^ strikes, longest), at + math.ceil((per - drops) / capacity))
  strikes = math.min(strikes + 1, 32)
end
-- A bucket that is gone is a full one that nobody asked while it was empty.
local ends = at + math.ceil((full - drops) / capacity)
if strikes > 0 then
  ends = math.max(ends, blocked + per)
end
redis.call('SET', KEYS[1], struct.pack('>i8i8i8i8', drops, at, strikes, blocked), 'PX', ends - now + ARGV[7])
return {granted, drops, at, strikes, blocked}
