-- Executions as documents, their indexes, and the writes of a call, which are made together at its end.
--
-- An execution is one document of MessagePack values. A function loads it as a table `x`, changes that, and saves
-- it: one transition, one write to the core. Not a hash: reading 29 and writing 15 fields of one cost a function
-- 45 us in argument passing alone. What nearly every execution has is packed without names, in a fixed order, and
-- read by a constructor that knows its size: a map of 21 names costs a function 2 us more to read, and as much to
-- write. `ff.describe` gives people and Python the same as JSON.
--
-- Each redis.call costs about 1 us before it does anything, and the hot functions handle many executions. So what
-- a function changes is collected, and `flush` writes it at its end with one call for all cores, one for each index,
-- one for all events and one for all who watch. Nothing can fail after a write, because nothing is left to do.
do
  local MINOR, CHANGED, ENDED = 1, 2, 3 -- what news weighs
  local MARKS = { '~', '', '!' }

  local known -- executions loaded or made in this call, by id; false for those that do not exist
  local dirty -- those to be written, in the order of their first save
  local listed -- creation times and ids of those that are new
  local events -- what goes to the feed
  local news, told, weights -- the channel of news, the ids of whatever is news, and how much it weighs, by id
  local last_queue, last_lane -- of the last event, for most of a call have the same

  function ff.begin()
    known, dirty, listed, events, told, weights = {}, {}, {}, {}, {}, {}
  end

  -- Of a loaded execution these fields are the call's, not the document's:
  --   id, prefix   where it is
  --   is_dirty     it will be written
  --   score        its score in x.index, when this call has moved it
  --   was          the index it was in when it moved first, to be taken out of that
  --   ended        the record of the lease that ended in this call
  --   suspension   its suspension, when read in this call
  --   waitpoints   its waitpoints by number, the same
  --   unsaved      which of these two are to be written
  --
  -- The first value of a document is a map of its other fields, nil when it has none; then come those that most have,
  -- in the order of `pack`. Documents are kept: add at the end there, never move. tools/check_lua.py knows the lists:
  -- a field that is in none would be lost.
  local OTHERS = {
    'attempt_timeout_ms', 'best_effort_at', 'best_effort_recent', 'cancel_at', 'cancel_reason', 'deadline_at',
    'deadline_ms', 'due_at', 'failure', 'failures', 'frame_number', 'kept_signals', 'marks', 'output_bytes',
    'output_frames', 'output_ms', 'output_seq', 'policy', 'progress', 'reclaims', 'recovered', 'replays',
    'resume_nonce', 'resumed', 'signal_bytes', 'signal_number', 'spent_ms', 'steps', 'summary_attempt',
    'summary_id', 'summary_version', 'suspensions', 'traceparent', 'waitpoint_number',
  }

  -- Looks for each of the others, because going through all fields of x with `pairs` takes three times as long.
  local function others_of(x)
    local others
    for i = 1, #OTHERS do
      local value = x[OTHERS[i]]
      if value ~= nil then
        others = others or {}
        others[OTHERS[i]] = value
      end
    end
    return others
  end

  local function pack(x)
    return cmsgpack.pack(others_of(x),
      x.kind, x.queue, x.priority, x.created_at, x.state, x.reason, x.attempt_state,
      x.index, x.attempt, x.epoch, x.lease_id, x.holder, x.worker, x.granted_at,
      x.expires_at, x.started_at, x.ended_at, x.confirmed, x.resume_state, x.last_lease,
      x.last_answer, x.last_ending, x.result_bytes)
  end

  local function constructed(others,
    kind, queue, priority, created_at, state, reason, attempt_state,
    index, attempt, epoch, lease_id, holder, worker, granted_at,
    expires_at, started_at, ended_at, confirmed, resume_state, last_lease,
    last_answer, last_ending, result_bytes)
    local x = {
      kind = kind, queue = queue, priority = priority, created_at = created_at, state = state, reason = reason,
      attempt_state = attempt_state, index = index, attempt = attempt, epoch = epoch, lease_id = lease_id,
      holder = holder, worker = worker, granted_at = granted_at, expires_at = expires_at, started_at = started_at,
      ended_at = ended_at, confirmed = confirmed, resume_state = resume_state, last_lease = last_lease,
      last_answer = last_answer, last_ending = last_ending, result_bytes = result_bytes,
      id = nil, prefix = nil, is_dirty = nil, score = nil, was = nil, ended = nil, -- room for what a call adds
    }
    if others then
      for name, value in pairs(others) do
        x[name] = value
      end
    end
    return x
  end

  -- The execution of a document, without its id.
  function ff.unpack(core)
    return constructed(cmsgpack.unpack(core))
  end

  local function remember(prefix, id, core)
    local x = core and ff.unpack(core) or false
    if x then
      x.id, x.prefix = id, prefix
    end
    known[id] = x
    return x
  end

  -- The execution as a table, or nil.
  function ff.load(prefix, id)
    local x = known[id]
    if x == nil then
      x = remember(prefix, id, redis.call('GET', ff.key(prefix, 'execution', id)))
    end
    return x or nil
  end

  -- Loads many executions with one call; `load` then finds them.
  function ff.preload(prefix, ids)
    local keys = {}
    for i, id in ipairs(ids) do
      keys[i] = prefix .. 'execution:' .. id
    end
    if #keys > 1 then
      for from, to in ff.slices(keys) do
        for i, core in ipairs(redis.call('MGET', unpack(keys, from, to))) do
          remember(prefix, ids[from + i - 1], core)
        end
      end
    end
  end

  -- Loads the executions of many lease tokens.
  function ff.preload_leases(prefix, tokens)
    local ids = {}
    for _, token in ipairs(tokens) do
      local id = string.match(token, '^[^:]+')
      if id then
        ids[#ids + 1] = id
      end
    end
    ff.preload(prefix, ids)
  end

  -- Has the execution written at the end of the call.
  function ff.save(x)
    if not x.is_dirty then
      x.is_dirty = true
      known[x.id] = x
      dirty[#dirty + 1] = x
    end
  end

  -- Moves x into the one index of its new place, and saves it. `popped` says that ZPOPMIN took it out of its old one.
  function ff.place(x, index, score, popped)
    if not x.score and not popped then
      x.was = x.index
    end
    x.index, x.score = index, score
    ff.save(x)
  end

  ------------------------------------------------------------------------------------------------------- writing

  -- A lease that ended although the execution goes on becomes a record of its history.
  local function record(x, ended)
    local history = ff.key(x.prefix, 'history', x.id)
    redis.call('HSET', history, x.epoch, cjson.encode(ended))
    redis.call('HDEL', history, x.epoch - ff.HISTORY_KEPT)
  end

  -- Notes how x moves: `leaving` is index -> ids, `entering` index -> scores and ids, `heads` queue -> its best new
  -- score.
  local function note_move(x, leaving, entering, heads)
    local index, score, was = x.index, x.score, x.was
    if was and was ~= index then
      local ids = leaving[was] or {}
      leaving[was] = ids
      ids[#ids + 1] = x.id
    end
    local scored = entering[index] or {}
    entering[index] = scored
    scored[#scored + 1] = score
    scored[#scored + 1] = x.id
    if x.state == 'waiting' then
      heads[x.queue] = math.min(heads[x.queue] or score, score)
    end
  end

  -- Leaves first: a queue that loses its head and gets another one is announced by what came.
  local function move(prefix, leaving, entering, heads)
    for index, ids in pairs(leaving) do
      for from, to in ff.slices(ids) do
        redis.call('ZREM', prefix .. index, unpack(ids, from, to))
      end
      if string.sub(index, 1, 6) == 'queue:' then
        ff.refresh_ready(prefix, string.sub(index, 7))
      end
    end
    for index, scored in pairs(entering) do
      for from, to in ff.slices(scored) do
        redis.call('ZADD', prefix .. index, unpack(scored, from, to))
      end
    end
    for queue, head in pairs(heads) do
      ff.announce(prefix, queue, head)
    end
  end

  -- Writes what was saved. Without a save there is nothing to write: what is new, moves or has an event is saved too.
  local function write()
    if #dirty == 0 then
      return
    end
    local prefix, cores, leaving, entering, heads = dirty[1].prefix, {}, {}, {}, {}
    for i, x in ipairs(dirty) do
      if x.score then
        note_move(x, leaving, entering, heads)
      end
      if x.ended and not ff.TERMINAL[x.state] then
        record(x, x.ended)
      end
      if x.unsaved then
        ff.write_waits(x)
      end
      cores[2 * i - 1] = prefix .. 'execution:' .. x.id
      cores[2 * i] = pack(x)
    end
    for from, to in ff.slices(cores) do
      redis.call('MSET', unpack(cores, from, to))
    end
    move(prefix, leaving, entering, heads)
    for from, to in ff.slices(listed) do
      redis.call('ZADD', prefix .. 'executions', unpack(listed, from, to))
    end
    for from, to in ff.slices(events) do
      redis.call('XADD', prefix .. 'events', 'MAXLEN', '~', EVENTS_KEPT, '*', unpack(events, from, to))
    end
  end

  -- One message for all: ~<id> minor news, <id> a transition, !<id> the execution ended.
  local function publish()
    if #told == 0 then
      return
    end
    for i, id in ipairs(told) do
      told[i] = MARKS[weights[id]] .. id
    end
    redis.call('SPUBLISH', news, table.concat(told, ' '))
  end

  -- Makes every write of the call.
  function ff.flush()
    write()
    publish()
  end

  ------------------------------------------------------------------------------------------------------- indexes

  -- Higher priority first, then older first. Retried and returned work keeps its place. Exact, because the highest
  -- priority, 9000e12, and milliseconds stay below 2^53.
  function ff.score(x)
    return -(x.priority * 1e12) + x.created_at
  end

  -- Sets the ready entry of a queue to its head, or drops it when the queue is empty.
  function ff.refresh_ready(prefix, queue)
    local head = redis.call('ZRANGE', ff.key(prefix, 'queue', queue), 0, 0, 'WITHSCORES')
    if head[2] then
      redis.call('ZADD', prefix .. 'ready', head[2], queue)
      return head[2]
    end
    redis.call('ZREM', prefix .. 'ready', queue)
    return ''
  end

  -- Sets the ready entry of a queue that got a better head, and wakes schedulers.
  function ff.announce(prefix, queue, score)
    if redis.call('ZADD', prefix .. 'ready', 'LT', 'CH', score, queue) == 1 then
      redis.call('SPUBLISH', prefix .. 'wake', string.format('%.0f', score) .. ' ' .. queue)
    end
  end

  -- Enters a new execution into the list of all.
  function ff.list(x)
    listed[#listed + 1] = x.created_at
    listed[#listed + 1] = x.id
  end

  ------------------------------------------------------------------------------------------------------- events

  -- Makes x news of the call. One message a call names all, each once, and who watches one execution looks for its id
  -- there: a channel for each execution would cost a publication each, mostly to nobody.
  local function tell(x, weight)
    local id = x.id
    local before = weights[id]
    if not before then
      news = x.prefix .. 'news'
      told[#told + 1] = id
    end
    if not before or weight > before then
      weights[id] = weight
    end
  end

  -- Appends to the partition's durable feed and wakes whoever watches this execution. The events of one call are one
  -- entry of the feed, each a field `event`:
  -- "<name> <execution> <state> <attempt> <epoch> <namespace>/<lane> <kind><marks of its tags> <detail>".
  function ff.event(x, name, detail)
    if x.queue ~= last_queue then
      last_queue, last_lane = x.queue, string.match(x.queue, '^[^/]*/[^/]*')
    end
    local n = #events
    events[n + 1] = 'event'
    events[n + 2] = name .. ' ' .. x.id .. ' ' .. x.state .. ' ' .. x.attempt .. ' ' .. x.epoch .. ' ' .. last_lane
      .. ' ' .. x.kind .. (x.marks or '') .. ' ' .. (detail or '')
    tell(x, ff.TERMINAL[x.state] and ENDED or CHANGED)
  end

  -- Wakes whoever watches x closely: progress, steps, output. Many watches wait for transitions only, or for the end.
  function ff.tell_watchers(x)
    tell(x, MINOR)
  end
end
