-- What an execution puts out: frames of three classes over all attempts, written under the fence.
--
-- Durable frames are a stream that is bounded by the policy and closed by a marker. Best-effort frames are a stream for
-- live readers, which goes by itself. Summary frames change one document (summary.lua). Each class has a key of its own,
-- so that no trimming of one drops another; ids come from one allocator, so that one cursor orders all.
do
  local FRAME = 4 -- arguments of one frame
  local DURABLE, SUMMARY, BEST_EFFORT = '1', '2', '3' -- classes, by their numbers on the wire
  local KEYS = { [DURABLE] = 'output', [BEST_EFFORT] = 'best_effort' }

  local PAGE_BYTES = 2097152 -- of data in one page, and one frame more: gRPC clients take 4 MiB unless told otherwise
  local CHUNK = 64 -- entries read at once

  local LEAST, MOST = 64, 16384 -- best-effort frames kept

  local SLACK = 64 -- frames beyond the policy's, so that a long stream is trimmed now and then, not with every frame

  -- Drops the oldest frames until the stream is within its number and its bytes, and gives the bytes freed. Not XTRIM,
  -- which would not say how many those were. Bounded: what is over is dropped by later appends.
  local function trim(x, key, appended)
    local over_bytes, over_frames = x.output_bytes - ff.policy(x, 'output_max_bytes'), 0
    local length = redis.call('XLEN', key) - ff.policy(x, 'output_max_frames')
    if length > SLACK then
      over_frames = length
    end
    if over_bytes <= 0 and over_frames <= 0 then
      return 0
    end
    local freed, dropped = 0, {}
    for _, entry in ipairs(redis.call('XRANGE', key, '-', '+', 'COUNT', math.min(SLACK + appended, 1000))) do
      if freed >= over_bytes and #dropped >= over_frames then
        break
      end
      for i = 1, #entry[2], 2 do
        if entry[2][i] == 'data' then
          freed = freed + #entry[2][i + 1]
        end
      end
      dropped[#dropped + 1] = entry[1]
    end
    redis.call('XDEL', key, unpack(dropped))
    return freed
  end

  -- The id of the next thing that x puts out: above all earlier ones, whatever their class or attempt, so that one cursor
  -- orders what lies under several keys. Keeps to Valkey's clock, and to its order when that goes back.
  function ff.output_id(x, now)
    if not x.output_ms and x.output_frames then -- written by the release before this
      local last = redis.call('XREVRANGE', ff.key(x.prefix, 'output', x.id), '+', '-', 'COUNT', 1)[1]
      if last then
        local ms, seq = string.match(last[1], '^(%d+)-(%d+)$')
        x.output_ms, x.output_seq = tonumber(ms), tonumber(seq)
      end
    end
    if x.output_ms and x.output_ms >= now then
      x.output_seq = x.output_seq + 1
    else
      x.output_ms, x.output_seq = now, 0
    end
    return string.format('%.0f-%.0f', x.output_ms, x.output_seq)
  end

  -- How many best-effort frames to keep: twice as many as come while one is of use, by a count that fades.
  local function best_effort_length(x, frames, ttl_ms, now)
    local passed = now - (x.best_effort_at or now)
    x.best_effort_recent = math.ceil((x.best_effort_recent or 0) * math.exp(-math.max(passed, 0) / ttl_ms) + frames)
    x.best_effort_at = now
    return math.min(math.max(2 * x.best_effort_recent, LEAST), MOST)
  end

  -- Writes frames of one class, each {id, number, kind, data}, and forgets what is over its bound.
  local function add_frames(x, class, frames, now)
    local key, bytes, bound = ff.key(x.prefix, KEYS[class], x.id), 0, nil
    local ttl_ms = ff.policy(x, 'best_effort_ttl_ms')
    if class == BEST_EFFORT then
      bound = best_effort_length(x, #frames, ttl_ms, now)
    end
    for _, frame in ipairs(frames) do
      local id, number, kind, data = unpack(frame)
      if bound then
        redis.call(
          'XADD', key, 'MAXLEN', '~', bound, id, 'attempt', x.attempt, 'number', number, 'kind', kind, 'data', data
        )
      else
        redis.call('XADD', key, id, 'attempt', x.attempt, 'number', number, 'kind', kind, 'data', data)
        bytes = bytes + #data
      end
    end
    if bound then
      redis.call('PEXPIRE', key, 2 * ttl_ms)
    elseif #frames > 0 then
      x.output_bytes = (x.output_bytes or 0) + bytes
      x.output_bytes = x.output_bytes - trim(x, key, #frames)
    end
  end

  -- Sorts frames that follow the last one by class: {[class] = frames}, the summary after them, the id it gets, the
  -- highest number taken, and the code that says why not more.
  local function sort_frames(x, args, now)
    local sorted, last, summary, summary_id = {}, x.frame_number or 0, nil, nil
    for i = 2, #args, FRAME do
      local number, class, kind, data = tonumber(args[i]), args[i + 1], args[i + 2], args[i + 3]
      if number > last + 1 then
        return sorted, summary, summary_id, last, 'OUTPUT_GAP'
      elseif number == last + 1 then
        if class == SUMMARY then
          summary = summary or ff.open_summary(x)
          local refusal = ff.change_summary(x, summary, kind, data)
          if refusal then
            return sorted, summary, summary_id, last, refusal
          end
          summary_id = ff.output_id(x, now)
        else
          sorted[class] = sorted[class] or {}
          table.insert(sorted[class], { ff.output_id(x, now), number, kind, data })
        end
        last = number
      end
    end
    return sorted, summary, summary_id, last, 'OK'
  end

  -- Appends the frames of one lease, in order, each once.
  --
  -- KEYS  1 executions
  -- ARGV  1 lease
  --       2.. frames       number (from 1 within the lease, over all classes), class, kind, data
  -- gives {OK, highest number stored} or {code, highest number stored}
  -- codes EXECUTION_NOT_FOUND LEASE_STALE LEASE_EXPIRED LEASE_REVOKED OUTPUT_CLOSED OUTPUT_GAP INVALID_ARGUMENT
  --       PAYLOAD_TOO_LARGE
  local function output_append(keys, args)
    local prefix, now = ff.prefix(keys[1]), ff.now_ms()
    local x, refusal = ff.leased(prefix, args[1], now)
    if refusal then
      return { x and ff.TERMINAL[x.state] and 'OUTPUT_CLOSED' or refusal, 0 }
    end
    for i = 3, #args, FRAME do
      if args[i] ~= SUMMARY and not KEYS[args[i]] then
        return { 'INVALID_ARGUMENT', x.frame_number or 0 }
      end
    end
    local sorted, summary, summary_id, last, code = sort_frames(x, args, now)
    local before = x.frame_number or 0
    if last > before then
      for class, frames in pairs(sorted) do
        add_frames(x, class, frames, now)
      end
      if summary_id then
        ff.save_summary(x, summary, summary_id)
      end
      ff.confirm(x)
      x.frame_number = last
      x.output_frames = (x.output_frames or 0) + last - before
      ff.save(x)
      ff.tell_watchers(x)
    end
    return { code, last }
  end

  ------------------------------------------------------------------------------------------------------- reading

  local function place_of(id)
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(seq)
  end

  -- Whether one id comes before another.
  function ff.is_before(a, b)
    local a_ms, a_seq = place_of(a)
    local b_ms, b_seq = place_of(b)
    return a_ms < b_ms or a_ms == b_ms and a_seq < b_seq
  end

  -- What lies under the key of a class after an id, fetched as it is asked for. `head` is the next entry.
  local function open_class(x, class, after)
    local source = { class = class, key = ff.key(x.prefix, KEYS[class], x.id), at = 0, entries = {}, after = after }
    function source.advance()
      source.at = source.at + 1
      if source.at > #source.entries and (source.at == 1 or #source.entries == CHUNK) then
        local from = source.after == '' and '-' or '(' .. source.after
        source.entries, source.at = redis.call('XRANGE', source.key, from, '+', 'COUNT', CHUNK), 1
      end
      source.head = source.entries[source.at]
      source.after = source.head and source.head[1]
    end
    source.advance()
    return source
  end

  -- The summary as the one entry of its class.
  local function open_summary(x, after)
    local is_new = x.summary_version and (after == '' or ff.is_before(after, x.summary_id))
    local source = { class = SUMMARY, head = is_new and { x.summary_id } or nil }
    function source.advance()
      source.head = nil
    end
    return source
  end

  -- The frame that is the head of a source: {id, class, attempt, number, kind, data, version}; nil for a marker, which
  -- ends what there is, or what there was before a replay.
  local function frame_of(x, source)
    local id, fields = source.head[1], source.head[2]
    if source.class == SUMMARY then
      local text = redis.call('GET', ff.key(x.prefix, 'summary', x.id))
      return { id, SUMMARY, tostring(x.summary_attempt), '0', ff.SUMMARY_REPLACE, text, x.summary_version }
    elseif fields[1] ~= 'close' then
      return { id, source.class, fields[2], fields[4], fields[6], fields[8], 0 }
    end
  end

  -- The source whose head comes first, nil when all are read.
  local function first_of(sources)
    local first
    for _, source in ipairs(sources) do
      if source.head and (not first or ff.is_before(source.head[1], first.head[1])) then
        first = source
      end
    end
    return first
  end

  -- The id of the marker of an execution that ended, '' when it put out nothing.
  local function marker_of(x)
    local last = x.output_frames and redis.call('XREVRANGE', ff.key(x.prefix, 'output', x.id), '+', '-', 'COUNT', 1)[1]
    return last and last[1] or ''
  end

  -- Reads frames after a cursor.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  --       2 after          id of an entry, "" for the first
  --       3 count          of frames that match
  --       4 scan limit     of entries looked at
  --       5 attempt        0 for all
  --       6 classes        ",1,3,", "" for all
  --       7 kinds          the same
  -- gives {OK, state, id of the last entry looked at, 1 if there is more, id of the close marker when it ended and all is read,
  --       {id, class, attempt, number, kind, data, version}, ..} or {code}
  -- codes EXECUTION_NOT_FOUND
  local function output_read(keys, args)
    local _, after, count, scan_limit, attempt, classes, kinds = unpack(args)
    local x = ff.load(ff.prefix(keys[1]), args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    local function is_wanted(wanted, number)
      return wanted == '' or string.find(wanted, ',' .. number .. ',', 1, true)
    end
    local sources = {}
    for _, class in ipairs({ DURABLE, SUMMARY, BEST_EFFORT }) do
      if x.output_frames and is_wanted(classes, class) then
        sources[#sources + 1] = class == SUMMARY and open_summary(x, after) or open_class(x, class, after)
      end
    end
    local reply, bytes, source = { 'OK', x.state, after, 0, '' }, 0, first_of(sources)
    for _ = 1, tonumber(scan_limit) do
      if not source or #reply == 5 + tonumber(count) or bytes >= PAGE_BYTES then
        break
      end
      local frame = frame_of(x, source)
      if frame and (attempt == '0' or frame[3] == attempt) and is_wanted(kinds, frame[5]) then
        reply[#reply + 1] = frame
        bytes = bytes + #frame[6]
      end
      reply[3] = source.head[1]
      source.advance()
      source = first_of(sources)
    end
    if source then
      reply[4] = 1
    elseif ff.TERMINAL[x.state] then
      reply[5] = marker_of(x)
    end
    return reply
  end

  register('output_append', output_append)
  register('output_read', output_read)
end
