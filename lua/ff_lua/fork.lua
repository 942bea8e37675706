-- What a replay keeps of the journal.
do
  local CHUNK = 500 -- entries read or dropped by one redis.call

  -- Calls visit(place, sequence) for every entry in order.
  local function each_place(x, visit)
    local order, from = ff.key(x.prefix, 'steps', x.id), 0
    repeat
      local places = redis.call('ZRANGE', order, from, from + CHUNK - 1, 'WITHSCORES')
      for i = 1, #places, 2 do
        visit(places[i], tonumber(places[i + 1]))
      end
      from = from + CHUNK
    until #places < 2 * CHUNK
  end

  -- The sequence of a step, by entry key or else by name; of several with one name the last. nil when there is none.
  local function sequence_of(x, step)
    local by_key, by_name
    each_place(x, function(place, sequence)
      local key, name = string.match(place, '^(%S+) (.*)$')
      by_key = by_key or (key == step and sequence) or nil
      by_name = name == step and sequence or by_name
    end)
    return by_key or by_name
  end

  -- Reads a header as far as it matters here. Without decoding: there may be thousands.
  local function read_header(header)
    return string.match(header, '"k":"(%a+)"'), string.match(header, '"s":"(%a+)"'), string.match(header, '"w":"([^"]*)"')
  end

  -- The places that are not kept: what comes after `last`, what is not final, and waitpoints that served no kept
  -- wait: those of an execution that ended are closed, and its handler has to make others. Gives them with their
  -- headers' sizes.
  local function choose(x, last)
    local places, dropped, waitpoints, served = {}, {}, {}, {}
    each_place(x, function(place, sequence)
      places[#places + 1] = { place, sequence }
    end)
    for from = 1, #places, CHUNK do
      local found = {}
      for i = from, math.min(from + CHUNK - 1, #places) do
        found[#found + 1] = string.match(places[i][1], '^%S+')
      end
      for i, header in ipairs(redis.call('HMGET', ff.key(x.prefix, 'journal', x.id), unpack(found))) do
        local place, kind, state, id = places[from + i - 1], read_header(header)
        if place[2] > last or (state ~= 'done' and state ~= 'failed') then
          dropped[#dropped + 1] = place[1]
        elseif kind == 'waitpoint' then
          waitpoints[#waitpoints + 1] = { place[1], id }
        elseif id then
          served[id] = true
        end
      end
    end
    for _, waitpoint in ipairs(waitpoints) do
      if not served[waitpoint[2]] then
        dropped[#dropped + 1] = waitpoint[1]
      end
    end
    return dropped, #places
  end

  local function drop_all(x)
    redis.call(
      'UNLINK', ff.key(x.prefix, 'journal', x.id), ff.key(x.prefix, 'journal_data', x.id),
      ff.key(x.prefix, 'steps', x.id)
    )
    x.steps = nil
  end

  -- Readies the journal for a replay. `mode` is all (what is final is kept), through (that, up to and with
  -- `step`, an entry key or a name), or else nothing is kept. Gives nil, or the code to answer before anything is written.
  function ff.fork_journal(x, mode, step)
    local last = mode == 'through' and x.steps and sequence_of(x, step) or nil
    if mode == 'through' and not last then
      return 'STEP_NOT_FOUND'
    elseif not x.steps then
      return nil
    elseif mode ~= 'all' and mode ~= 'through' then
      drop_all(x)
      return nil
    end
    local dropped, count = choose(x, last or math.huge)
    if #dropped == count then
      drop_all(x)
      return nil
    end
    for from = 1, #dropped, CHUNK do
      ff.drop_entries(x, { unpack(dropped, from, math.min(from + CHUNK - 1, #dropped)) })
    end
    return nil
  end
end
