-- What a holder says of its attempt: how it ended, and how far it is.
do

  local function contains(list, word)
    for _, item in ipairs(list or {}) do
      if item == word then
        return true
      end
    end
    return false
  end

  -- Whether a failure of this category is worth another attempt under the stored policy.
  local function is_retryable(x, category)
    local retryable = ff.policy(x, 'retryable_categories')
    if retryable and #retryable > 0 then
      return contains(retryable, category)
    end
    local final = ff.policy(x, 'non_retryable_categories')
    if final and #final > 0 then
      return not contains(final, category)
    end
    return category ~= 'permanent'
  end

  -- The pause before the next attempt. The jitter comes from the execution and the attempt, so that a repeat of the
  -- call decides the same and two executions that failed together do not return together.
  local function backoff_ms(x, failures)
    local pause = ff.policy(x, 'backoff_initial_ms') * ff.policy(x, 'backoff_multiplier') ^ (failures - 1)
    pause = math.min(pause, ff.policy(x, 'backoff_max_ms'))
    local draw = tonumber(string.sub(redis.sha1hex(x.id .. ':' .. failures), 1, 8), 16) / 0xffffffff
    return math.floor(pause * (1 + ff.policy(x, 'backoff_jitter') * (2 * draw - 1)))
  end

  -- Ends an attempt as failed: another one if the policy allows, else the execution fails. Gives the answer.
  function ff.fail(x, failure, now)
    if x.cancel_at then
      ff.cancel_now(x, 'fail', now, 'cancelled')
      return 'cancelled'
    end
    local failures = (x.failures or 0) + 1
    local again = not failure.final and is_retryable(x, failure.category)
      and failures < ff.policy(x, 'max_attempts')
    x.failures = failures
    x.resumed = nil -- the next attempt is not told what resumed this one
    x.failure = { type = failure.type, message = failure.message, category = failure.category }
    local answer = again and 'retry_scheduled' or 'failed'
    ff.end_lease(x, failure.ending, failure.code or answer, now, x.failure)
    if again then
      local pause = failure.retry_delay_ms or backoff_ms(x, failures)
      if pause > 0 then
        ff.to_delayed(x, 'fail', 'pending_retry_attempt', 'waiting_for_retry_backoff', now + pause)
      else
        ff.to_waiting(x, 'fail', 'pending_retry_attempt')
      end
    else
      ff.to_terminal(x, 'fail', 'failed', now)
    end
    ff.event(x, again and 'attempt_failed' or 'failed', failure.type)
    return answer
  end

  local finish = {}

  function finish.complete(x, a, at, now)
    ff.end_lease(x, 'completed', 'completed', now)
    x.result_bytes = #a[at]
    if a[at] ~= '' then
      redis.call('SET', ff.key(x.prefix, 'result', x.id), a[at])
    end
    ff.to_terminal(x, 'complete', 'completed', now)
    ff.event(x, 'completed')
    return 'completed'
  end

  function finish.fail(x, a, at, now)
    return ff.fail(x, {
      type = a[at], message = a[at + 1], category = a[at + 2], final = a[at + 3] == '1',
      retry_delay_ms = tonumber(a[at + 4]), ending = 'failed',
    }, now)
  end

  function finish.delay(x, a, at, now)
    if x.cancel_at then
      ff.cancel_now(x, 'delay', now, 'cancelled')
      return 'cancelled'
    end
    ff.end_lease(x, 'delayed', 'delayed', now)
    ff.spend(x, now)
    ff.to_delayed(x, 'delay', 'attempt_interrupted', 'waiting_for_delay', now + tonumber(a[at]))
    ff.event(x, 'delayed')
    return 'delayed'
  end

  function finish.stop(x, _, _, now)
    if not x.cancel_at then
      x.cancel_at = now
      x.cancel_reason = 'cancelled by its worker'
    end
    ff.end_lease(x, 'cancelled', 'cancelled', now)
    ff.to_terminal(x, 'stop', 'cancelled', now)
    ff.event(x, 'cancelled', x.cancel_reason)
    return 'cancelled'
  end

  local ANSWERS = {
    completed = true, retry_scheduled = true, failed = true, delayed = true, cancelled = true, suspended = true,
    resumed = true,
  }

  -- What an earlier outcome of this lease was answered, or nil.
  local function first_answer(x, epoch, lease_id)
    if x.last_lease == lease_id then
      return ANSWERS[x.last_answer] and x.last_answer
    end
    local record = redis.call('HGET', ff.key(x.prefix, 'history', x.id), epoch)
    record = record and cjson.decode(record)
    return record and record.lease == lease_id and ANSWERS[record.answer] and record.answer
  end

  local function finish_one(prefix, worker, token, operation, a, at, now)
    local x, refusal, epoch, lease_id = ff.leased(prefix, token, now)
    if refusal then
      local answer = x and first_answer(x, epoch, lease_id)
      if answer == 'suspended' or answer == 'resumed' then
        return ff.suspended_before(x, epoch, lease_id, answer, operation == 'suspend' and a[at])
      end
      return answer and { 'OK', answer } or { refusal }
    end
    x.worker = worker
    if operation ~= 'suspend' then
      return { 'OK', finish[operation](x, a, at, now) }
    end
    local answer, more, problem = ff.suspend(x, a[at], a[at + 1], now)
    if not answer then
      return { more, problem }
    end
    return { 'OK', answer, more }
  end

  -- Ends leases with their outcomes. A repeat gets the first answer.
  --
  -- KEYS  1 executions
  -- ARGV  1.. items        lease, worker, operation, number of details, details..
  --                        complete: result. fail: type, message, category, "1" when final, retry_delay_ms or "".
  --                        delay: delay_ms. stop: none. suspend: spec (JSON), kid of new waitpoints' tokens.
  -- gives array, one element an item: {OK, completed | retry_scheduled | failed | delayed | cancelled},
  --       {OK, suspended | resumed, JSON of the suspension's number and its waitpoints, or "" when a repeat came too
  --       late} or {code, what is wrong}; a code that is not of leases leaves the lease in force, but for
  --       IDEMPOTENCY_CONFLICT: it has suspended for something else
  -- codes EXECUTION_NOT_FOUND LEASE_STALE LEASE_EXPIRED LEASE_REVOKED INVALID_ARGUMENT WAITPOINTS_FULL
  --       STEP_MISMATCH JOURNAL_FULL IDEMPOTENCY_CONFLICT
  local function lease_finish(keys, args)
    local prefix, now, replies, at = ff.prefix(keys[1]), ff.now_ms(), {}, 1
    local leases = {}
    while at <= #args do
      leases[#leases + 1] = args[at]
      at = at + 4 + tonumber(args[at + 3])
    end
    ff.preload_leases(prefix, leases)
    at = 1
    while at <= #args do
      replies[#replies + 1] = finish_one(prefix, args[at + 1], args[at], args[at + 2], args, at + 4, now)
      at = at + 4 + tonumber(args[at + 3])
    end
    return replies
  end

  local function progress_one(prefix, token, percent, message, now)
    local x, refusal = ff.leased(prefix, token, now)
    if refusal then
      return refusal
    end
    local before = x.progress or {}
    x.progress = {
      percent = tonumber(percent) or before.percent,
      message = message ~= '' and message or before.message,
      at = now,
    }
    ff.save(x)
    ff.tell_watchers(x)
    return x.cancel_at and 'CANCEL' or 'OK'
  end

  -- Records how far attempts are.
  --
  -- KEYS  1 executions
  -- ARGV  1.. items        lease, percent or "", message or "" (empty leaves it)
  -- gives array, one element an item: OK, CANCEL (recorded, but asked to stop), or a code
  -- codes EXECUTION_NOT_FOUND LEASE_STALE LEASE_EXPIRED LEASE_REVOKED INVALID_ARGUMENT
  local function lease_progress(keys, args)
    local prefix, now, replies = ff.prefix(keys[1]), ff.now_ms(), {}
    for i = 1, #args, 3 do
      replies[#replies + 1] = progress_one(prefix, args[i], args[i + 1], args[i + 2], now)
    end
    return replies
  end

  register('lease_finish', lease_finish)
  register('lease_progress', lease_progress)
end
