-- Claiming: from the head of a queue straight to a lease, and back when nobody took it.
do
  local MOST_PAST = 1048576 -- bytes of journals and signals in one reply; what is left out the holders read

  -- Adds to a grant what only those have that ran before: the journal, why they run again, and flags. Gives how many
  -- more bytes of that the reply may have.
  local function add_past(x, grant, room)
    local journal, bytes = ff.grant_journal(x, room)
    local resumption, signal_bytes, flag = ff.resumption(x), 0, ''
    for i = 3, #resumption do
      signal_bytes = signal_bytes + #resumption[i]
    end
    if resumption ~= '' and bytes + signal_bytes > room then
      resumption, signal_bytes, flag = { resumption[1], resumption[2] }, 0, 's'
    end
    grant[7] = journal
    grant[8] = resumption
    grant[9] = (x.recovered and 'r' or '') .. (x.steps and 'j' or '') .. flag
    return room - bytes - signal_bytes
  end

  -- Starts the next lease of x. An interrupted attempt goes on; every other claim starts a new attempt.
  local function lease_one(x, payload, lease_id, holder, expires_at, now)
    x.resume_state = x.attempt_state
    if x.attempt_state ~= 'attempt_interrupted' then
      x.attempt = x.attempt + 1
      x.spent_ms = nil
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
      attempt_deadline = now + math.max(x.attempt_timeout_ms - (x.spent_ms or 0), 1)
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
  --       traceparent}, ..}; one that ran before may have three more: {key, header (JSON), data, ..} of its journal or
  --       "", {number of the suspension, its ending, signal, ..} or "", and flags: "r" an earlier holder vanished,
  --       "j" it has a journal, which is to be read when it is not here, "s" the signals are to be read
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
    local reply, room = { 'OK', '' }, MOST_PAST
    for i, id in ipairs(ids) do
      local x = ff.load(prefix, id)
      -- An entry without its execution is a leftover; taking it out of the queue is the repair.
      if x and x.state == 'waiting' and x.index == 'queue:' .. queue then
        local lease_id = args[4] .. string.format('%03x', i)
        local grant = lease_one(x, payloads[i], lease_id, args[5], expires_at, now)
        if x.steps or x.resumed or x.recovered then
          room = add_past(x, grant, room)
        end
        reply[#reply + 1] = grant
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
