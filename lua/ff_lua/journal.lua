-- The journal of an execution: what its handler has done, so that the next run skips it. Written under the fence.
--
-- `journal` holds a header for each entry key, and in the field without a name the totals "<bytes> <entries> <last
-- sequence>". `journal_data` holds what is not empty, `steps` the order: "<key> <name>" by sequence. A header is JSON:
--   k kind, n name, f fingerprint, s state, r runs, u uncertain, due, w id of a waitpoint, e {type, message, category},
--   v (what its call had seen: all up to this sequence), and by the engine: q sequence, at (first written), end (became
--   final), z (sequence of that, when it was written before), b bytes of the data
-- A write of the hot path splices the engine's fields into the text that Python sent, and leaves the core alone.
do
  local ENTRY = 4 -- arguments of one entry
  local INLINE_BYTES, INLINE_ENTRIES = 65536, 256 -- what a grant carries of a journal
  local PAGE_ENTRIES = 256
  local SHOWN = 200 -- steps that a description shows
  local FINAL = { done = true, failed = true }

  -- The first word by its holder confirms a grant: given back now, the attempt would be numbered like the next.
  function ff.confirm(x)
    if not x.confirmed then
      x.confirmed = true
      ff.place(x, 'leased', x.expires_at)
      ff.event(x, 'confirmed', x.worker)
    end
  end

  local function totals_of(text)
    local bytes, entries, last = string.match(text or '0 0 0', '^(%d+) (%d+) (%d+)$')
    return { bytes = tonumber(bytes), entries = tonumber(entries), last = tonumber(last) }
  end

  local function totals_text(totals)
    return totals.bytes .. ' ' .. totals.entries .. ' ' .. totals.last
  end

  local function data_bytes(header)
    return tonumber(string.match(header, '"b":(%d+)'))
  end

  -- Adds the engine's fields to a header: a place in the order, times, the size of the data.
  local function seal(header, sequence, started_at, ending, size)
    return string.sub(header, 1, -2) .. ',"q":' .. sequence .. ',"at":' .. started_at .. ending .. ',"b":' .. size .. '}'
  end

  -- Writes entries that were checked: keys, sealed headers, data, and which are new.
  local function write(x, changes, totals)
    local headers, data, order, emptied = { '', totals_text(totals) }, {}, {}, {}
    for _, change in ipairs(changes) do
      headers[#headers + 1] = change.key
      headers[#headers + 1] = change.header
      if change.data ~= '' then
        data[#data + 1] = change.key
        data[#data + 1] = change.data
      elseif change.had_data then
        emptied[#emptied + 1] = change.key
      end
      if change.place then
        order[#order + 1] = change.sequence
        order[#order + 1] = change.place
      end
    end
    redis.call('HSET', ff.key(x.prefix, 'journal', x.id), unpack(headers))
    if #data > 0 then
      redis.call('HSET', ff.key(x.prefix, 'journal_data', x.id), unpack(data))
    end
    if #emptied > 0 then
      redis.call('HDEL', ff.key(x.prefix, 'journal_data', x.id), unpack(emptied))
    end
    if #order > 0 then
      redis.call('ZADD', ff.key(x.prefix, 'steps', x.id), unpack(order))
    end
    if not x.steps then
      x.steps = true
      ff.save(x)
    end
  end

  -- What writing an entry over an earlier one of its key comes to: a change, nil when that is final, or nil and what
  -- was recorded when it is another entry.
  local function revision(old_text, key, header, data, is_final, now, totals)
    local old, new = cjson.decode(old_text), cjson.decode(header)
    if old.k ~= new.k or old.n ~= new.n or (old.f and new.f and old.f ~= new.f) then
      return nil, old.k .. ' ' .. old.n
    elseif FINAL[old.s] then
      return nil
    end
    local ending = ''
    if is_final then
      totals.last = totals.last + 1
      ending = ',"end":' .. now .. ',"z":' .. totals.last
    end
    local sealed = seal(header, old.q, old.at, ending, #data)
    totals.bytes = totals.bytes + #sealed + #data - #old_text - old.b
    return { key = key, header = sealed, data = data, had_data = old.b > 0 }
  end

  local function addition(key, name, header, data, is_final, now, totals)
    totals.entries, totals.last = totals.entries + 1, totals.last + 1
    local sealed = seal(header, totals.last, now, is_final and ',"end":' .. now or '', #data)
    totals.bytes = totals.bytes + #sealed + #data
    return { key = key, header = sealed, data = data, sequence = totals.last, place = key .. ' ' .. name }
  end

  -- Whether a write grows a journal beyond its limits. Where these were lowered, what does not grow it may go on.
  local function exceeds(totals, before, limits)
    return (totals.entries > limits.entries and totals.entries > before.entries)
      or (totals.bytes > limits.bytes and totals.bytes > before.bytes)
  end

  -- Records the entries of one lease from args[at] on, all or none. Gives the reply.
  local function record_one(prefix, token, a, at, count, limits, now)
    local x, refusal = ff.leased(prefix, token, now)
    if refusal then
      return { refusal }
    end
    local fields = {}
    for i = 1, count do
      fields[i] = a[at + ENTRY * (i - 1)]
    end
    fields[count + 1] = ''
    local found = redis.call('HMGET', ff.key(prefix, 'journal', x.id), unpack(fields))
    local totals, changes, seen = totals_of(found[count + 1]), {}, {}
    local before = totals_of(found[count + 1])
    for i = 1, count do
      local from = at + ENTRY * (i - 1)
      local key, header, data, is_final = a[from], a[from + 1], a[from + 2], a[from + 3] == '1'
      local change
      if seen[key] then
        return { 'INVALID_ARGUMENT', key }
      elseif found[i] then
        local other
        change, other = revision(found[i], key, header, data, is_final, now, totals)
        if other then
          return { 'STEP_MISMATCH', key, other }
        end
      else
        local name = string.match(header, '"n":"([^"]*)"')
        change = addition(key, name, header, data, is_final, now, totals)
      end
      seen[key] = true
      changes[#changes + 1] = change
    end
    if exceeds(totals, before, limits) then
      return { 'JOURNAL_FULL', fields[1] }
    end
    if #changes > 0 then
      ff.confirm(x)
      write(x, changes, totals)
      ff.tell_watchers(x)
    end
    return { 'OK' }
  end

  -- Records entries under leases; what is final stays, and its repeat is answered OK.
  --
  -- KEYS  1 executions
  -- ARGV  1 max_entries    of one execution
  --       2 max_bytes      of all headers and data of one execution
  --       3.. items        lease, number of entries, then for each: key, header (JSON), data, "1" when final
  -- gives array, one element an item: {OK}, {code, entry key} or {STEP_MISMATCH, entry key, kind and name recorded};
  --       an item is recorded whole or not at all
  -- codes EXECUTION_NOT_FOUND LEASE_STALE LEASE_EXPIRED LEASE_REVOKED STEP_MISMATCH JOURNAL_FULL INVALID_ARGUMENT
  local function journal_record(keys, args)
    local prefix, now, replies = ff.prefix(keys[1]), ff.now_ms(), {}
    local limits = { entries = tonumber(args[1]), bytes = tonumber(args[2]) }
    local leases, at = {}, 3
    while at <= #args do
      leases[#leases + 1] = args[at]
      at = at + 2 + ENTRY * tonumber(args[at + 1])
    end
    ff.preload_leases(prefix, leases)
    at = 3
    while at <= #args do
      local count = tonumber(args[at + 1])
      replies[#replies + 1] = record_one(prefix, args[at], args, at + 2, count, limits, now)
      at = at + 2 + ENTRY * count
    end
    return replies
  end

  -- Whether so many more entries are within the limits: numbers, or nil for none.
  function ff.journal_takes(x, more, most_entries, most_bytes)
    local totals = totals_of(x.steps and redis.call('HGET', ff.key(x.prefix, 'journal', x.id), '') or nil)
    return more == 0
      or (totals.entries + more <= (most_entries or math.huge) and totals.bytes < (most_bytes or math.huge))
  end

  -- The headers of entries by key, as tables; none for those that are not there.
  function ff.journal_headers(x, wanted)
    local headers = {}
    if x.steps and #wanted > 0 then
      for i, header in ipairs(redis.call('HMGET', ff.key(x.prefix, 'journal', x.id), unpack(wanted))) do
        headers[wanted[i]] = header and cjson.decode(header) or nil
      end
    end
    return headers
  end

  -- Writes an entry on behalf of the engine: `header` is a table of the fields above, without the engine's. An entry
  -- that is final stays as it is. For limits the caller has asked `journal_takes`.
  function ff.journal_entry(x, key, header, data, is_final)
    local journal, now = ff.key(x.prefix, 'journal', x.id), ff.now_ms()
    local found = redis.call('HMGET', journal, key, '')
    local totals, text = totals_of(found[2]), cjson.encode(header)
    local change
    if found[1] then
      change = revision(found[1], key, text, data, is_final, now, totals)
    else
      change = addition(key, header.n, text, data, is_final, now, totals)
    end
    if change then
      write(x, { change }, totals)
    end
  end

  -- Drops entries by their places in the order. No sequence is used again.
  function ff.drop_entries(x, places)
    local journal, found = ff.key(x.prefix, 'journal', x.id), {}
    for i, place in ipairs(places) do
      found[i] = string.match(place, '^%S+')
    end
    local totals = totals_of(redis.call('HGET', journal, ''))
    for _, header in ipairs(redis.call('HMGET', journal, unpack(found))) do
      totals.bytes = totals.bytes - #header - data_bytes(header)
    end
    totals.entries = totals.entries - #places
    redis.call('HDEL', journal, unpack(found))
    redis.call('HDEL', ff.key(x.prefix, 'journal_data', x.id), unpack(found))
    redis.call('ZREM', ff.key(x.prefix, 'steps', x.id), unpack(places))
    redis.call('HSET', journal, '', totals_text(totals))
  end

  -- The data of a wait that is done: its signals as stored ("<header>\n<payload>"), headers first, so that the
  -- signals themselves may go.
  function ff.wait_data(stored)
    local headers, payloads = {}, {}
    for i, signal in ipairs(stored) do
      local line = string.find(signal, '\n', 1, true)
      headers[i], payloads[i] = string.sub(signal, 1, line - 1), string.sub(signal, line + 1)
    end
    return '[' .. table.concat(headers, ',') .. ']\n' .. table.concat(payloads)
  end

  ------------------------------------------------------------------------------------------------------- reading

  -- Keys of entries, from members of `steps`.
  local function keys_of(places)
    local found = {}
    for i, place in ipairs(places) do
      found[i] = string.match(place, '^%S+')
    end
    return found
  end

  -- Flat key, header, data for each key; data is '' when it is not wanted.
  local function entries_of(x, found, headers, count, with_data)
    local data = with_data and count > 0
      and redis.call('HMGET', ff.key(x.prefix, 'journal_data', x.id), unpack(found, 1, count))
    local flat = {}
    for i = 1, count do
      flat[#flat + 1] = found[i]
      flat[#flat + 1] = headers[i]
      flat[#flat + 1] = data and data[i] or ''
    end
    return flat
  end

  local function headers_of(x, found)
    return #found > 0 and redis.call('HMGET', ff.key(x.prefix, 'journal', x.id), unpack(found)) or {}
  end

  -- What a grant tells of the journal: flat key, header, data for each entry by sequence; '' when there is none, or
  -- more than `room` bytes or than a grant carries, so that the holder has to read it. Then the bytes.
  function ff.grant_journal(x, room)
    if not x.steps then
      return '', 0
    end
    local totals = totals_of(redis.call('HGET', ff.key(x.prefix, 'journal', x.id), '') or nil)
    if totals.bytes > math.min(room or INLINE_BYTES, INLINE_BYTES) or totals.entries > INLINE_ENTRIES then
      return '', 0
    end
    local found = keys_of(redis.call('ZRANGE', ff.key(x.prefix, 'steps', x.id), 0, -1))
    return entries_of(x, found, headers_of(x, found), #found, true), totals.bytes
  end

  -- How many entries there are, then flat key, header, '' for each of the newest; nothing when there is no journal.
  function ff.steps_shown(x)
    if not x.steps then
      return {}
    end
    local order = ff.key(x.prefix, 'steps', x.id)
    local found = keys_of(redis.call('ZRANGE', order, -SHOWN, -1))
    local flat = entries_of(x, found, headers_of(x, found), #found, false)
    table.insert(flat, 1, redis.call('ZCARD', order))
    return flat
  end

  -- Reads entries by sequence.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  --       2 after          sequence, 0 for the first
  --       3 max_bytes      of one page; one entry is given even when it is larger
  --       4 data           "1" to read the data too
  -- gives {OK, sequence to go on after or "" at the end, {key, header (JSON), data, ..}} or {code}
  -- codes EXECUTION_NOT_FOUND
  local function journal_read(keys, args)
    local prefix, most, with_data = ff.prefix(keys[1]), tonumber(args[3]), args[4] == '1'
    local x = ff.load(prefix, args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    local places = redis.call(
      'ZRANGE', ff.key(prefix, 'steps', x.id), '(' .. args[2], '+inf', 'BYSCORE', 'LIMIT', 0, PAGE_ENTRIES + 1,
      'WITHSCORES'
    )
    local found, sequences = {}, {}
    for i = 1, math.min(#places, 2 * PAGE_ENTRIES), 2 do
      found[#found + 1] = string.match(places[i], '^%S+')
      sequences[#sequences + 1] = places[i + 1]
    end
    local headers, count, bytes = headers_of(x, found), 0, 0
    for i, header in ipairs(headers) do
      bytes = bytes + #header + (with_data and data_bytes(header) or 0)
      if bytes > most and i > 1 then
        break
      end
      count = i
    end
    local next_after = 2 * count < #places and sequences[count] or ''
    return { 'OK', next_after, entries_of(x, found, headers, count, with_data) }
  end

  register('journal_record', journal_record)
  register('journal_read', journal_read)
end
