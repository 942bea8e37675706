-- Signals: kept with the waitpoint they were sent to, counted once, and shown to whatever waits there.
do
  local ITEM = 14 -- arguments of one delivery
  local MOST_AT_WAITPOINT = 256
  local MOST_DELIVERIES = 10000
  local RESERVED = 64 -- places that only signals by name may take: who floods with a token shuts out no operator
  local EXPIRED_AT_ONCE = 16
  local USES_UP = { buffered = true, counted = true, resumed = true } -- effects after which a single use is over

  ---------------------------------------------------------------------------------------------------- what is kept

  -- Keeps a signal: JSON of its header, a newline, which JSON never holds, then the payload. Gives the header. Those
  -- without a waitpoint are the engine's own, and not counted. The caller saves w.
  function ff.store_signal(x, w, header, payload, now)
    x.signal_number = (x.signal_number or 0) + 1
    header.number, header.waitpoint = x.signal_number, w and w.name or ''
    header.at, header.bytes = now, #payload
    local text = cjson.encode(header) .. '\n' .. payload
    redis.call('HSET', ff.key(x.prefix, 'signals', x.id), header.number, text)
    if w then
      w.signals[#w.signals + 1] = header.number
      w.bytes = (w.bytes or 0) + #payload
      x.kept_signals, x.signal_bytes = (x.kept_signals or 0) + 1, (x.signal_bytes or 0) + #payload
    end
    ff.save(x)
    return header
  end

  -- Those of the numbered signals that are kept, in the order of the numbers.
  function ff.signal_texts(x, numbers)
    local found = {}
    for from, to in ff.slices(numbers) do
      for _, text in ipairs(redis.call('HMGET', ff.key(x.prefix, 'signals', x.id), unpack(numbers, from, to))) do
        found[#found + 1] = text or nil
      end
    end
    return found
  end

  -- The numbers of the signals that ended a suspension and serve nothing else.
  local function spent_signals(record)
    local spent = {}
    for _, number in ipairs(record and record.resumed_by or {}) do
      spent[number] = true
    end
    for _, number in ipairs(record and record.shared or {}) do
      spent[number] = nil
    end
    return spent
  end

  local function payload_bytes(x, numbers)
    local bytes = 0
    for _, text in ipairs(ff.signal_texts(x, numbers)) do
      bytes = bytes + #text - string.find(text, '\n', 1, true)
    end
    return bytes
  end

  -- Drops the signals that served the suspension before this one. What is kept has a limit, what was ever sent none.
  function ff.forget_signals(x)
    local record = x.suspensions and ff.suspension(x)
    local dropped, spent = record and record.own or {}, spent_signals(record)
    for _, w in pairs(ff.waitpoints(x)) do
      local left, gone = {}, {}
      for _, number in ipairs(w.signals) do
        local list = (w.state == 'closed' or spent[number]) and gone or left
        list[#list + 1] = number
      end
      if #gone > 0 then
        local bytes = #left > 0 and payload_bytes(x, gone) or w.bytes or 0
        x.kept_signals, x.signal_bytes = x.kept_signals - #gone, x.signal_bytes - bytes
        w.signals, w.bytes = left, #left > 0 and w.bytes - bytes or nil
        ff.save_waitpoint(x, w)
        for _, number in ipairs(gone) do
          dropped[#dropped + 1] = number
        end
      end
    end
    for from, to in ff.slices(dropped) do
      redis.call('HDEL', ff.key(x.prefix, 'signals', x.id), unpack(dropped, from, to))
    end
  end

  -- A signal as conditions see it.
  function ff.signal_of(header, w, kind)
    return {
      number = header.number, waitpoint = w and w.name or '', waitpoint_number = w and w.number or 0,
      name = header.name, category = header.category, source = header.source, kind = kind,
    }
  end

  ------------------------------------------------------------------------------------------------ delivered once

  -- What a delivery by this key was answered: fingerprint, number and effect; nil when there was none.
  local function first_delivery(x, digest, now)
    local text = redis.call('HGET', ff.key(x.prefix, 'deliveries', x.id), digest)
    local fingerprint, number, effect, expires_at = string.match(text or '', '^(%S+) (%d+) (%a+) (%d+)$')
    if fingerprint and tonumber(expires_at) > now then
      return fingerprint, tonumber(number), effect
    end
  end

  -- Drops some keys whose time is over, and gives how many are left.
  local function drop_expired(x, now)
    local expiry = ff.key(x.prefix, 'delivery_expiry', x.id)
    local old = redis.call('ZRANGE', expiry, '-inf', now, 'BYSCORE', 'LIMIT', 0, EXPIRED_AT_ONCE)
    if #old > 0 then
      redis.call('ZREM', expiry, unpack(old))
      redis.call('HDEL', ff.key(x.prefix, 'deliveries', x.id), unpack(old))
    end
    return redis.call('ZCARD', expiry)
  end

  local function remember(x, digest, text, expires_at)
    redis.call('HSET', ff.key(x.prefix, 'deliveries', x.id), digest, text .. ' ' .. string.format('%.0f', expires_at))
    redis.call('ZADD', ff.key(x.prefix, 'delivery_expiry', x.id), expires_at, digest)
  end

  ---------------------------------------------------------------------------------------------------- delivering

  -- The waitpoint of a name: of those that take signals the one that is waited for, else the newest; else the newest.
  local function named_waitpoint(x, name, now)
    local best, best_rank
    for _, w in pairs(ff.waitpoints(x)) do
      if w.name == name then
        local takes = not w.used and ff.is_open(w, now)
        local rank = takes and (w.state == 'bound' and 2 or 1) or 0
        if not best or rank > best_rank or (rank == best_rank and w.number > best.number) then
          best, best_rank = w, rank
        end
      end
    end
    return best
  end

  -- The waitpoint that a signal is for, or nil and a code. What its token was made for must be what is stored.
  local function find_waitpoint(x, s, now)
    if not s.number then
      local w = named_waitpoint(x, s.at_name, now)
      return w, not w and 'WAITPOINT_NOT_FOUND' or nil
    end
    local w = ff.waitpoints(x)[s.number]
    if not w then
      -- One that was closed long ago is forgotten; others never were.
      return nil, s.number <= (x.waitpoint_number or 0) and 'WAITPOINT_CLOSED' or 'TOKEN_INVALID'
    end
    if w.scope ~= s.scope or w.expires_at ~= s.expires_at then
      return nil, 'TOKEN_INVALID'
    end
    return w
  end

  -- Whether there is no room for a signal at w. One that came with a token has less: of the execution's bytes a
  -- waitpoint has half, and an eighth, like the reserved places, is for those by name.
  local function is_full(x, w, s, limits, now)
    local kept, bytes = (x.kept_signals or 0), (x.signal_bytes or 0) + #s.payload
    if s.digest and drop_expired(x, now) >= MOST_DELIVERIES + (s.number and 0 or RESERVED) then
      return true
    elseif not s.number then
      return kept >= limits.signals or bytes > limits.bytes or #w.signals >= MOST_AT_WAITPOINT + RESERVED
    end
    return kept >= limits.signals - math.min(RESERVED, math.floor(limits.signals / 4))
      or bytes > limits.bytes - math.floor(limits.bytes / 8)
      or (w.bytes or 0) + #s.payload > limits.bytes / 2
      or #w.signals >= MOST_AT_WAITPOINT
  end

  -- Keeps a signal at w and shows it to what waits there. Gives its number and effect.
  local function accept(x, w, s, now)
    -- Who is nobody by name sends as the one whom the holder made the waitpoint for, or as the waitpoint.
    local recipient = w.recipient or ''
    local source = s.source ~= '' and s.source or recipient ~= '' and 'user:' .. recipient or 'waitpoint:' .. w.number
    local header = ff.store_signal(x, w, {
      name = s.name, category = s.category, source = source, correlation = s.correlation,
    }, s.payload, now)
    local effect = 'buffered'
    if x.state == 'suspended' and w.state == 'bound' then
      local record = ff.open_suspension(x)
      local took, changed = ff.take(record, ff.signal_of(header, w, 'signal'))
      effect = ff.is_satisfied(record) and 'resumed' or changed and 'counted' or took and 'repeated' or 'unmatched'
    end
    ff.event(x, 'signal', header.number .. ' ' .. w.name .. ' ' .. effect .. ' ' .. source)
    if w.uses == 'single' and USES_UP[effect] then
      w.used = s.fingerprint .. ' ' .. header.number .. ' ' .. effect
    end
    if effect == 'resumed' then
      ff.resume(x, 'signal', now, s.resume_delay_ms)
    elseif effect == 'counted' then
      ff.save_suspension(x)
    end
    ff.save_waitpoint(x, w)
    return header.number, effect
  end

  -- What was answered before is answered before anything that may have changed since is looked at.
  local function deliver_one(prefix, s, limits, now)
    if s.number and s.expires_at <= now then
      return { 'TOKEN_INVALID' }
    end
    local x = ff.load(prefix, s.id)
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    if s.key ~= '' then
      s.digest = redis.sha1hex((s.number or '=' .. s.at_name) .. '/' .. s.key)
      local fingerprint, number, effect = first_delivery(x, s.digest, now)
      if fingerprint and fingerprint ~= s.fingerprint then
        return { 'IDEMPOTENCY_CONFLICT', number }
      elseif fingerprint then
        return { 'OK', number, effect, 1, x.state }
      end
    end
    local w, code = find_waitpoint(x, s, now)
    if not w then
      return { code }
    end
    local fingerprint, number, effect = string.match(w.used or '', '^(%S+) (%d+) (%a+)$')
    if fingerprint == s.fingerprint then
      return { 'OK', tonumber(number), effect, 1, x.state }
    elseif ff.TERMINAL[x.state] then
      return { 'EXECUTION_TERMINAL' }
    elseif fingerprint or not ff.is_open(w, now) then
      return { 'WAITPOINT_CLOSED' }
    elseif is_full(x, w, s, limits, now) then
      return { 'SIGNALS_FULL' }
    end
    number, effect = accept(x, w, s, now)
    if s.digest then
      remember(x, s.digest, s.fingerprint .. ' ' .. number .. ' ' .. effect, now + s.ttl_ms)
    end
    return { 'OK', number, effect, 0, x.state }
  end

  -- Delivers signals, each on its own. Whoever may deliver has been checked; that the waitpoint is the one that was
  -- meant, is checked here.
  --
  -- KEYS  1 executions
  -- ARGV  1 max_signals       signals kept for an execution
  --       2 max_bytes         bytes of their payloads
  --       3.. items           id, scope, number of the waitpoint ("" by name), expires_ms, name of the waitpoint (by
  --                           name only), name, category, source ("" for the one that the waitpoint stands for),
  --                           correlation id, payload, idempotency key, idempotency_ttl_ms, resume_delay_ms,
  --                           fingerprint
  -- gives array, one element an item: {OK, number, effect, 1 when it is the answer to an earlier one, state} or {code,
  --       number of the first}
  -- codes EXECUTION_NOT_FOUND EXECUTION_TERMINAL WAITPOINT_NOT_FOUND WAITPOINT_CLOSED TOKEN_INVALID SIGNALS_FULL
  --       IDEMPOTENCY_CONFLICT
  local function signal_deliver(keys, args)
    local prefix, now, replies = ff.prefix(keys[1]), ff.now_ms(), {}
    local limits, ids = { signals = tonumber(args[1]), bytes = tonumber(args[2]) }, {}
    for i = 3, #args, ITEM do
      ids[#ids + 1] = args[i]
    end
    ff.preload(prefix, ids)
    for i = 3, #args, ITEM do
      replies[#replies + 1] = deliver_one(prefix, {
        id = args[i], scope = args[i + 1], number = tonumber(args[i + 2]), expires_at = tonumber(args[i + 3]),
        at_name = args[i + 4], name = args[i + 5], category = args[i + 6], source = args[i + 7],
        correlation = args[i + 8], payload = args[i + 9], key = args[i + 10], ttl_ms = tonumber(args[i + 11]),
        resume_delay_ms = tonumber(args[i + 12]), fingerprint = args[i + 13],
      }, limits, now)
    end
    return replies
  end

  register('signal_deliver', signal_deliver)
end
