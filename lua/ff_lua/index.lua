-- Looking over many executions: lists and queue depths.
do

  local function matches(x, filter)
    if filter.state ~= '' and x.state ~= filter.state then
      return false
    end
    local namespace, lane = string.match(x.queue, '^([^/]*)/([^/]*)')
    if namespace ~= filter.namespace or (filter.lane ~= '' and lane ~= filter.lane) then
      return false
    end
    if filter.kind ~= '' and x.kind ~= filter.kind then
      return false
    end
    for tag, value in pairs(filter.tags) do
      if redis.call('HGET', ff.key(x.prefix, 'tags', x.id), tag) ~= value then
        return false
      end
    end
    return true
  end

  -- Where to go on in an index: its key, and the rank of the first entry beyond a position.
  --
  -- Entries of one millisecond are ordered by id.
  local function first_rank(key, direction, score, id)
    if score == '' then
      return 0
    end
    local rank = redis.call(direction == 'desc' and 'ZREVRANK' or 'ZRANK', key, id)
    if rank then
      return rank + 1
    end
    -- Between the entries of that score: the position is another partition's, or its execution is gone.
    local is_desc = direction == 'desc'
    local before = is_desc and { '(' .. score, '+inf' } or { '-inf', '(' .. score }
    local low = redis.call('ZCOUNT', key, before[1], before[2])
    local high = low + redis.call('ZCOUNT', key, score, score)
    while low < high do
      local middle = math.floor((low + high) / 2)
      local ours = redis.call(is_desc and 'ZREVRANGE' or 'ZRANGE', key, middle, middle)[1]
      if (is_desc and ours < id) or (not is_desc and ours > id) then
        high = middle
      else
        low = middle + 1
      end
    end
    return low
  end

  -- Up to `limit` {id, score} beyond a position, in the order of the index, and whether the index ends there.
  local function page(prefix, index, direction, score, id, limit)
    local key = prefix .. index
    local rank = first_rank(key, direction, score, id)
    local flat
    if direction == 'desc' then
      flat = redis.call('ZRANGE', key, rank, rank + limit - 1, 'REV', 'WITHSCORES')
    else
      flat = redis.call('ZRANGE', key, rank, rank + limit - 1, 'WITHSCORES')
    end
    local entries = {}
    for i = 1, #flat, 2 do
      entries[#entries + 1] = { flat[i], flat[i + 1] }
    end
    return entries, #flat < 2 * limit
  end

  -- The keys of the indexes that together hold the executions of a state, where they are not in one of its own.
  local function scattered(prefix, state, filter)
    if state == 'active' then
      return { prefix .. 'offered', prefix .. 'leased' }
    end
    local keys, lane = {}, filter.namespace .. '/' .. filter.lane .. (filter.lane ~= '' and '/' or '')
    for _, queue in ipairs(redis.call('ZRANGE', prefix .. 'ready', 0, -1)) do
      if string.sub(queue, 1, #lane) == lane then
        keys[#keys + 1] = ff.key(prefix, 'queue', queue)
      end
    end
    return keys
  end

  -- Executions of several indexes, newest first, because each has an order of its own. Nil when they have more than
  -- `limit`.
  local function merged(prefix, keys, score, id, limit)
    local found, total = {}, 0
    for _, key in ipairs(keys) do
      local ids = redis.call('ZRANGE', key, 0, limit - total)
      total = total + #ids
      if total > limit then
        return nil
      end
      for _, member in ipairs(ids) do
        local created = redis.call('ZSCORE', prefix .. 'executions', member)
        local age = tonumber(created or 0)
        local is_beyond = score == '' or age < tonumber(score) or (age == tonumber(score) and member < id)
        if created and is_beyond then
          found[#found + 1] = { member, created }
        end
      end
    end
    table.sort(found, function(a, b)
      local left, right = tonumber(a[2]), tonumber(b[2])
      return left > right or (left == right and a[1] > b[1])
    end)
    return found
  end

  -- Lists executions of one index beyond a position.
  --
  -- KEYS  1 executions
  -- ARGV  1 index          executions, a state, or tag:<namespace>/<tag>=<value>
  --       2 direction      desc or asc, by score and id
  --       3 after_score    "" to start
  --       4 after_id
  --       5 limit          executions wanted
  --       6 scan_limit     entries looked at, at most
  --       7 namespace
  --       8 lane           "" for any
  --       9 kind           "" for any
  --       10 state         "" for any
  --       11.. tag, value
  -- gives {1 when the index has no more, score and id of the last entry looked at, {score, execution}, ..} with
  --       each execution as in execution_describe
  -- codes none
  local function execution_list(keys, args)
    local prefix, limit, scan_limit = ff.prefix(keys[1]), tonumber(args[5]), tonumber(args[6])
    local filter = { namespace = args[7], lane = args[8], kind = args[9], state = args[10], tags = {} }
    for i = 11, #args, 2 do
      filter.tags[args[i]] = args[i + 1]
    end
    local index, entries, complete = args[1], nil, true
    if index == 'active' or index == 'waiting' then
      entries = merged(prefix, scattered(prefix, index, filter), args[3], args[4], scan_limit)
      -- Too many to sort: the list of all is in their order, and the filter knows the state.
      index = entries and index or 'executions'
    end
    if not entries then
      entries, complete = page(prefix, index, args[2], args[3], args[4], scan_limit)
    end
    local reply = { complete and 1 or 0, args[3], args[4] }
    for _, entry in ipairs(entries) do
      if #reply - 3 == limit then
        reply[1] = 0
        break
      end
      local id = entry[1]
      local x = ff.load(prefix, id)
      if x and matches(x, filter) then
        reply[#reply + 1] = { entry[2], ff.describe(prefix, id, false, false) }
      end
      reply[2], reply[3] = entry[2], id
    end
    return reply
  end

  -- What waits in this partition.
  --
  -- KEYS  1 executions
  -- ARGV  none
  -- gives {{lane "<namespace>/<name>", ..}, {queue, depth, head score, ..}}
  -- codes none
  local function queue_stats(keys)
    local prefix, queues = ff.prefix(keys[1]), {}
    local ready = redis.call('ZRANGE', prefix .. 'ready', 0, -1, 'WITHSCORES')
    for i = 1, #ready, 2 do
      queues[#queues + 1] = ready[i]
      queues[#queues + 1] = redis.call('ZCARD', ff.key(prefix, 'queue', ready[i]))
      queues[#queues + 1] = ready[i + 1]
    end
    return { redis.call('SMEMBERS', prefix .. 'lanes'), queues }
  end

  -- Queues with work, for a scheduler that may have missed a wake-up.
  --
  -- KEYS  1 executions
  -- ARGV  none
  -- gives {queue, head score, ..}
  -- codes none
  local function queue_ready(keys)
    return redis.call('ZRANGE', ff.prefix(keys[1]) .. 'ready', 0, -1, 'WITHSCORES')
  end

  register('execution_list', execution_list)
  register('queue_stats', queue_stats)
  register('queue_ready', queue_ready)
end
