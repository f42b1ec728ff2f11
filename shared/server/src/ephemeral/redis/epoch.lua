-- Since when the master that runs this has certainly remembered everything, in milliseconds. Kept in `key` as
-- "<millis> <replication id>". A missing record is a store that came up empty. Another replication id is another
-- history: a restart, or a promoted replica that may lack what its master had last acknowledged.
local function epoch(key, now)
  local id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  if not id then
    return redis.error_reply('ERR INFO replication names no master_replid')
  end
  local since, of = string.match(redis.call('GET', key) or '', '^(%-?%d+) (%x+)$')
  if of == id then
    return since
  end
  -- Never back: the clock of this node may be behind that of the node that began the last epoch.
  if not since or tonumber(since) < tonumber(now) then
    since = now
  end
  redis.call('SET', key, since .. ' ' .. id)
  return since
end
