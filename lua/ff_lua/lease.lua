-- The life of a lease: renewed by its holder, taken back by an operator, lost by silence.
do

  -- Puts an execution whose lease was lost back in its queue; ends it at the cap of its policy. `failure` says more
  -- of the loss, for the lease's record.
  function ff.reclaim(x, code, now, failure)
    if x.cancel_at then
      return ff.cancel_now(x, 'reclaim', now)
    end
    local reclaims = (x.reclaims or 0) + 1
    local event = code == 'LEASE_REVOKED' and 'lease_revoked' or 'lease_expired'
    ff.tell_holder(x, 'lost', code)
    ff.end_lease(x, event, code, now, failure)
    x.reclaims, x.recovered = reclaims, true
    local delay_ms = ff.policy(x, 'reclaim_delay_ms')
    if reclaims > ff.policy(x, 'max_reclaims') then
      x.failure = {
        type = 'max_reclaims', message = 'the lease was lost ' .. reclaims .. ' times', category = 'infra_crash',
      }
      ff.to_terminal(x, 'reclaim', 'failed', now)
    elseif delay_ms > 0 then
      ff.to_delayed(x, 'reclaim', 'pending_reclaim_attempt', 'waiting_for_retry_backoff', now + delay_ms)
    else
      ff.to_waiting(x, 'reclaim', 'pending_reclaim_attempt')
    end
    ff.event(x, event, x.worker)
    if x.state == 'failed' then
      ff.event(x, 'failed', 'max_reclaims')
    end
  end

  -- Gives back a grant that nobody confirmed in time. It costs no attempt, but it counts as a lost lease: work that
  -- kills its worker before the first renewal must reach the cap too.
  function ff.forfeit(x, now)
    if x.cancel_at or (x.reclaims or 0) >= ff.policy(x, 'max_reclaims') then
      return ff.reclaim(x, 'LEASE_EXPIRED', now)
    end
    x.reclaims, x.recovered = (x.reclaims or 0) + 1, true
    ff.tell_holder(x, 'lost', 'LEASE_EXPIRED')
    ff.release(x, now)
  end

  local function renew_one(prefix, token, worker, holder, ttl_ms, now)
    local x, refusal = ff.leased(prefix, token, now)
    if refusal then
      return refusal
    end
    local is_first = x.index == 'offered'
    x.expires_at, x.confirmed, x.worker, x.holder = now + ttl_ms, true, worker, holder
    ff.place(x, 'leased', x.expires_at)
    if is_first then
      ff.event(x, 'confirmed', worker)
    end
    if x.cancel_at then
      local stop_at = redis.call('ZSCORE', prefix .. 'deadline', x.id)
      return 'CANCEL ' .. (stop_at or string.format('%.0f', now)) .. ' ' .. (x.cancel_reason or '')
    end
    return 'OK'
  end

  -- Extends leases that are still the caller's; the first renewal confirms a grant.
  --
  -- KEYS  1 executions
  -- ARGV  1 ttl_ms
  --       2 worker         recorded as the holder
  --       3 holder         gateway of the worker's session
  --       4.. lease
  -- gives array, one element a lease: OK, "CANCEL <stop at ms> <reason>" (held, but asked to stop), or a code
  -- codes EXECUTION_NOT_FOUND LEASE_STALE LEASE_EXPIRED LEASE_REVOKED INVALID_ARGUMENT
  local function lease_renew(keys, args)
    local prefix, now, replies = ff.prefix(keys[1]), ff.now_ms(), {}
    local leases = {}
    for i = 4, #args do
      leases[i - 3] = args[i]
    end
    ff.preload_leases(prefix, leases)
    for i = 4, #args do
      replies[#replies + 1] = renew_one(prefix, args[i], args[2], args[3], tonumber(args[1]), now)
    end
    return replies
  end

  -- Takes the lease from its holder; the execution goes back to its queue.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  --       2 reason         for people; may be empty
  -- gives {OK, 1 when revoked else 0, epoch, state} or {code}
  -- codes EXECUTION_NOT_FOUND
  local function lease_revoke(keys, args)
    local x = ff.load(ff.prefix(keys[1]), args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    if x.state ~= 'active' then
      return { 'OK', 0, x.epoch, x.state }
    end
    local why = args[2] ~= '' and { type = 'lease_revoked', message = args[2], category = 'infra_crash' } or nil
    ff.reclaim(x, 'LEASE_REVOKED', ff.now_ms(), why)
    return { 'OK', 1, x.epoch, x.state }
  end

  -- Takes back leases whose holder is gone without a word. They are lost, as if nobody had renewed them in time.
  --
  -- KEYS  1 executions
  -- ARGV  1.. lease
  -- gives array, one element a lease: OK or a code
  -- codes EXECUTION_NOT_FOUND LEASE_STALE LEASE_EXPIRED LEASE_REVOKED INVALID_ARGUMENT
  local function lease_forfeit(keys, args)
    local prefix, now, replies = ff.prefix(keys[1]), ff.now_ms(), {}
    ff.preload_leases(prefix, args)
    for i = 1, #args do
      local x, refusal = ff.leased(prefix, args[i], now)
      if not refusal and x.confirmed then
        ff.reclaim(x, 'LEASE_EXPIRED', now)
      elseif not refusal then
        ff.forfeit(x, now)
      end
      replies[i] = refusal or 'OK'
    end
    return replies
  end

  register('lease_renew', lease_renew)
  register('lease_forfeit', lease_forfeit)
  register('lease_revoke', lease_revoke)
end
