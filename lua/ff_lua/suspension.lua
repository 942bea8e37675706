-- Suspending: a holder gives back its lease, and the execution waits for signals, an operator or a time.
--
-- A suspension is a list of waits, each with a condition and a time of its own; it ends when any of them is satisfied.
-- Its record is one JSON document beside the core, because every list, claim and renewal decodes the core.
do
  local MOST_BYTES, MOST_WAITS, MOST_WAITPOINTS = 32768, 16, 64
  local LONGEST_MS = 400 * 86400000
  local BEHAVIOURS = { fail = true, cancel = true, expire = true, resume = true, escalate = true }
  local USES = { single = true, multi = true }

  -- Reason code -> blocking reason of the state vector; any other code says that it waits for a signal.
  local REASONS = {
    waiting_for_signal = 'waiting_for_signal',
    waiting_for_approval = 'waiting_for_approval',
    waiting_for_callback = 'waiting_for_callback',
    waiting_for_tool_result = 'waiting_for_tool_result',
    waiting_for_timer = 'waiting_for_timer',
    waiting_for_operator_review = 'paused_by_operator',
    manual_pause = 'paused_by_operator',
    paused_by_policy = 'paused_by_policy',
  }

  -------------------------------------------------------------------------------------------------- the record

  -- The current or last suspension of x, or nil; read once a call.
  function ff.suspension(x)
    if not x.suspension then
      local record = redis.call('GET', ff.key(x.prefix, 'suspension', x.id))
      x.suspension = record and cjson.decode(record) or nil
    end
    return x.suspension
  end

  -- The suspension in force. One whose record was lost waits for nothing, so that an operator can still end it.
  function ff.open_suspension(x)
    x.suspension = ff.suspension(x) or { number = x.suspensions or 0, state = 'open', waits = {}, waitpoints = {} }
    return x.suspension
  end

  -- Has the suspension written at the end of the call, as save_waitpoint a waitpoint.
  function ff.save_suspension(x)
    x.unsaved = x.unsaved or {}
    x.unsaved.suspension = true
    ff.save(x)
  end

  -- When the first of its waits runs out of time, or nil.
  function ff.next_due(record)
    local due
    for _, wait in ipairs(record.waits) do
      if wait.due_at and (not due or wait.due_at < due) then
        due = wait.due_at
      end
    end
    return due
  end

  -- Shows a signal to every wait that is not satisfied. Gives whether any took it, and whether that changed anything.
  function ff.take(record, signal)
    local took, changed = false, false
    for _, wait in ipairs(record.waits) do
      if not ff.condition_ok(wait.node) then
        local takes, changes = ff.condition_take(wait.node, signal)
        took, changed = took or takes, changed or changes
      end
    end
    return took, changed
  end

  -- Whether any wait is satisfied.
  function ff.is_satisfied(record)
    for _, wait in ipairs(record.waits) do
      if ff.condition_ok(wait.node) then
        return true
      end
    end
    return false
  end

  local function entry_kind(wait)
    return wait.node.op == 'timeout' and 'sleep' or 'wait'
  end

  -- The key, and the header but for state and times, of the journal entry that remembers a wait.
  function ff.wait_entry(x, wait, state)
    local first = wait.waitpoints[1] and ff.waitpoints(x)[wait.waitpoints[1]]
    return wait.entry, {
      k = entry_kind(wait), n = wait.name, s = state, due = wait.due_at,
      w = first and ff.waitpoint_id(x, first) or nil, v = wait.seen,
    }
  end

  ----------------------------------------------------------------------------------------- what the holder asks

  local function is_text(value, most)
    return type(value) == 'string' and #value <= most
  end

  -- Checks the waitpoints of a spec. Gives those it binds by place and all names, or nil, a code and what is wrong.
  local function read_waitpoints(x, wanted, now)
    local known, bound, names, fresh = ff.waitpoints(x), {}, {}, 0
    if #wanted > MOST_WAITPOINTS then
      return nil, 'INVALID_ARGUMENT', 'waitpoints: at most ' .. MOST_WAITPOINTS
    end
    for i, each in ipairs(wanted) do
      local at, old = 'waitpoints[' .. i - 1 .. ']', type(each) == 'table' and known[each.number] or nil
      if type(each) ~= 'table' or not is_text(each.name, 64) or each.name == '' or names[each.name] then
        return nil, 'INVALID_ARGUMENT', at .. '.name: 1 to 64 bytes, each name once'
      elseif each.number and (not old or old.state ~= 'pending' or bound[old]) then
        return nil, 'INVALID_ARGUMENT', at .. '.waitpoint_id: not a pending waitpoint of this execution'
      elseif not old and not (USES[each.uses] and type(each.ttl_ms) == 'number' and each.ttl_ms <= LONGEST_MS) then
        return nil, 'INVALID_ARGUMENT', at .. ': its use or its time to live'
      elseif not is_text(each.recipient or '', 256) then
        return nil, 'INVALID_ARGUMENT', at .. '.recipient: at most 256 bytes'
      end
      names[each.name], bound[i] = true, old or false
      bound[old or each] = true
      fresh = fresh + (old and ff.takes_room(old, now) and 0 or 1)
    end
    for _, w in pairs(known) do
      fresh = fresh - (ff.is_left(w) and not bound[w] and 1 or 0)
    end
    if not ff.has_room(x, fresh, now) then
      return nil, 'WAITPOINTS_FULL', 'too many are open'
    end
    return bound, names
  end

  -- Whether a condition waits for its time; notes the waitpoints it names, and all where it does not say which. Its
  -- depth has been checked.
  local function survey(node, names, named)
    local has_timer = node.op == 'timeout'
    if node.op == 'signal' and node.at then
      named[node.at] = true
    elseif node.op == 'count' and node.at then
      for _, name in ipairs(node.at) do
        named[name] = true
      end
    elseif node.op == 'signal' or node.op == 'count' then
      for name in pairs(names) do
        named[name] = true
      end
    end
    for _, child in ipairs(node.of or {}) do
      has_timer = survey(child, names, named) or has_timer
    end
    return has_timer
  end

  -- Checks one wait and gives it as it is stored, or nil and what is wrong.
  local function read_wait(wait, names, now, longest_ms)
    if type(wait) ~= 'table' or type(wait.timeout_ms or 0) ~= 'number' then
      return nil, 'timeout: not a number'
    elseif type(wait.seen or 0) ~= 'number' or not ((wait.seen or 0) >= 0 and (wait.seen or 0) <= 2 ^ 53) then
      return nil, 'seen: 0 to 2^53'
    end
    local due_at = wait.due_at or (wait.timeout_ms and now + wait.timeout_ms)
    if not is_text(wait.entry or '', 256) or not is_text(wait.name or '', 256) then
      return nil, 'entry and name: at most 256 bytes'
    elseif not BEHAVIOURS[wait.on_timeout or 'fail'] then
      return nil, 'on_timeout: fail, cancel, expire, resume or escalate'
    elseif due_at and not (type(due_at) == 'number' and due_at <= now + longest_ms) then
      return nil, 'timeout: at most ' .. string.format('%.0f', longest_ms) .. ' ms'
    elseif type(wait.node) ~= 'table' then
      return nil, 'condition: none'
    end
    local path, problem = ff.condition_problem(wait.node, names, due_at ~= nil)
    if path then
      return nil, 'condition' .. path .. ': ' .. problem
    end
    local named = {}
    local has_timer = survey(wait.node, names, named)
    return {
      entry = wait.entry or '', name = wait.name or '', node = wait.node, due_at = due_at and math.max(due_at, 1),
      on_timeout = wait.on_timeout or 'fail', named = named, timer = has_timer or nil, seen = wait.seen,
    }
  end

  -- Whether the journal entries that waits name are theirs, or there is room for them. Gives nil, or a code and what is
  -- wrong.
  local function check_entries(x, waits, spec)
    local wanted, place_of, known = {}, {}, 0
    for i, wait in ipairs(waits) do
      if wait.entry ~= '' and place_of[wait.entry] then
        return 'INVALID_ARGUMENT', 'waits[' .. i - 1 .. '].entry: another wait has it too'
      elseif wait.entry ~= '' then
        wanted[#wanted + 1], place_of[wait.entry] = wait.entry, i
      end
    end
    for key, header in pairs(ff.journal_headers(x, wanted)) do
      local wait = waits[place_of[key]]
      local is_other = header.k ~= entry_kind(wait) or header.n ~= wait.name
      if is_other or header.s == 'done' or header.s == 'failed' then
        local recorded = is_other and header.k .. ' ' .. header.n or header.s
        return 'STEP_MISMATCH', 'waits[' .. place_of[key] - 1 .. '].entry: ' .. key .. ' was recorded as ' .. recorded
      end
      known = known + 1
    end
    if not ff.journal_takes(x, #wanted - known, tonumber(spec.most_entries), tonumber(spec.most_bytes)) then
      return 'JOURNAL_FULL', 'the journal has no room for the entries of the waits'
    end
  end

  -- Reads all that a holder asks for, before anything is written. Gives the spec, its waits and the waitpoints it
  -- binds, or nil, a code and what is wrong.
  local function read_spec(x, text, now)
    if #text > MOST_BYTES then
      return nil, 'INVALID_ARGUMENT', 'suspend: ' .. #text .. ' bytes; at most ' .. MOST_BYTES
    end
    local is_json, spec = pcall(cjson.decode, text)
    if not is_json or type(spec) ~= 'table' or type(spec.waits) ~= 'table' or type(spec.waitpoints) ~= 'table' then
      return nil, 'INVALID_ARGUMENT', 'suspend: no JSON with waits and waitpoints'
    end
    if not is_text(spec.reason_code or '', 64) then
      return nil, 'INVALID_ARGUMENT', 'reason_code: at most 64 bytes'
    end
    local bound, names, problem = read_waitpoints(x, spec.waitpoints, now)
    if not bound then
      return nil, names, problem
    end
    if #spec.waits < 1 or #spec.waits > MOST_WAITS then
      return nil, 'INVALID_ARGUMENT', 'waits: 1 to ' .. MOST_WAITS
    end
    local waits, longest_ms = {}, math.min(LONGEST_MS, tonumber(spec.longest_ms) or LONGEST_MS)
    for i, each in ipairs(spec.waits) do
      waits[i], problem = read_wait(each, names, now, longest_ms)
      if not waits[i] then
        return nil, 'INVALID_ARGUMENT', 'waits[' .. i - 1 .. '].' .. problem
      end
    end
    local code, detail = check_entries(x, waits, spec)
    if code then
      return nil, code, detail
    end
    return spec, waits, bound
  end

  ------------------------------------------------------------------------------------------------- suspending

  -- Makes or binds the waitpoints of a suspension, and tells each wait the numbers of those it names.
  local function bind(x, record, wanted, bound, kid, now)
    local shown, number_of = {}, {}
    for i in ipairs(wanted) do
      if bound[i] then
        bound[i].state = 'bound' -- before others are made: that forgets some which ran out
      end
    end
    for _, w in pairs(ff.waitpoints(x)) do
      if ff.is_left(w) then
        w.idle = record.number
        ff.save_waitpoint(x, w)
      end
    end
    for i, each in ipairs(wanted) do
      local w = bound[i] or ff.new_waitpoint(x, each, 's' .. record.number, kid, '', now)
      w.name, w.state, w.waited, w.idle = each.name, 'bound', true, nil
      ff.save_waitpoint(x, w)
      shown[i], record.waitpoints[i], number_of[w.name] = w, w.number, w.number
    end
    for _, wait in ipairs(record.waits) do
      wait.waitpoints = {}
      for name in pairs(wait.named) do
        wait.waitpoints[#wait.waitpoints + 1] = number_of[name]
      end
      table.sort(wait.waitpoints)
      wait.named = nil
    end
    return shown
  end

  -- Has a single-use waitpoint know which of its signals used it up; none, when they were of no use to waits that go on.
  local function note_use(x, w, used, is_over)
    local number = tonumber(string.match(w.used or '', '^%S+ (%d+)'))
    if w.uses == 'single' and used[w] ~= number and (used[w] or not is_over) then
      w.used = used[w] and '- ' .. used[w] .. ' counted' or nil -- no delivery has this fingerprint
      ff.save_waitpoint(x, w)
    end
  end

  -- Shows the record the signals that its waitpoints kept, in the order they came.
  local function replay(x, record)
    local numbers, waitpoint_of = {}, {}
    for _, number in ipairs(record.waitpoints) do
      local w = ff.waitpoints(x)[number]
      for _, signal in ipairs(w.signals) do
        numbers[#numbers + 1] = signal
        waitpoint_of[signal] = w
      end
    end
    if #numbers == 0 then
      return
    end
    table.sort(numbers)
    local used = {}
    for _, text in ipairs(ff.signal_texts(x, numbers)) do
      local header = cjson.decode(string.match(text, '^[^\n]*'))
      local w = waitpoint_of[header.number]
      if not used[w] then
        local _, changed = ff.take(record, ff.signal_of(header, w, 'signal'))
        used[w] = changed and w.uses == 'single' and header.number or nil
      end
    end
    for _, number in ipairs(record.waitpoints) do
      note_use(x, ff.waitpoints(x)[number], used, ff.is_satisfied(record))
    end
  end

  -- Suspends x, whose lease is in force. Gives the answer and what else its holder is told as JSON, or nil, a code
  -- and what is wrong; then nothing has changed.
  function ff.suspend(x, spec_text, kid, now)
    if x.cancel_at then
      ff.cancel_now(x, 'suspend', now, 'cancelled')
      return 'cancelled', ''
    end
    local spec, waits, bound = read_spec(x, spec_text, now)
    if not spec then
      return nil, waits, bound
    end
    local due_at = ff.next_due({ waits = waits })
    ff.end_lease(x, 'suspended', 'suspended', now)
    x.ended.fingerprint = spec.fingerprint
    ff.to_suspended(x, 'suspend', REASONS[spec.reason_code] or 'waiting_for_signal', due_at)
    ff.spend(x, now)
    ff.forget_signals(x)
    x.suspensions = (x.suspensions or 0) + 1
    x.resumed, x.recovered = nil, nil
    local record = {
      number = x.suspensions, reason_code = spec.reason_code, requested_by = spec.requested_by, at = now,
      attempt = x.attempt, epoch = x.epoch, lease = x.last_lease, state = 'open', waits = waits, waitpoints = {},
    }
    x.suspension = record
    local shown = bind(x, record, spec.waitpoints, bound, kid, now)
    ff.event(x, 'suspended', spec.reason_code)
    for _, wait in ipairs(waits) do
      if wait.entry ~= '' then
        local entry, header = ff.wait_entry(x, wait, 'waiting')
        ff.journal_entry(x, entry, header, '', false)
      end
    end
    replay(x, record)
    local answer = 'suspended'
    if ff.is_satisfied(record) then
      answer = 'resumed'
      x.last_answer, x.ended.answer = answer, answer -- what a repeat of the outcome is told
      ff.resume(x, 'signal', now, 0)
    else
      ff.save_suspension(x)
    end
    return answer, cjson.encode({ suspension = record.number, waitpoints = shown })
  end

  -- The reply to an outcome of a lease that has ended by suspending: its first answer, whatever the outcome, but for a
  -- suspension (`spec_text`) with other content. What else its holder was told is known until the next suspension.
  function ff.suspended_before(x, epoch, lease_id, answer, spec_text)
    local ended = x.ended
    if not ended or ended.lease ~= lease_id then
      ended = cjson.decode(redis.call('HGET', ff.key(x.prefix, 'history', x.id), epoch) or '{}')
    end
    local first = ended.lease == lease_id and ended.fingerprint
    local is_json, spec = pcall(cjson.decode, spec_text or '{}')
    if spec_text and first and not (is_json and type(spec) == 'table' and spec.fingerprint == first) then
      return { 'IDEMPOTENCY_CONFLICT', 'this lease suspended for something else' }
    end
    local record, shown = x.suspensions and ff.suspension(x), {}
    if not record or record.lease ~= lease_id then
      return { 'OK', answer, '' }
    end
    for _, number in ipairs(record.waitpoints) do
      shown[#shown + 1] = ff.waitpoints(x)[number]
    end
    return { 'OK', answer, cjson.encode({ suspension = record.number, waitpoints = shown }) }
  end

  -- Counts the time that an attempt has run before it is interrupted, for its timeout.
  function ff.spend(x, now)
    if x.attempt_timeout_ms then
      x.spent_ms = (x.spent_ms or 0) + now - x.granted_at
    end
  end
end
