-- The feed of a partition, read by subscriptions: a bounded stream, an entry a call, an event a transition.
do
  local CHUNK = 32 -- entries read at once; a call that made a thousand executions is one entry of a thousand events

  -- How many entries a feed that has some ever got.
  local function entries_added(key)
    local info = redis.call('XINFO', 'STREAM', key)
    for i = 1, #info, 2 do
      if info[i] == 'entries-added' then
        return info[i + 1]
      end
    end
  end

  -- What a place says: the id of an entry, how many of its events were read, 0 for all, and how many entries there ever
  -- were before what is read next; a place of the release before does not say it. Then 1 if some were dropped unread.
  local function read_place(key, place)
    local id, skip, done = string.match(place, '^(%d+%-%d+)%.?(%d*)/?(%d*)$')
    skip, done = tonumber(skip) or 0, id == '0-0' and 0 or tonumber(done)
    local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    if not first or (id and not ff.is_before(id, first[1])) then
      return id, skip, done, 0
    end
    local dropped = entries_added(key) - redis.call('XLEN', key)
    return id, skip, dropped, id and (not done or dropped > done) and 1 or 0
  end

  local function place_of(id, read, done)
    return id .. (read > 0 and '.' .. read or '') .. (done and '/' .. done or '')
  end

  local function holds_all(text, words)
    for _, word in ipairs(words) do
      if not string.find(text, word, 1, true) then
        return false
      end
    end
    return true
  end

  -- A test of whether an event is wanted; '' asks for nothing. Most that are not lack a word, which is cheaper to see than
  -- where the words are.
  local function event_test(namespace, lane, kind, names, marks)
    local words = { unpack(marks) }
    words[#words + 1] = namespace ~= '' and ' ' .. namespace .. '/' or nil
    words[#words + 1] = lane ~= '' and '/' .. lane .. ' ' or nil
    words[#words + 1] = kind ~= '' and ' ' .. kind or nil
    return function(event)
      if names ~= '' and not string.find(names, ',' .. string.match(event, '^%S+') .. ',', 1, true) then
        return false
      elseif #words == 0 then
        return true
      elseif not holds_all(event, words) then
        return false
      end
      local of_namespace, of_lane, of_kind, of_marks =
        string.match(event, '^%S+ %S+ %S+ %d+ %d+ ([^/ ]*)/?([^/ ]*) ?([^ ?]*)(%S*)')
      return (namespace == '' or namespace == of_namespace)
        and (lane == '' or lane == of_lane)
        and (kind == '' or kind == of_kind)
        and holds_all(of_marks, marks)
    end
  end

  -- Reads events after a place: "<id of an entry>/<entries there were up to it>" when that was read whole, else
  -- "<id>.<events read of it>/<entries there were before it>".
  --
  -- KEYS  1 executions
  -- ARGV  1 after          "" for the first kept, "0-0" for when nothing had happened, "$" to be told the end only
  --       2 limit          of events that match
  --       3 scan limit     of events looked at
  --       4 namespace      "" for all, as for the three after it
  --       5 lane
  --       6 kind
  --       7 names          ",completed,failed,"
  --       8.. tags         tag, value
  -- gives {place of the last event looked at, 1 if some were dropped before, 1 if there is more,
  --       {id of entry, number in it, event}, ..}
  -- codes none
  local function feed_read(keys, args)
    local after, limit, scan_limit = args[1], tonumber(args[2]), tonumber(args[3])
    local key, marks = ff.prefix(keys[1]) .. 'events', {}
    if after == '$' then
      local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
      return { last and place_of(last[1], 0, entries_added(key)) or '0-0', 0, 0 }
    end
    for i = 8, #args, 2 do
      marks[#marks + 1] = ff.tag_mark(args[i], args[i + 1])
    end
    local is_wanted = event_test(args[4], args[5], args[6], args[7], marks)
    local id, skip, done, fell_off = read_place(key, after)
    local from, scanned = not id and '-' or skip > 0 and id or '(' .. id, 0
    local reply = { after, fell_off, 0 }
    repeat
      local entries = redis.call('XRANGE', key, from, '+', 'COUNT', CHUNK)
      for _, entry in ipairs(entries) do
        for n = (entry[1] == id and skip or 0) + 1, #entry[2] / 2 do
          if #reply == 3 + limit or scanned == scan_limit then
            reply[1] = n > 1 and place_of(entry[1], n - 1, done) or reply[1]
            reply[3] = 1
            return reply
          end
          scanned = scanned + 1
          if is_wanted(entry[2][2 * n]) then
            reply[#reply + 1] = { entry[1], n, entry[2][2 * n] }
          end
        end
        done = done and done + 1
        reply[1], from = place_of(entry[1], 0, done), '(' .. entry[1]
      end
    until #entries < CHUNK
    return reply
  end

  register('feed_read', feed_read)
end
