-- How an execution moves between states, and how a lease ends: the only code that changes `state`.
do
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

  -- `due_at` is when the first of its waits runs out of time, nil when none does.
  function ff.to_suspended(x, operation, reason, due_at)
    enter(x, operation, 'suspended', reason, 'attempt_interrupted')
    ff.place(x, 'suspended', due_at or ff.NEVER)
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
    x.holder, x.confirmed, x.resume_state, x.due_at = nil, nil, nil, nil -- of the lease and the wait that are over
    drop_timers(x)
    drop_deadline(x)
    ff.place(x, state, now + ff.policy(x, 'retention_ms'))
    if x.waitpoint_number or x.suspensions then
      ff.close_waits(x, state, now)
    end
    if x.output_frames then
      redis.call('XADD', ff.key(x.prefix, 'output', x.id), ff.output_id(x, now), 'close', state)
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
    x.lease_id, x.expires_at = nil, nil
  end

  -------------------------------------------------------------------------------------------------------- leases

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

  -- The execution that a lease token names, and the code to answer unless that lease is in force; then the token's
  -- epoch and lease id.
  function ff.leased(prefix, token, now)
    local id, attempt, epoch, lease_id = string.match(token, '^([%x%-]+):(%d+):(%d+):(%w+)$')
    if not id then
      return nil, 'INVALID_ARGUMENT'
    end
    local x = ff.load(prefix, id)
    epoch = tonumber(epoch)
    return x, ff.lease_refusal(x, tonumber(attempt), epoch, lease_id, now), epoch, lease_id
  end

  -- Tells the gateway that holds the lease in force: "<word> <lease> <text>".
  function ff.tell_holder(x, word, text)
    if x.holder and x.holder ~= '' then
      local lease = x.id .. ':' .. x.attempt .. ':' .. x.epoch .. ':' .. x.lease_id
      redis.call('PUBLISH', 'ff:gateway:' .. x.holder, word .. ' ' .. lease .. ' ' .. text)
    end
  end
end
