-- The feed of a partition, read by subscriptions: a bounded stream, an entry a call, an event a transition.
do
  local CHUNK = 32 -- entries read at once; a call that made a thousand executions is one entry of a thousand events

  -- Whether entries behind a place were dropped before they were read. Of a place whose own entry is gone that is taken
  -- for granted, although it may have been the last to go.
  local function fell_off(key, id)
    local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    if not first then
      return 0
    elseif id == '0-0' then -- nothing had ever happened
      return redis.call('XLEN', key) >= tonumber(ff.EVENTS_KEPT) and 1 or 0
    end
    return ff.is_before(id, first[1]) and 1 or 0
  end

  -- A test of whether an execution has all tags now, each looked up once a call. What is purged has none.
  local function tag_test(prefix, tags)
    local verdicts = {}
    return function(id)
      if verdicts[id] == nil then
        verdicts[id] = true
        for tag, value in pairs(tags) do
          verdicts[id] = verdicts[id] and redis.call('HGET', ff.key(prefix, 'tags', id), tag) == value
        end
      end
      return verdicts[id]
    end
  end

  -- A test of whether an event is wanted; '' asks for nothing.
  local function event_test(prefix, namespace, lane, kind, names, tags)
    local is_tagged = tag_test(prefix, tags)
    return function(event)
      local name, id, of_namespace, of_lane, of_kind =
        string.match(event, '^(%S+) (%S+) %S+ %d+ %d+ ([^/ ]*)/?([^/ ]*) ?(%S*)')
      return (names == '' or string.find(names, ',' .. name .. ',', 1, true) ~= nil)
        and (namespace == '' or namespace == of_namespace)
        and (lane == '' or lane == of_lane)
        and (kind == '' or kind == of_kind)
        and is_tagged(id)
    end
  end

  -- Reads events after a place: the id of an entry that was read whole, or that id, a dot and how many of its events were.
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
    local prefix, after, limit, scan_limit = ff.prefix(keys[1]), args[1], tonumber(args[2]), tonumber(args[3])
    local key, tags = prefix .. 'events', {}
    if after == '$' then
      local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
      return { last and last[1] or '0-0', 0, 0 }
    end
    for i = 8, #args, 2 do
      tags[args[i]] = args[i + 1]
    end
    local is_wanted = event_test(prefix, args[4], args[5], args[6], args[7], tags)
    local id, skip = string.match(after, '^(%d+%-%d+)%.?(%d*)$')
    skip = tonumber(skip) or 0
    local from, scanned = not id and '-' or skip > 0 and id or '(' .. id, 0
    local reply = { after, id and fell_off(key, id) or 0, 0 }
    repeat
      local entries = redis.call('XRANGE', key, from, '+', 'COUNT', CHUNK)
      for _, entry in ipairs(entries) do
        for n = (entry[1] == id and skip or 0) + 1, #entry[2] / 2 do
          if #reply == 3 + limit or scanned == scan_limit then
            reply[1] = n > 1 and entry[1] .. '.' .. n - 1 or reply[1]
            reply[3] = 1
            return reply
          end
          scanned = scanned + 1
          if is_wanted(entry[2][2 * n]) then
            reply[#reply + 1] = { entry[1], n, entry[2][2 * n] }
          end
        end
        reply[1], from = entry[1], '(' .. entry[1]
      end
    until #entries < CHUNK
    return reply
  end

  register('feed_read', feed_read)
end
