-- What keeps a partition clean: retention, and the repair of indexes.
do
  local OWNED = {
    'execution', 'payload', 'result', 'tags', 'history', 'output', 'best_effort', 'summary', 'suspension', 'waitpoints',
    'signals', 'deliveries', 'delivery_expiry', 'journal', 'journal_data', 'steps',
  }

  local function purge(prefix, id, x)
    if x then
      ff.unindex_tags(x, redis.call('HGETALL', ff.key(prefix, 'tags', id)))
    end
    local owned = {}
    for i, kind in ipairs(OWNED) do
      owned[i] = ff.key(prefix, kind, id)
    end
    redis.call('UNLINK', unpack(owned))
    redis.call('ZREM', prefix .. 'executions', id)
    redis.call('ZREM', prefix .. 'deadline', id)
    redis.call('ZREM', prefix .. 'attempt_timeout', id)
  end

  -- Deletes everything that terminal executions own once their retention is over.
  --
  -- KEYS  1 executions
  -- ARGV  1 limit
  -- gives {changed, next due}
  -- codes none
  local function retention_purge(keys, args)
    local prefix, now, left, next_due = ff.prefix(keys[1]), ff.now_ms(), tonumber(args[1]), nil
    local changed = 0
    for state in pairs(ff.TERMINAL) do
      for _, id in ipairs(redis.call('ZRANGE', prefix .. state, '-inf', now, 'BYSCORE', 'LIMIT', 0, left)) do
        local x = ff.load(prefix, id)
        if not x or x.state == state then
          purge(prefix, id, x)
          changed = changed + 1
        end
        redis.call('ZREM', prefix .. state, id)
        left = left - 1
      end
      local head = redis.call('ZRANGE', prefix .. state, 0, 0, 'WITHSCORES')
      local due = head[2] and tonumber(head[2])
      next_due = due and math.min(due, next_due or due) or next_due
    end
    return { changed, next_due or '' }
  end

  -- The index an execution belongs in by its state, and the score it has there when it must be put back.
  local function home(x, now, ttl_ms)
    if x.state == 'waiting' then
      return 'queue:' .. x.queue, ff.score(x)
    elseif x.state == 'delayed' then
      return 'delayed', x.due_at or now
    elseif x.state == 'active' then
      x.expires_at = x.expires_at or now + ttl_ms
      return x.confirmed and 'leased' or 'offered', x.expires_at
    elseif x.state == 'suspended' then
      local record = ff.suspension(x)
      return 'suspended', record and ff.next_due(record) or ff.NEVER
    end
    return x.state, now + ff.policy(x, 'retention_ms')
  end

  -- Puts x back where its state says it belongs. Gives what was repaired.
  local function repair(x, now, ttl_ms)
    local repaired = 0
    local index, score = home(x, now, ttl_ms)
    if x.index ~= index or not redis.call('ZSCORE', x.prefix .. index, x.id) then
      if x.index and x.index ~= index then
        redis.call('ZREM', x.prefix .. x.index, x.id)
      end
      x.index = index
      redis.call('ZADD', x.prefix .. index, score, x.id)
      ff.save(x)
      repaired = repaired + 1
    end
    if x.state == 'waiting' and not redis.call('ZSCORE', x.prefix .. 'ready', x.queue) then
      ff.refresh_ready(x.prefix, x.queue)
      redis.call('SPUBLISH', x.prefix .. 'wake', string.format('%.0f', score) .. ' ' .. x.queue)
      repaired = repaired + 1
    end
    -- When a worker that was asked to stop must have done so is only in the index: without it, the time is over.
    local ends_at = x.cancel_at or x.deadline_at
    if ends_at and not ff.TERMINAL[x.state] and not redis.call('ZSCORE', x.prefix .. 'deadline', x.id) then
      redis.call('ZADD', x.prefix .. 'deadline', ends_at, x.id)
      repaired = repaired + 1
    end
    if x.attempt_timeout_ms and x.state == 'active' and not redis.call('ZSCORE', x.prefix .. 'attempt_timeout', x.id) then
      redis.call('ZADD', x.prefix .. 'attempt_timeout', x.granted_at + x.attempt_timeout_ms - (x.spent_ms or 0), x.id)
      repaired = repaired + 1
    end
    return repaired
  end

  -- Checks up to `limit` entries of an index against the executions they stand for, and repairs what is wrong.
  --
  -- KEYS  1 executions
  -- ARGV  1 index          executions (each must be in its one index), or any other (each entry must have its
  --                        execution, and that must agree)
  --       2 offset         place to go on from
  --       3 limit
  --       4 ttl_ms         expiry given to a lease that is put back
  -- gives {offset to go on from or 0 at the end, repaired}
  -- codes none
  local function index_reconcile(keys, args)
    local prefix, now = ff.prefix(keys[1]), ff.now_ms()
    local index, offset, limit = args[1], tonumber(args[2]), tonumber(args[3])
    local ids = redis.call('ZRANGE', prefix .. index, offset, offset + limit - 1)
    local repaired, dropped = 0, 0
    ff.preload(prefix, ids)
    for _, id in ipairs(ids) do
      local x = ff.load(prefix, id)
      if index == 'executions' and x then
        repaired = repaired + repair(x, now, tonumber(args[4]))
      elseif not x or (x.index ~= index and index ~= 'deadline' and index ~= 'attempt_timeout') then
        redis.call('ZREM', prefix .. index, id)
        repaired, dropped = repaired + 1, dropped + 1
      end
    end
    return { #ids < limit and 0 or offset + limit - dropped, repaired }
  end

  register('retention_purge', retention_purge)
  register('index_reconcile', index_reconcile)
end
