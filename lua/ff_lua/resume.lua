-- How a suspension ends while the execution goes on: by signals, by an operator, by time.
do
  -- Behaviour of a wait that ran out of time -> the state it ends in.
  local ENDS = { fail = 'failed', cancel = 'cancelled', expire = 'expired' }

  -- Writes down what satisfied a wait, where a handler that runs again finds the results of its steps.
  local function record_wait(x, wait)
    local entry, header = ff.wait_entry(x, wait, 'done')
    local data = header.k == 'wait' and ff.wait_data(ff.signal_texts(x, wait.by)) or ''
    ff.journal_entry(x, entry, header, data, true)
  end

  -- Notes which waits are satisfied and by which signals. Gives the numbers of those signals, in order, which waitpoints
  -- have served, and which are needed still. A signal that another wait has counted stays for that one.
  local function satisfy(record, now)
    local all, served, needed, counted, shared = {}, {}, {}, {}, {}
    for _, wait in ipairs(record.waits) do
      if wait.forced_by or ff.condition_ok(wait.node) then
        wait.satisfied_at, wait.by = now, ff.condition_by(wait.node, { wait.forced_by })
        for _, number in ipairs(wait.by) do
          all[number] = true
        end
        for _, number in ipairs(wait.waitpoints) do
          served[number] = true
        end
      else
        ff.condition_counted(wait.node, counted)
        for _, number in ipairs(wait.waitpoints) do
          needed[number] = true
        end
      end
    end
    local numbers = {}
    for number in pairs(all) do
      numbers[#numbers + 1] = number
      shared[#shared + 1] = counted[number] and number
    end
    table.sort(numbers)
    record.shared = #shared > 0 and shared or nil
    return numbers, served, needed
  end

  -- Lets go of a waitpoint. When its wait is satisfied and no other needs it, it is closed, unless its holder made it
  -- itself and it is not used up. Then, as all others, it keeps its signals until its holder asks for it again.
  local function unbind(x, record, w, has_served, now)
    local is_own = string.sub(w.scope, 1, 1) == 'p'
    if has_served and not (is_own and not w.used) then
      return ff.close_waitpoint(x, w, 'resumed', now)
    end
    w.state, w.idle = 'pending', has_served and record.number or nil
    ff.save_waitpoint(x, w)
  end

  -- Ends the open suspension of x and makes it run again.
  function ff.resume(x, ending, now, delay_ms)
    local record = ff.open_suspension(x)
    local numbers, served, needed = satisfy(record, now)
    record.state, record.closed_at, record.ending, record.resumed_by = 'closed', now, ending, numbers
    x.resumed = record.number
    local operation = ending == 'timeout' and 'lapse' or 'resume'
    if delay_ms > 0 then
      ff.to_delayed(x, operation, 'attempt_interrupted', 'waiting_for_resume_delay', now + delay_ms)
    else
      ff.to_waiting(x, operation, 'attempt_interrupted')
    end
    for _, wait in ipairs(record.waits) do
      if wait.satisfied_at and wait.entry ~= '' then
        record_wait(x, wait)
      end
    end
    for _, number in ipairs(record.waitpoints) do
      local w = ff.waitpoints(x)[number]
      if w then
        unbind(x, record, w, served[number] and not needed[number], now)
      end
    end
    ff.save_suspension(x)
    ff.event(x, 'resumed', ending)
  end

  -- Why the next holder runs: {number, ending, signal ..} with each signal's header and payload, or "" when it was
  -- not a suspension.
  function ff.resumption(x)
    local record = x.resumed and ff.suspension(x)
    if not record or record.number ~= x.resumed then
      return ''
    end
    local told = ff.signal_texts(x, record.resumed_by)
    table.insert(told, 1, record.number)
    table.insert(told, 2, record.ending)
    return told
  end

  -- Makes a signal of the engine's own, which satisfies what nothing else may.
  local function own_signal(x, kind, name, source, payload, now)
    local header = ff.store_signal(x, nil, { name = name, category = kind, source = source }, payload, now)
    local record = ff.open_suspension(x)
    record.own = record.own or {}
    record.own[#record.own + 1] = header.number
    return ff.signal_of(header, nil, kind)
  end

  -- Resumes a suspended execution on an operator's word, whatever it waits for.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  --       2 source         who says so, authenticated
  --       3 delay_ms       before it runs
  --       4 reason         for people; may be empty
  --       5 nonce          of this request, which may arrive twice
  -- gives {OK, state} or {code}
  -- codes EXECUTION_NOT_FOUND EXECUTION_NOT_SUSPENDED
  local function suspension_resume(keys, args)
    local x, now = ff.load(ff.prefix(keys[1]), args[1]), ff.now_ms()
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    if x.resume_nonce == args[5] then -- whatever has happened since
      return { 'OK', x.state }
    end
    if x.state ~= 'suspended' then
      return { 'EXECUTION_NOT_SUSPENDED', x.state }
    end
    local record = ff.open_suspension(x)
    x.resume_nonce = args[5]
    local signal = own_signal(x, 'operator', 'resume', args[2], args[4], now)
    ff.take(record, signal)
    for _, wait in ipairs(record.waits) do
      wait.forced_by = signal.number
    end
    ff.resume(x, 'operator', now, tonumber(args[3]))
    return { 'OK', x.state }
  end

  -- The waits that are due, the first due first.
  local function due_waits(record, now)
    local due = {}
    for i, wait in ipairs(record.waits) do
      if wait.due_at and wait.due_at <= now then
        due[#due + 1] = { wait.due_at, i, wait }
      end
    end
    table.sort(due, function(a, b)
      return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
    end)
    return due
  end

  -- Ends x because a wait ran out of time.
  local function run_out(x, wait, now)
    local state = ENDS[wait.on_timeout]
    local failure = { type = 'suspension_timeout', message = 'nothing resumed it in time', category = 'timeout' }
    if wait.name ~= '' then
      failure.message = wait.name .. ': ' .. failure.message
    end
    ff.event(x, 'wait_timed_out', wait.on_timeout)
    x.failure = failure
    if state == 'cancelled' then
      x.cancel_at, x.cancel_reason = now, failure.message
    end
    ff.to_terminal(x, 'lapse', state, now)
    ff.event(x, state, failure.type)
  end

  -- Leaves the suspension open for an operator to look at.
  local function escalate(x, wait, now)
    ff.event(x, 'wait_timed_out', wait.on_timeout)
    wait.due_at, wait.escalated_at = nil, now
    ff.to_suspended(x, 'lapse', 'paused_by_operator', ff.next_due(ff.suspension(x)))
    ff.event(x, 'escalated', wait.name)
  end

  -- Does what the due waits of x say, in the order of their times. Waits that resume do so together, up to the first
  -- one that would end the execution; when that comes first, it does. A suspension with nothing due is put back.
  local function lapse(x, now)
    local record, signal, is_over = ff.open_suspension(x), nil, false
    local due = due_waits(record, now)
    for _, entry in ipairs(due) do
      local wait = entry[3]
      if wait.timer or wait.on_timeout == 'resume' then
        signal = signal or own_signal(x, 'timeout', 'timeout', 'engine', '', now)
        ff.condition_take(wait.node, signal)
        wait.forced_by = wait.on_timeout == 'resume' and signal.number or nil
      end
      if wait.forced_by or ff.condition_ok(wait.node) then
        ff.event(x, 'wait_timed_out', 'resume')
        is_over = true
      elseif not ENDS[wait.on_timeout] then
        escalate(x, wait, now)
      elseif is_over then
        break
      else
        return run_out(x, wait, now)
      end
    end
    if is_over then
      return ff.resume(x, 'timeout', now, 0)
    end
    ff.save_suspension(x)
    ff.place(x, 'suspended', ff.next_due(record) or ff.NEVER)
  end

  -- Does what suspensions say about their timeouts, when these are due.
  --
  -- KEYS  1 executions
  -- ARGV  1 limit
  -- gives {changed, next due}
  -- codes none
  local function suspension_lapse(keys, args)
    return ff.each_due(keys, args, 'suspended', function(x, index)
      return x.index == index
    end, lapse)
  end

  -- Reads the current or last suspension.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  -- gives {OK, record (JSON) or "" when it never suspended, {signal that resumed it: header (JSON), newline, payload},
  --       {waitpoint (JSON), ..}} or {code}
  -- codes EXECUTION_NOT_FOUND
  local function suspension_describe(keys, args)
    local x = ff.load(ff.prefix(keys[1]), args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    local record = x.suspensions and ff.suspension(x)
    if not record then
      return { 'OK', '', {}, {} }
    end
    local waitpoints = {}
    for _, number in ipairs(record.waitpoints) do
      local w = ff.waitpoints(x)[number]
      waitpoints[#waitpoints + 1] = w and cjson.encode(w)
    end
    return { 'OK', cjson.encode(record), ff.signal_texts(x, record.resumed_by or {}), waitpoints }
  end

  register('suspension_resume', suspension_resume)
  register('suspension_lapse', suspension_lapse)
  register('suspension_describe', suspension_describe)
end
