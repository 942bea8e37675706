-- What a replay keeps of the journal.
do
  local CHUNK = 500

  -- The sequence of the step to keep the journal through, by entry key or by name; nil when there is none. Of several
  -- steps with one name it is the last.
  local function sequence_of(x, step)
    local order, from = ff.key(x.prefix, 'steps', x.id), -1
    local by_name
    while true do
      local places = redis.call('ZRANGE', order, from - CHUNK + 1, from, 'WITHSCORES')
      for i = #places - 1, 1, -2 do
        local key, name = string.match(places[i], '^(%S+) (%S+)$')
        if key == step then
          return tonumber(places[i + 1])
        end
        by_name = by_name or (name == step and tonumber(places[i + 1])) or nil
      end
      if #places < 2 * CHUNK then
        return by_name
      end
      from = from - CHUNK
    end
  end

  -- Readies the journal for a replay. `mode` is fresh (nothing is kept), all (all that is final) or through (that up
  -- to and with the step `step`, an entry key or a name). Gives nil, or the code to answer before anything is written.
  function ff.fork_journal(x, mode, step)
    local last
    if mode == 'through' then
      last = x.steps and sequence_of(x, step)
      if not last then
        return 'STEP_NOT_FOUND'
      end
    end
    if mode == 'fresh' then
      redis.call(
        'UNLINK', ff.key(x.prefix, 'journal', x.id), ff.key(x.prefix, 'journal_data', x.id),
        ff.key(x.prefix, 'steps', x.id)
      )
      x.steps = nil
      return nil
    end
    return nil
  end
end
