-- Claiming: from the head of a queue straight to a lease, and back when nobody took it.
do

  -- Starts the next lease of x. A delayed attempt goes on; every other claim starts a new attempt.
  local function lease_one(x, payload, lease_id, holder, expires_at, now)
    x.resume_state = x.attempt_state
    if x.attempt_state ~= 'attempt_interrupted' then
      x.attempt = x.attempt + 1
    end
    x.epoch = x.epoch + 1
    x.lease_id = lease_id
    x.holder = holder
    x.worker = ''
    x.granted_at = now
    x.confirmed = nil
    x.frame_number = nil
    ff.to_active(x, expires_at)
    local attempt_deadline = ''
    if x.attempt_timeout_ms then
      attempt_deadline = now + x.attempt_timeout_ms
      redis.call('ZADD', x.prefix .. 'attempt_timeout', attempt_deadline, x.id)
    end
    if x.epoch == 1 then
      x.started_at = now
    end
    ff.event(x, 'claimed')
    return {
      x.id .. ':' .. x.attempt .. ':' .. x.epoch .. ':' .. lease_id,
      x.kind,
      payload or '',
      x.deadline_at or '',
      attempt_deadline,
      x.traceparent or '',
    }
  end

  -- Pops executions off one queue and leases each: the whole grant in one call.
  --
  -- KEYS  1 executions
  -- ARGV  1 queue          "<namespace>/<lane>/<class>"; the caller has matched its class
  --       2 count          at most this many
  --       3 offer_ttl_ms   how long a grant waits to be confirmed
  --       4 nonce          makes the lease ids of this call unique and unguessable
  --       5 holder         gateway the grants are for
  -- gives {OK, score of the next in the queue or "", {lease, kind, payload, deadline_at or "", attempt deadline or "",
  --       traceparent}, ..}
  -- codes none
  local function execution_claim(keys, args)
    local prefix, now = ff.prefix(keys[1]), ff.now_ms()
    local queue, expires_at = args[1], now + tonumber(args[3])
    local popped = redis.call('ZPOPMIN', ff.key(prefix, 'queue', queue), args[2])
    local ids, payload_keys = {}, {}
    for i = 1, #popped, 2 do
      ids[#ids + 1] = popped[i]
      payload_keys[#ids] = ff.key(prefix, 'payload', popped[i])
    end
    ff.preload(prefix, ids)
    local payloads = #ids > 0 and redis.call('MGET', unpack(payload_keys))
    local reply = { 'OK', '' }
    for i, id in ipairs(ids) do
      local x = ff.load(prefix, id)
      -- An entry without its execution is a leftover; taking it out of the queue is the repair.
      if x and x.state == 'waiting' and x.index == 'queue:' .. queue then
        local lease_id = args[4] .. string.format('%03x', i)
        reply[#reply + 1] = lease_one(x, payloads[i], lease_id, args[5], expires_at, now)
      end
    end
    reply[2] = ff.refresh_ready(prefix, queue)
    return reply
  end

  -- Gives back a grant: to its old place, and at no cost when no worker had confirmed it. A confirmed one may have
  -- run, so its attempt is spent: no other is numbered like it.
  function ff.release(x, now)
    if x.cancel_at then
      return ff.cancel_now(x, 'release', now)
    end
    ff.end_lease(x, 'released', 'LEASE_STALE', now)
    local attempt_state = x.resume_state
    if x.confirmed then
      attempt_state = 'pending_reclaim_attempt'
    elseif attempt_state ~= 'attempt_interrupted' then
      x.attempt = x.attempt - 1
    end
    ff.to_waiting(x, 'release', attempt_state)
    ff.event(x, 'released')
  end

  -- Gives back grants that were not delivered, or that the worker refused.
  --
  -- KEYS  1 executions
  -- ARGV  1.. lease
  -- gives array, one element a lease: OK or a code
  -- codes EXECUTION_NOT_FOUND LEASE_STALE LEASE_EXPIRED LEASE_REVOKED INVALID_ARGUMENT
  local function lease_release(keys, args)
    local prefix, now, replies = ff.prefix(keys[1]), ff.now_ms(), {}
    ff.preload_leases(prefix, args)
    for i = 1, #args do
      local x, refusal = ff.leased(prefix, args[i], now)
      if not refusal then
        ff.release(x, now)
      end
      replies[i] = refusal or 'OK'
    end
    return replies
  end

  register('execution_claim', execution_claim)
  register('lease_release', lease_release)
end
