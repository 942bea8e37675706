-- What every function shares: the clock, the keys, the state machine, the indexes and the lease check.
--
-- A function works on one partition. KEYS[1] is always the partition's anchor, "ff:{p:N}:executions"; the other
-- keys are derived from it here and nowhere else (core/ff_core/keys.py is the mirror, and a test compares them):
-- most ids are only known after a pop or a scan, and a second round trip would cost more than it declares.
--
-- An execution is one JSON document. A function loads it as a table `x`, changes that, and saves it once: one
-- transition, one write to the core. Not a hash: reading 29 and writing 15 fields of one cost a function 45 us in
-- argument passing alone; GET, decode, encode and SET of the same cost 12.
--
-- Each redis.call costs about 1.5 us before it does anything, and the hot functions handle many executions. So what
-- a function changes is collected, and `flush` writes it at its end with one call for all cores, one for each index,
-- one for all events. Nothing can fail after a write, because nothing is left to do.

local ff = {}

-- Registers a function of this release. Its writes are collected while it runs and made at its end.
local function register(name, body)
  redis.register_function(LIBRARY .. '_' .. name, function(keys, args)
    ff.begin()
    local reply = body(keys, args)
    ff.flush()
    return reply
  end)
end

do

  ff.EVENTS_KEPT = '10000' -- per partition; the bound of the durable feed
  ff.MAX_PRIORITY = 9000 -- keeps score exact: 9000e12 + ms is below 2^53

  ff.DEFAULTS = {
    max_attempts = 4,
    backoff_initial_ms = 1000,
    backoff_multiplier = 2,
    backoff_max_ms = 60000,
    backoff_jitter = 0.1,
    max_reclaims = 100,
    reclaim_delay_ms = 0,
    max_replays = 10,
    retention_ms = 86400000,
    output_max_frames = 10000,
    output_max_bytes = 67108864,
  }

  ---------------------------------------------------------------------------------------------------- time, keys

  -- Milliseconds by Valkey's clock: the only clock a decision may use.
  function ff.now_ms()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  end

  -- "ff:{p:N}:" of an anchor.
  function ff.prefix(anchor)
    return string.match(anchor, '^ff:{[^}]+}:')
  end

  function ff.key(prefix, kind, id)
    return prefix .. kind .. ':' .. id
  end

  ------------------------------------------------------------------------------------------------- state machine

  -- operation -> states it may leave -> states it may reach. docs/reference/states.md draws this table.
  ff.TRANSITIONS = {
    create = { from = {}, to = { waiting = true, delayed = true } },
    promote = { from = { delayed = true }, to = { waiting = true } },
    claim = { from = { waiting = true }, to = { active = true } },
    release = { from = { active = true }, to = { waiting = true, cancelled = true } },
    reclaim = { from = { active = true }, to = { waiting = true, delayed = true, failed = true, cancelled = true } },
    complete = { from = { active = true }, to = { completed = true } },
    fail = { from = { active = true }, to = { waiting = true, delayed = true, failed = true, cancelled = true } },
    delay = { from = { active = true }, to = { delayed = true, cancelled = true } },
    stop = { from = { active = true }, to = { cancelled = true } },
    cancel = { from = { waiting = true, delayed = true, active = true }, to = { cancelled = true, active = true } },
    expire = { from = { waiting = true, delayed = true, active = true }, to = { expired = true } },
    replay = { from = { completed = true, failed = true, cancelled = true, expired = true }, to = { waiting = true } },
  }

  ff.TERMINAL = { completed = true, failed = true, cancelled = true, expired = true }

  -- The error code when `operation` may not leave the state of x, else nil.
  function ff.refusal(x, operation)
    if not x then
      return 'EXECUTION_NOT_FOUND'
    end
    if ff.TRANSITIONS[operation].from[x.state] then
      return nil
    end
    if operation == 'replay' then
      return 'EXECUTION_NOT_TERMINAL'
    end
    return ff.TERMINAL[x.state] and 'EXECUTION_TERMINAL' or 'EXECUTION_NOT_ACTIVE'
  end

  ------------------------------------------------------------------------------------------------ load and save

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
      local id = ff.parse_lease(token)
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
        redis.call('HSET', ff.key(prefix, 'history', id), x.epoch, cjson.encode(ended))
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

  -- A policy value: what the submitter stored, else the default.
  function ff.policy(x, name)
    local value = x.policy and x.policy[name]
    if value == nil then
      return ff.DEFAULTS[name]
    end
    return value
  end

  ------------------------------------------------------------------------------------------------------- indexes

  -- Higher priority first, then older first. Retried and returned work keeps its place.
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

  local function drop_timers(x)
    if x.attempt_timeout_ms then
      redis.call('ZREM', x.prefix .. 'attempt_timeout', x.id)
    end
  end

  local function drop_deadline(x)
    if x.deadline_at or x.cancel_at then
      redis.call('ZREM', x.prefix .. 'deadline', x.id)
    end
  end

  ------------------------------------------------------------------------------------------------------- events

  -- Appends to the partition's durable feed and wakes whoever watches this execution. The events of one call are one
  -- entry of the feed, each a field `event`: "<name> <execution> <state> <attempt> <epoch> <detail>".
  function ff.event(x, name, detail)
    events[#events + 1] = 'event'
    events[#events + 1] = table.concat({ name, x.id, x.state, x.attempt, x.epoch, detail or '' }, ' ')
    ff.tell_watchers(x, name)
  end

  function ff.tell_watchers(x, name)
    news[#news + 1] = ff.key(x.prefix, 'watch', x.id)
    news[#news + 1] = name
    prefix_in_force = x.prefix
  end

  --------------------------------------------------------------------------------------------------- transitions

  -- The states x may move to are checked here, once for all functions: a miss is a bug, found by the tests.
  local function enter(x, operation, state, reason, attempt_state)
    if not (ff.TRANSITIONS[operation].to[state] and (ff.TRANSITIONS[operation].from[x.state] or operation == 'create')) then
      error('transition ' .. operation .. ' from ' .. tostring(x.state) .. ' to ' .. state)
    end
    x.state = state
    x.reason = reason
    x.attempt_state = attempt_state
  end

  function ff.to_waiting(x, operation, attempt_state)
    enter(x, operation, 'waiting', 'waiting_for_worker', attempt_state)
    ff.place(x, 'queue:' .. x.queue, ff.score(x))
  end

  function ff.to_delayed(x, operation, attempt_state, reason, due_at)
    enter(x, operation, 'delayed', reason, attempt_state)
    x.due_at = due_at
    ff.place(x, 'delayed', due_at)
  end

  function ff.to_active(x, expires_at)
    enter(x, 'claim', 'active', 'none', 'running_attempt')
    x.expires_at = expires_at
    ff.place(x, 'offered', expires_at, true)
  end

  function ff.to_terminal(x, operation, state, now)
    local attempt_state = x.attempt == 0 and x.attempt_state or 'attempt_terminal'
    enter(x, operation, state, 'none', attempt_state)
    x.ended_at = now
    drop_timers(x)
    drop_deadline(x)
    ff.place(x, state, now + ff.policy(x, 'retention_ms'))
    if x.output_frames then
      redis.call('XADD', ff.key(x.prefix, 'output', x.id), '*', 'close', state)
    end
  end

  -- Ends the lease of x: `ending` is why, `answer` what a repeat of its outcome is told, `failure` what went wrong.
  function ff.end_lease(x, ending, answer, now, failure)
    drop_timers(x)
    x.ended = {
      attempt = x.attempt, worker = x.worker or '', lease = x.lease_id, granted_at = x.granted_at,
      ended_at = now, ending = ending, answer = answer, failure = failure,
    }
    x.last_lease = x.lease_id
    x.last_answer = answer
    x.last_ending = ending
    x.lease_ended_at = now
    x.lease_id, x.expires_at = nil, nil
  end

  -------------------------------------------------------------------------------------------------------- leases

  -- The parts of a lease token: execution id, attempt, epoch, lease id. Nil when it is none.
  function ff.parse_lease(token)
    local id, attempt, epoch, lease_id = string.match(token, '^([%x%-]+):(%d+):(%d+):(%w+)$')
    return id, tonumber(attempt), tonumber(epoch), lease_id
  end

  -- Whether the token is the lease in force. Gives nil, or the code to answer.
  function ff.lease_refusal(x, attempt, epoch, lease_id, now)
    if not x then
      return 'EXECUTION_NOT_FOUND'
    end
    if x.state ~= 'active' or x.lease_id ~= lease_id or x.epoch ~= epoch or x.attempt ~= attempt then
      if x.last_lease == lease_id then
        local ending = x.last_answer
        if ending == 'LEASE_EXPIRED' or ending == 'LEASE_REVOKED' then
          return ending
        end
      end
      return 'LEASE_STALE'
    end
    return x.expires_at <= now and 'LEASE_EXPIRED' or nil
  end

  -- Tells the gateway that holds the lease in force: "<word> <lease> <text>".
  function ff.tell_holder(x, word, text)
    if x.holder and x.holder ~= '' then
      local lease = x.id .. ':' .. x.attempt .. ':' .. x.epoch .. ':' .. x.lease_id
      redis.call('PUBLISH', 'ff:gateway:' .. x.holder, word .. ' ' .. lease .. ' ' .. text)
    end
  end
end
