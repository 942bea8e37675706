-- What time does by itself. Each function handles up to n due entries of one timer, after checking that each is
-- really due: two scanners on one partition are harmless. All answer {changed, next due time in ms or ""}.
do

  local function is_in(x, index)
    return x.index == index
  end

  local function is_active(x)
    return x.state == 'active'
  end

  local function is_open(x)
    return not ff.TERMINAL[x.state]
  end

  -- Calls act(x, now) for up to the limit of due entries of an index or timer; an entry that should not be there is
  -- dropped.
  function ff.each_due(keys, args, index, is_due, act)
    local prefix, now, limit = ff.prefix(keys[1]), ff.now_ms(), tonumber(args[1])
    local key, changed, next_due = prefix .. index, 0, ff.NEVER
    local ids = redis.call('ZRANGE', key, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
    ff.preload(prefix, ids)
    for _, id in ipairs(ids) do
      local x = ff.load(prefix, id)
      if x and is_due(x, index) then
        act(x, now)
        changed = changed + 1
        if x.index == index and x.score then
          next_due = math.min(next_due, x.score) -- it was moved within the index, at the end of the call
        end
      else
        redis.call('ZREM', key, id)
      end
    end
    if #ids == limit then
      return { changed, now }
    end
    local head = redis.call('ZRANGE', key, '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    next_due = math.min(next_due, tonumber(head[2]) or next_due)
    return { changed, next_due < ff.NEVER and next_due or '' }
  end

  -- Gives back grants that were not confirmed in time.
  --
  -- KEYS  1 executions
  -- ARGV  1 limit
  -- gives {changed, next due}
  -- codes none
  local function offer_expire(keys, args)
    return ff.each_due(keys, args, 'offered', is_in, ff.forfeit)
  end

  -- Puts executions whose lease ran out back in their queues.
  --
  -- KEYS  1 executions
  -- ARGV  1 limit
  -- gives {changed, next due}
  -- codes none
  local function lease_expire(keys, args)
    return ff.each_due(keys, args, 'leased', is_in, function(x, now)
      ff.reclaim(x, 'LEASE_EXPIRED', now)
    end)
  end

  -- Queues delayed executions that are due.
  --
  -- KEYS  1 executions
  -- ARGV  1 limit
  -- gives {changed, next due}
  -- codes none
  local function delayed_promote(keys, args)
    return ff.each_due(keys, args, 'delayed', is_in, function(x)
      ff.to_waiting(x, 'promote', x.attempt_state)
      ff.event(x, 'promoted')
    end)
  end

  -- Fails attempts that take too long; the retry policy decides what follows.
  --
  -- KEYS  1 executions
  -- ARGV  1 limit
  -- gives {changed, next due}
  -- codes none
  local function attempt_expire(keys, args)
    return ff.each_due(keys, args, 'attempt_timeout', is_active, function(x, now)
      ff.tell_holder(x, 'lost', 'LEASE_REVOKED')
      ff.fail(x, {
        type = 'attempt_timeout', message = 'the attempt took longer than ' .. x.attempt_timeout_ms .. ' ms',
        category = 'timeout', final = false, ending = 'attempt_timeout', code = 'LEASE_REVOKED',
      }, now)
    end)
  end

  -- Ends executions whose deadline passed, and those whose worker did not stop when asked to.
  --
  -- KEYS  1 executions
  -- ARGV  1 limit
  -- gives {changed, next due}
  -- codes none
  local function deadline_expire(keys, args)
    return ff.each_due(keys, args, 'deadline', is_open, function(x, now)
      if x.cancel_at then
        return ff.cancel_now(x, 'cancel', now)
      end
      if x.state == 'active' then
        ff.tell_holder(x, 'lost', 'LEASE_REVOKED')
        ff.end_lease(x, 'execution_deadline', 'LEASE_REVOKED', now)
      end
      x.failure = {
        type = 'execution_deadline', message = 'not finished within ' .. x.deadline_ms .. ' ms', category = 'timeout',
      }
      ff.to_terminal(x, 'expire', 'expired', now)
      ff.event(x, 'expired')
    end)
  end

  register('offer_expire', offer_expire)
  register('lease_expire', lease_expire)
  register('delayed_promote', delayed_promote)
  register('attempt_expire', attempt_expire)
  register('deadline_expire', deadline_expire)
end
