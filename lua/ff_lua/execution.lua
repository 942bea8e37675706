-- What clients do to executions: create, describe, cancel, reprioritize, replay, tag.
do
  local ITEM = 11 -- fixed arguments of one item of create, before its tags

  -- Writes one execution; its arguments were validated in Python and counted in `create`.
  local function create_one(prefix, now, a, at, tags)
    local id, idempotency, ttl, fingerprint, payload = a[at], a[at + 1], a[at + 2], a[at + 3], a[at + 4]
    local delay_until = tonumber(a[at + 7]) + (string.sub(a[at + 7], 1, 1) == '+' and now or 0)
    local memo = idempotency ~= '' and ff.key(prefix, 'idempotency', idempotency)
    if memo then
      local first = redis.call('GET', memo)
      if first then
        local first_fingerprint, first_id = string.match(first, '^(%S+) (%S+)$')
        if first_fingerprint ~= fingerprint then
          return { 'IDEMPOTENCY_CONFLICT', first_id }
        end
        return { 'OK', first_id, 1 }
      end
    elseif ff.load(prefix, id) then
      return { 'OK', id, 1 }
    end
    local x = cjson.decode(a[at + 9])
    x.id, x.prefix = id, prefix
    x.queue, x.priority, x.created_at = a[at + 5], tonumber(a[at + 6]), now
    x.attempt, x.epoch = 0, 0
    x.deadline_ms = tonumber(a[at + 8])
    if x.deadline_ms then
      x.deadline_at = now + x.deadline_ms
      redis.call('ZADD', prefix .. 'deadline', x.deadline_at, id)
    end
    if delay_until > now then
      ff.to_delayed(x, 'create', 'pending_first_attempt', 'waiting_for_delay', delay_until)
    else
      ff.to_waiting(x, 'create', 'pending_first_attempt')
    end
    ff.list(x)
    if payload ~= '' then
      redis.call('SET', ff.key(prefix, 'payload', id), payload)
    end
    if #tags > 0 then
      redis.call('HSET', ff.key(prefix, 'tags', id), unpack(tags))
      ff.index_tags(x, tags)
      x.marks = ff.tag_marks(tags)
    end
    if memo then
      redis.call('SET', memo, fingerprint .. ' ' .. id, 'PX', ttl)
    end
    ff.event(x, 'created')
    return { 'OK', id, 0 }
  end

  -- What stands for a tag in events: short whatever the tag, and without blanks.
  function ff.tag_mark(tag, value)
    return '?' .. string.sub(redis.sha1hex(tag .. '=' .. value), 1, 16)
  end

  -- The marks of tags, nil for none. They are in the core, where events find them without a look at the tags.
  function ff.tag_marks(tags)
    local marks = {}
    for i = 1, #tags, 2 do
      marks[#marks + 1] = ff.tag_mark(tags[i], tags[i + 1])
    end
    return #marks > 0 and table.concat(marks) or nil
  end

  -- Adds x to the index of each of its tags.
  function ff.index_tags(x, tags)
    local namespace = string.match(x.queue, '^([^/]*)/')
    for i = 1, #tags, 2 do
      local index = ff.key(x.prefix, 'tag', namespace .. '/' .. tags[i] .. '=' .. tags[i + 1])
      redis.call('ZADD', index, x.created_at, x.id)
    end
  end

  -- Creates executions; each item stands alone.
  --
  -- KEYS  1 executions     anchor of the partition
  -- ARGV  1.. items        id, idempotency ("<namespace>/<key>" or ""), idempotency_ttl_ms, fingerprint, payload,
  --                        queue ("<namespace>/<lane>/<class>"), priority, delay_until_ms ("+ms" counts from now),
  --                        deadline_ms ("" for none), spec (JSON: kind, policy, ..), number of tag strings, tags..
  -- gives array, one element an item: {OK, id, 1 if it existed} or {code, id of the first}
  -- codes IDEMPOTENCY_CONFLICT
  local function execution_create(keys, args)
    local prefix, now, replies, at = ff.prefix(keys[1]), ff.now_ms(), {}, 1
    local lanes = {}
    while at <= #args do
      local tags, rest = {}, at + ITEM
      for i = 1, tonumber(args[at + 10]) do
        tags[i] = args[rest + i - 1]
      end
      replies[#replies + 1] = create_one(prefix, now, args, at, tags)
      lanes[string.match(args[at + 5], '^[^/]*/[^/]*')] = true
      at = rest + #tags
    end
    for lane in pairs(lanes) do
      redis.call('SADD', prefix .. 'lanes', lane)
    end
    return replies
  end

  -- Reads executions whole.
  --
  -- KEYS  1 executions
  -- ARGV  1 with_payload   "1" to read payloads
  --       2 with_history   "1" to read the ended leases and the newest steps
  --       3.. id
  -- gives array, one element an id: {} when unknown, else {id, payload or "", core (JSON),
  --       {tag, value, ..}, {epoch, record (JSON), ..}, {number of steps, key, header (JSON), "", ..} or {}}
  -- codes none
  local function execution_describe(keys, args)
    local prefix, replies = ff.prefix(keys[1]), {}
    for i = 3, #args do
      replies[#replies + 1] = ff.describe(prefix, args[i], args[1] == '1', args[2] == '1')
    end
    return replies
  end

  function ff.describe(prefix, id, with_payload, with_history)
    local core = redis.call('GET', ff.key(prefix, 'execution', id))
    if not core then
      return {}
    end
    local x = ff.unpack(core)
    local text = cjson.encode(x)
    x.id, x.prefix = id, prefix
    return {
      id,
      with_payload and redis.call('GET', ff.key(prefix, 'payload', id)) or '',
      text,
      redis.call('HGETALL', ff.key(prefix, 'tags', id)),
      with_history and redis.call('HGETALL', ff.key(prefix, 'history', id)) or {},
      with_history and ff.steps_shown(x) or {},
    }
  end

  -- Reads the result of a completed execution.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  -- gives {OK, bytes} or {code}
  -- codes EXECUTION_NOT_FOUND RESULT_NOT_READY
  local function execution_result(keys, args)
    local prefix = ff.prefix(keys[1])
    local x = ff.load(prefix, args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    if x.state ~= 'completed' then
      return { 'RESULT_NOT_READY', x.state }
    end
    return { 'OK', redis.call('GET', ff.key(prefix, 'result', args[1])) or '' }
  end

  -- Asks the holder of an active execution to stop within the grace, or cancels at once.
  local function cancel_one(prefix, id, reason, grace_ms, now)
    local x = ff.load(prefix, id)
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    if ff.TERMINAL[x.state] then
      return { 'OK', x.state } -- whoever cancels twice, or too late, is told how it ended
    end
    local is_first = not x.cancel_at
    if is_first then
      x.cancel_at = now
      x.cancel_reason = reason
    end
    if x.state == 'active' and grace_ms > 0 then
      local stop_at = math.min(now + grace_ms, x.deadline_at or math.huge)
      if redis.call('ZADD', prefix .. 'deadline', 'LT', 'CH', stop_at, id) == 0 and not is_first then
        return { 'OK', 'active' } -- asked before, and to stop sooner
      end
      ff.tell_holder(x, 'cancel', string.format('%.0f', stop_at) .. ' ' .. x.cancel_reason)
      ff.save(x)
      if is_first then
        ff.event(x, 'cancel_requested', reason)
      end
      return { 'OK', 'active' }
    end
    ff.cancel_now(x, 'cancel', now)
    return { 'OK', 'cancelled' }
  end

  -- Ends x as cancelled from any state that may. `answer` is given when its own holder brought it about.
  function ff.cancel_now(x, operation, now, answer)
    if x.state == 'active' then
      if not answer then
        ff.tell_holder(x, 'lost', 'LEASE_REVOKED')
      end
      ff.end_lease(x, 'cancelled', answer or 'LEASE_REVOKED', now)
    end
    ff.to_terminal(x, operation, 'cancelled', now)
    ff.event(x, 'cancelled', x.cancel_reason)
  end

  -- Cancels executions, each on its own.
  --
  -- KEYS  1 executions
  -- ARGV  1 reason
  --       2 grace_ms       time an active execution's worker has to stop
  --       3.. id
  -- gives array, one element an id: {OK, state} or {code}
  -- codes EXECUTION_NOT_FOUND
  local function execution_cancel(keys, args)
    local prefix, now, replies = ff.prefix(keys[1]), ff.now_ms(), {}
    for i = 3, #args do
      replies[#replies + 1] = cancel_one(prefix, args[i], args[1], tonumber(args[2]), now)
    end
    return replies
  end

  -- Changes the priority in any non-terminal state; a queued execution moves at once.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  --       2 priority
  -- gives {OK, old priority, priority} or {code}
  -- codes EXECUTION_NOT_FOUND EXECUTION_TERMINAL
  local function execution_reprioritize(keys, args)
    local x = ff.load(ff.prefix(keys[1]), args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    if ff.TERMINAL[x.state] then
      return { 'EXECUTION_TERMINAL' }
    end
    local old = x.priority
    x.priority = tonumber(args[2])
    if x.state == 'waiting' then
      ff.requeue(x)
    end
    ff.save(x)
    ff.event(x, 'priority_changed', args[2])
    return { 'OK', old, x.priority }
  end

  -- Scores x anew within its queue.
  function ff.requeue(x)
    local score = ff.score(x)
    redis.call('ZADD', x.prefix .. x.index, score, x.id)
    ff.refresh_ready(x.prefix, x.queue)
    redis.call('SPUBLISH', x.prefix .. 'wake', string.format('%.0f', score) .. ' ' .. x.queue)
  end

  -- Makes the lease that ended x a record of its history, before x goes on; earlier ones are records already.
  local function archive_last_lease(x)
    if not x.last_lease then
      return
    end
    redis.call(
      'HSETNX', ff.key(x.prefix, 'history', x.id), x.epoch,
      cjson.encode({
        attempt = x.attempt, worker = x.worker or '', lease = x.last_lease, granted_at = x.granted_at,
        ended_at = x.ended_at, ending = x.last_ending, answer = x.last_answer,
        failure = x.state == 'failed' and x.failure or nil, -- else it is an earlier lease's
      })
    )
  end

  -- What a replay forgets.
  local OUTCOME = {
    'ended_at', 'result_bytes', 'failure', 'cancel_at', 'cancel_reason', 'progress', 'due_at', 'failures', 'reclaims',
    'recovered', 'resumed', 'spent_ms', 'kept_signals', 'signal_bytes',
  }

  -- Forgets the suspensions of x. Their waitpoints are closed, and without a trace: no number is used twice, so what
  -- opens one of those opens nothing else.
  local function forget_suspensions(x)
    redis.call(
      'UNLINK', ff.key(x.prefix, 'suspension', x.id), ff.key(x.prefix, 'waitpoints', x.id),
      ff.key(x.prefix, 'signals', x.id), ff.key(x.prefix, 'deliveries', x.id), ff.key(x.prefix, 'delivery_expiry', x.id)
    )
  end

  -- Runs a terminal execution again: fresh counters, no old result, the deadline armed anew.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  --       2 mode           what is kept of the journal: fresh (nothing), all (what is final), through (up to a step)
  --       3 step           entry key or name of that step, else ""
  -- gives {OK, state} or {code}
  -- codes EXECUTION_NOT_FOUND EXECUTION_NOT_TERMINAL REPLAYS_EXHAUSTED STEP_NOT_FOUND
  local function execution_replay(keys, args)
    local prefix, now = ff.prefix(keys[1]), ff.now_ms()
    local x = ff.load(prefix, args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    if not ff.TERMINAL[x.state] then
      return { 'EXECUTION_NOT_TERMINAL' }
    end
    local replays = x.replays or 0
    if replays >= ff.policy(x, 'max_replays') then
      return { 'REPLAYS_EXHAUSTED', replays }
    end
    local refusal = ff.fork_journal(x, args[2], args[3])
    if refusal then
      return { refusal }
    end
    if x.waitpoint_number or x.suspensions then
      forget_suspensions(x)
    end
    archive_last_lease(x)
    x.replays = replays + 1
    for _, field in ipairs(OUTCOME) do
      x[field] = nil
    end
    redis.call('DEL', ff.key(prefix, 'result', x.id))
    if x.deadline_ms then
      x.deadline_at = now + x.deadline_ms
      redis.call('ZADD', prefix .. 'deadline', x.deadline_at, x.id)
    end
    ff.to_waiting(x, 'replay', x.attempt == 0 and 'pending_first_attempt' or 'pending_replay_attempt')
    ff.event(x, 'replayed')
    return { 'OK', x.state }
  end

  -- Sets tags; an empty value removes one.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  --       2 max_tags
  --       3.. tag, value
  -- gives {OK, {tag, value, ..}} or {code}
  -- codes EXECUTION_NOT_FOUND INVALID_ARGUMENT
  local function execution_tag(keys, args)
    local prefix, id = ff.prefix(keys[1]), args[1]
    local x = ff.load(prefix, id)
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    local key = ff.key(prefix, 'tags', id)
    local tags, old = {}, redis.call('HGETALL', key)
    for i = 1, #old, 2 do
      tags[old[i]] = old[i + 1]
    end
    for i = 3, #args, 2 do
      tags[args[i]] = args[i + 1] ~= '' and args[i + 1] or nil
    end
    local flat = {}
    for tag, value in pairs(tags) do
      flat[#flat + 1] = tag
      flat[#flat + 1] = value
    end
    if #flat > 2 * tonumber(args[2]) then
      return { 'INVALID_ARGUMENT', 'tags: at most ' .. args[2] }
    end
    ff.unindex_tags(x, old)
    redis.call('DEL', key)
    if #flat > 0 then
      redis.call('HSET', key, unpack(flat))
      ff.index_tags(x, flat)
    end
    x.marks = ff.tag_marks(flat)
    ff.save(x)
    return { 'OK', flat }
  end

  function ff.unindex_tags(x, tags)
    local namespace = string.match(x.queue, '^([^/]*)/')
    for i = 1, #tags, 2 do
      redis.call('ZREM', ff.key(x.prefix, 'tag', namespace .. '/' .. tags[i] .. '=' .. tags[i + 1]), x.id)
    end
  end

  register('execution_create', execution_create)
  register('execution_describe', execution_describe)
  register('execution_result', execution_result)
  register('execution_cancel', execution_cancel)
  register('execution_reprioritize', execution_reprioritize)
  register('execution_replay', execution_replay)
  register('execution_tag', execution_tag)
end
