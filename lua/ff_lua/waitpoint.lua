-- Waitpoints: where signals for an execution arrive. They belong to the execution, not to one suspension:
--   pending   made, but no wait asks for it; its signals are kept
--   bound     a wait of the suspension in force asks for it
--   closed    takes no more signals; `ending` says why
-- A pending one runs out when nobody looks: it takes no signals once its time is over, until a wait asks for it. One
-- that was waited for before does not run out: whoever waited for it will ask again.
do
  local MOST_OPEN = 128
  local IDLE_KEPT = 32 -- the last ones that were waited for; few enough to leave signals for others a place
  local CLOSED_KEPT = 200 -- the newest

  -- All waitpoints of x by number, read once a call.
  function ff.waitpoints(x)
    local found = x.waitpoints
    if not found then
      found = {}
      if x.waitpoint_number then
        local flat = redis.call('HGETALL', ff.key(x.prefix, 'waitpoints', x.id))
        for i = 2, #flat, 2 do
          local w = cjson.decode(flat[i])
          found[w.number] = w
        end
      end
      x.waitpoints = found
    end
    return found
  end

  -- Has w written at the end of the call: one call may change it many times.
  function ff.save_waitpoint(x, w)
    x.unsaved = x.unsaved or {}
    x.unsaved[w.number] = true
    ff.save(x)
  end

  -- Writes what was saved of the waits of x. A waitpoint that was forgotten since is not there any more.
  function ff.write_waits(x)
    if x.unsaved.suspension then
      redis.call('SET', ff.key(x.prefix, 'suspension', x.id), cjson.encode(x.suspension))
    end
    local changed = {}
    for number in pairs(x.unsaved) do
      local w = x.waitpoints and x.waitpoints[number]
      if w then
        changed[#changed + 1] = number
        changed[#changed + 1] = cjson.encode(w)
      end
    end
    if #changed > 0 then
      redis.call('HSET', ff.key(x.prefix, 'waitpoints', x.id), unpack(changed))
    end
    x.unsaved = nil
  end

  -- Whether w takes signals. What runs out once it was waited for is its token alone.
  function ff.is_open(w, now)
    return w.state == 'bound' or (w.state == 'pending' and (w.waited == true or w.expires_at > now))
  end

  -- The public id, which says all that a token is bound to.
  function ff.waitpoint_id(x, w)
    return w.namespace .. '~' .. x.id .. '~' .. w.scope .. '~' .. string.format('%d~%.0f', w.number, w.expires_at)
  end

  -- Whether w counts as open. An idle one, which has served its wait or was left by it, may be asked for again, but
  -- gives way to others. `idle` is the number of the suspension since which it is.
  function ff.takes_room(w, now)
    return ff.is_open(w, now) and not w.idle
  end

  -- Whether a suspension that does not ask for w has left it.
  function ff.is_left(w)
    return w.state == 'pending' and w.waited == true and not w.idle
  end

  -- Whether x may have so many more.
  function ff.has_room(x, more, now)
    local open = 0
    for _, w in pairs(ff.waitpoints(x)) do
      open = open + (ff.takes_room(w, now) and 1 or 0)
    end
    return open + more <= MOST_OPEN
  end

  local function numbers_of(waitpoints)
    local numbers = {}
    for number in pairs(waitpoints) do
      numbers[#numbers + 1] = number
    end
    table.sort(numbers)
    return numbers
  end

  -- Drops the oldest of those that are closed or ran out, beyond those that are kept, and closes the oldest idle ones. One
  -- that ran out with signals is as good as idle. A waitpoint with signals stays until these are dropped: they are counted.
  local function trim(x, now)
    local waitpoints, closed, idle = ff.waitpoints(x), {}, {}
    for _, number in ipairs(numbers_of(waitpoints)) do
      local w = waitpoints[number]
      if not ff.is_open(w, now) and not next(w.signals) then
        closed[#closed + 1] = number
      elseif w.state == 'pending' and not ff.takes_room(w, now) then
        idle[#idle + 1] = w
      end
    end
    if #idle > IDLE_KEPT then
      table.sort(idle, function(a, b)
        local since, other = a.idle or 0, b.idle or 0
        return since < other or (since == other and a.number < b.number)
      end)
      for i = 1, #idle - IDLE_KEPT do
        ff.close_waitpoint(x, idle[i], idle[i].idle and 'resumed' or 'expired', now)
      end
    end
    local over = #closed - CLOSED_KEPT
    if over > 0 then
      redis.call('HDEL', ff.key(x.prefix, 'waitpoints', x.id), unpack(closed, 1, over))
      for i = 1, over do
        waitpoints[closed[i]] = nil
      end
    end
  end

  -- Makes one: `spec` has name, uses, recipient and ttl_ms, `scope` is "s<suspension>", or "p" for one that waits to
  -- be bound. The caller has asked `has_room`.
  function ff.new_waitpoint(x, spec, scope, kid, entry, now)
    local waitpoints = ff.waitpoints(x)
    local number = (x.waitpoint_number or 0) + 1
    x.waitpoint_number = number
    ff.save(x)
    local w = {
      namespace = string.match(x.queue, '^[^/]*'), number = number, name = spec.name,
      scope = scope == 'p' and string.format('p%d', number) or scope,
      state = scope == 'p' and 'pending' or 'bound', uses = spec.uses or 'multi', recipient = spec.recipient or '',
      kid = kid, entry = entry, created_at = now, expires_at = now + spec.ttl_ms, signals = {},
    }
    waitpoints[number] = w
    trim(x, now)
    ff.save_waitpoint(x, w)
    return w
  end

  -- Has w take no more signals.
  function ff.close_waitpoint(x, w, ending, now)
    if w.state ~= 'closed' then
      w.state, w.ending, w.closed_at = 'closed', ending, now
      ff.save_waitpoint(x, w)
    end
  end

  -- Closes whatever waits: every waitpoint, and the suspension if it is open. Once more does nothing.
  function ff.close_waits(x, ending, now)
    for _, w in pairs(ff.waitpoints(x)) do
      ff.close_waitpoint(x, w, ending, now)
    end
    local record = x.suspensions and ff.suspension(x)
    if record and record.state == 'open' then
      record.state, record.ending, record.closed_at = 'closed', ending, now
      ff.save_suspension(x)
    end
  end

  -- The waitpoint that a repeat of this creation means, or nil.
  local function made_before(x, name, entry, now)
    for _, w in pairs(ff.waitpoints(x)) do
      if entry ~= '' and w.entry == entry then
        return w
      elseif entry == '' and w.entry == '' and w.name == name and w.state == 'pending' and ff.is_open(w, now) then
        return w
      end
    end
  end

  -- Makes a waitpoint of a running execution, before it suspends. A repeat gets the first.
  --
  -- KEYS  1 executions
  -- ARGV  1 lease
  --       2 name
  --       3 uses           single or multi
  --       4 recipient      whose answers its signals are, or ""
  --       5 ttl_ms
  --       6 kid            key that its token is made with
  --       7 entry          key of the journal entry that remembers it, or ""
  -- gives {OK, record (JSON), 1 if it existed} or {code, detail}
  -- codes EXECUTION_NOT_FOUND LEASE_STALE LEASE_EXPIRED LEASE_REVOKED WAITPOINTS_FULL INVALID_ARGUMENT
  local function waitpoint_create(keys, args)
    local prefix, now = ff.prefix(keys[1]), ff.now_ms()
    local x, refusal = ff.leased(prefix, args[1], now)
    if refusal then
      return { refusal }
    end
    local first = made_before(x, args[2], args[7], now)
    if first and first.name ~= args[2] then
      return { 'INVALID_ARGUMENT', 'entry: it remembers the waitpoint ' .. first.name }
    elseif first then
      return { 'OK', cjson.encode(first), 1 }
    elseif not ff.has_room(x, 1, now) then
      return { 'WAITPOINTS_FULL', 'an execution has at most ' .. MOST_OPEN .. ' open waitpoints' }
    end
    local spec = { name = args[2], uses = args[3], recipient = args[4], ttl_ms = tonumber(args[5]) }
    local w = ff.new_waitpoint(x, spec, 'p', args[6], args[7], now)
    ff.confirm(x)
    ff.event(x, 'waitpoint_created', w.name)
    return { 'OK', cjson.encode(w), 0 }
  end

  -- Lists waitpoints by number.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  --       2 after          number, 0 for the first
  --       3 limit
  --       4 closed         "1" to list closed ones too
  -- gives {OK, {record (JSON), ..}} or {code}
  -- codes EXECUTION_NOT_FOUND
  local function waitpoint_list(keys, args)
    local prefix, now = ff.prefix(keys[1]), ff.now_ms()
    local x = ff.load(prefix, args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    local waitpoints, found = ff.waitpoints(x), {}
    for _, number in ipairs(numbers_of(waitpoints)) do
      local w = waitpoints[number]
      if w.state ~= 'closed' and not ff.is_open(w, now) then
        w.state, w.ending = 'closed', 'expired'
      end
      if number > tonumber(args[2]) and #found < tonumber(args[3]) and (w.state ~= 'closed' or args[4] == '1') then
        found[#found + 1] = cjson.encode(w)
      end
    end
    return { 'OK', found }
  end

  register('waitpoint_create', waitpoint_create)
  register('waitpoint_list', waitpoint_list)
end
