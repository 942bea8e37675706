-- What every function shares: the clock, the keys, the state machine, the indexes and the lease check.
--
-- A function works on one partition. KEYS[1] is always the partition's anchor, "ff:{p:N}:executions"; the other
-- keys are derived from it here and nowhere else (core/ff_core/keys.py is the mirror, and a test compares them):
-- most ids are only known after a pop or a scan, and a second round trip would cost more than it declares.
--
-- An execution is one JSON document. A function loads it as a table `x`, changes that, and saves it once: one
-- transition, one write to the core. Not a hash: reading 29 and writing 15 fields of one cost a function 45 us in
-- argument passing alone; GET, decode, encode and SET of the same cost 12.

local ff = {}

do

  ff.EVENTS_KEPT = 10000 -- per partition; the bound of the durable feed
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

  -- The execution as a table, or nil.
  function ff.load(prefix, id)
    local core = redis.call('GET', ff.key(prefix, 'execution', id))
    if not core then
      return nil
    end
    local x = cjson.decode(core)
    x.id, x.prefix = id, prefix
    return x
  end

  -- Writes the execution: one transition, one write. A lease that ended although the execution goes on becomes a
  -- record of its history.
  function ff.save(x)
    local id, prefix, ended = x.id, x.prefix, x.ended
    x.id, x.prefix, x.ended = nil, nil, nil
    redis.call('SET', ff.key(prefix, 'execution', id), cjson.encode(x))
    x.id, x.prefix = id, prefix
    if ended and not ff.TERMINAL[x.state] then
      redis.call('HSET', ff.key(prefix, 'history', id), x.epoch, cjson.encode(ended))
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

  -- Takes x out of the index it is in. `popped` says that ZPOPMIN already did.
  local function leave(x, popped)
    local index = x.index
    if not index then
      return
    end
    if not popped then
      redis.call('ZREM', x.prefix .. index, x.id)
      if string.sub(index, 1, 6) == 'queue:' then
        ff.refresh_ready(x.prefix, string.sub(index, 7))
      end
    end
  end

  -- Moves x into the one index of its new place.
  function ff.place(x, index, score, popped)
    if x.index ~= index then
      leave(x, popped)
      x.index = index
    end
    redis.call('ZADD', x.prefix .. index, score, x.id)
  end

  -- Puts x into its queue and wakes schedulers when that changed the head.
  local function enqueue(x)
    local score = ff.score(x)
    ff.place(x, 'queue:' .. x.queue, score)
    if redis.call('ZADD', x.prefix .. 'ready', 'LT', 'CH', score, x.queue) == 1 then
      redis.call('SPUBLISH', x.prefix .. 'wake', string.format('%.0f', score) .. ' ' .. x.queue)
    end
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

  -- Appends to the partition's durable feed and wakes whoever watches this execution. One field, because each costs:
  -- "<name> <execution> <state> <attempt> <epoch> <detail>".
  function ff.event(x, name, detail)
    redis.call(
      'XADD', x.prefix .. 'events', 'MAXLEN', '~', ff.EVENTS_KEPT, '*', 'event',
      name .. ' ' .. x.id .. ' ' .. x.state .. ' ' .. x.attempt .. ' ' .. x.epoch .. ' ' .. (detail or '')
    )
    redis.call('SPUBLISH', ff.key(x.prefix, 'watch', x.id), name)
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
    enqueue(x)
  end

  function ff.to_delayed(x, operation, attempt_state, reason, due_at)
    enter(x, operation, 'delayed', reason, attempt_state)
    x.due_at = due_at
    ff.place(x, 'delayed', due_at)
  end

  function ff.to_active(x, expires_at)
    enter(x, 'claim', 'active', 'none', 'running_attempt')
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
    x.lease_id = ''
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
    local expires_at = redis.call('ZSCORE', x.prefix .. x.index, x.id)
    if not expires_at or tonumber(expires_at) <= now then
      return 'LEASE_EXPIRED'
    end
    return nil
  end

  -- Tells the gateway that holds the lease in force: "<word> <lease> <text>".
  function ff.tell_holder(x, word, text)
    if x.holder and x.holder ~= '' then
      local lease = x.id .. ':' .. x.attempt .. ':' .. x.epoch .. ':' .. x.lease_id
      redis.call('PUBLISH', 'ff:gateway:' .. x.holder, word .. ' ' .. lease .. ' ' .. text)
    end
  end
end
