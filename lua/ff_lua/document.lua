-- Executions as documents, their indexes, and the writes of a call, which are made together at its end.
--
-- An execution is one JSON document. A function loads it as a table `x`, changes that, and saves it once: one
-- transition, one write to the core. Not a hash: reading 29 and writing 15 fields of one cost a function 45 us in
-- argument passing alone; GET, decode, encode and SET of the same cost 12.
--
-- Each redis.call costs about 1.5 us before it does anything, and the hot functions handle many executions. So what
-- a function changes is collected, and `flush` writes it at its end with one call for all cores, one for each index,
-- one for all events. Nothing can fail after a write, because nothing is left to do.
do
  local known -- executions loaded in this call, by id; false for those that do not exist
  local dirty -- those of them to be written
  local adds, removes -- index -> id -> score, index -> id -> true
  local events, news -- what goes to the feed, and to whom it matters
  local prefix_in_force -- of the partition this call works on

  function ff.begin()
    known, dirty, adds, removes, events, news = {}, {}, {}, {}, {}, {}
  end

  local function remember(prefix, id, core)
    local x = core and cjson.decode(core) or false
    if x then
      x.id, x.prefix = id, prefix
    end
    known[id] = x
    return x
  end

  -- The execution as a table, or nil.
  function ff.load(prefix, id)
    local x = known[id]
    if x == nil then
      x = remember(prefix, id, redis.call('GET', ff.key(prefix, 'execution', id)))
    end
    return x or nil
  end

  -- Loads many executions with one call; `load` then finds them.
  function ff.preload(prefix, ids)
    local keys = {}
    for i, id in ipairs(ids) do
      keys[i] = ff.key(prefix, 'execution', id)
    end
    if #keys > 1 then
      for i, core in ipairs(redis.call('MGET', unpack(keys))) do
        remember(prefix, ids[i], core)
      end
    end
  end

  -- Loads the executions of many lease tokens.
  function ff.preload_leases(prefix, tokens)
    local ids = {}
    for _, token in ipairs(tokens) do
      local id = string.match(token, '^[^:]+')
      if id then
        ids[#ids + 1] = id
      end
    end
    ff.preload(prefix, ids)
  end

  -- Has the execution written at the end of the call.
  function ff.save(x)
    known[x.id], dirty[x.id], prefix_in_force = x, x, x.prefix
  end

  local function put(map, index, id, value)
    map[index] = map[index] or {}
    map[index][id] = value
  end

  local function flush_cores()
    local flat = {}
    for id, x in pairs(dirty) do
      local prefix, ended = x.prefix, x.ended
      x.id, x.prefix, x.ended = nil, nil, nil
      flat[#flat + 1] = ff.key(prefix, 'execution', id)
      flat[#flat + 1] = cjson.encode(x)
      -- A lease that ended although the execution goes on becomes a record of its history.
      if ended and not ff.TERMINAL[x.state] then
        local history = ff.key(prefix, 'history', id)
        redis.call('HSET', history, x.epoch, cjson.encode(ended))
        redis.call('HDEL', history, x.epoch - ff.HISTORY_KEPT)
      end
    end
    if #flat > 0 then
      redis.call('MSET', unpack(flat))
    end
  end

  local function flush_indexes(prefix)
    for index, ids in pairs(removes) do
      local flat = {}
      for id in pairs(ids) do
        flat[#flat + 1] = id
      end
      if #flat > 0 then
        redis.call('ZREM', prefix .. index, unpack(flat))
        if string.sub(index, 1, 6) == 'queue:' then
          ff.refresh_ready(prefix, string.sub(index, 7))
        end
      end
    end
    for index, scores in pairs(adds) do
      local flat, head = {}, math.huge
      for id, score in pairs(scores) do
        flat[#flat + 1] = score
        flat[#flat + 1] = id
        head = math.min(head, score)
      end
      if #flat > 0 then
        redis.call('ZADD', prefix .. index, unpack(flat))
        if string.sub(index, 1, 6) == 'queue:' then
          ff.announce(prefix, string.sub(index, 7), head)
        end
      end
    end
  end

  -- Makes every write of the call.
  function ff.flush()
    local prefix = prefix_in_force
    flush_cores()
    flush_indexes(prefix)
    if #events > 0 then
      redis.call('XADD', prefix .. 'events', 'MAXLEN', '~', ff.EVENTS_KEPT, '*', unpack(events))
    end
    for i = 1, #news, 2 do
      redis.call('SPUBLISH', news[i], news[i + 1])
    end
  end

  ------------------------------------------------------------------------------------------------------- indexes

  -- Higher priority first, then older first. Retried and returned work keeps its place. Exact, because the highest
  -- priority, 9000e12, and milliseconds stay below 2^53.
  function ff.score(x)
    return -(x.priority * 1e12) + x.created_at
  end

  -- Sets the ready entry of a queue to its head, or drops it when the queue is empty.
  function ff.refresh_ready(prefix, queue)
    local head = redis.call('ZRANGE', ff.key(prefix, 'queue', queue), 0, 0, 'WITHSCORES')
    if head[2] then
      redis.call('ZADD', prefix .. 'ready', head[2], queue)
      return head[2]
    end
    redis.call('ZREM', prefix .. 'ready', queue)
    return ''
  end

  -- Sets the ready entry of a queue that got a better head, and wakes schedulers.
  function ff.announce(prefix, queue, score)
    if redis.call('ZADD', prefix .. 'ready', 'LT', 'CH', score, queue) == 1 then
      redis.call('SPUBLISH', prefix .. 'wake', string.format('%.0f', score) .. ' ' .. queue)
    end
  end

  -- Enters a new execution into the list of all.
  function ff.list(x)
    put(adds, 'executions', x.id, x.created_at)
  end

  -- Moves x into the one index of its new place. `popped` says that ZPOPMIN took it out of its old one.
  function ff.place(x, index, score, popped)
    local old = x.index
    if old and old ~= index and not popped then
      if adds[old] then
        adds[old][x.id] = nil
      end
      put(removes, old, x.id, true)
    end
    if removes[index] then
      removes[index][x.id] = nil
    end
    x.index = index
    put(adds, index, x.id, score)
    prefix_in_force = x.prefix
  end

  ------------------------------------------------------------------------------------------------------- events


  -- Appends to the partition's durable feed and wakes whoever watches this execution. The events of one call are one
  -- entry of the feed, each a field `event`: "<name> <execution> <state> <attempt> <epoch> <detail>".
  function ff.event(x, name, detail)
    events[#events + 1] = 'event'
    events[#events + 1] = name .. ' ' .. x.id .. ' ' .. x.state .. ' ' .. x.attempt .. ' ' .. x.epoch .. ' ' .. (detail or '')
    ff.tell_watchers(x, name)
  end

  function ff.tell_watchers(x, name)
    news[#news + 1] = ff.key(x.prefix, 'watch', x.id)
    news[#news + 1] = name
    prefix_in_force = x.prefix
  end
end
