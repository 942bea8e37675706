-- Who is alive: workers with a session ({w} tag) and the engine's own processes ({m} tag).
do

  local function worker_key(prefix, id)
    return ff.key(prefix, 'worker', id)
  end

  -- Opens a worker's session. Of two sessions of one worker the newer wins; the gateway of the older is told.
  --
  -- KEYS  1 workers        ZSET of worker ids by expiry
  -- ARGV  1 worker
  --       2 session
  --       3 gateway
  --       4 ttl_ms
  --       5.. field, value what describes the worker
  -- gives {OK, session before or ""}
  -- codes none
  local function worker_open(keys, args)
    local prefix, now = ff.prefix(keys[1]), ff.now_ms()
    local key = worker_key(prefix, args[1])
    local before = redis.call('HMGET', key, 'session', 'gateway')
    redis.call('DEL', key)
    redis.call('HSET', key, 'session', args[2], 'gateway', args[3], 'opened_at', now, unpack(args, 5))
    redis.call('ZADD', keys[1], now + tonumber(args[4]), args[1])
    if before[1] and before[1] ~= args[2] then
      redis.call('PUBLISH', 'ff:gateway:' .. before[2], 'superseded ' .. args[1] .. ' ' .. before[1] .. ' ')
    end
    redis.call('PUBLISH', 'ff:workers', 'opened')
    return { 'OK', before[1] or '' }
  end

  -- Keeps sessions alive.
  --
  -- KEYS  1 workers
  -- ARGV  1 ttl_ms
  --       2.. worker, session, held   leases held, a number a pool joined by ","; draining as "<held> draining"
  -- gives array, one element a worker: OK or SESSION_SUPERSEDED
  -- codes SESSION_SUPERSEDED
  local function worker_beat(keys, args)
    local prefix, expires_at, replies = ff.prefix(keys[1]), ff.now_ms() + tonumber(args[1]), {}
    for i = 2, #args, 3 do
      local key = worker_key(prefix, args[i])
      if redis.call('HGET', key, 'session') == args[i + 1] then
        redis.call('HSET', key, 'held', args[i + 2])
        redis.call('ZADD', keys[1], expires_at, args[i])
        replies[#replies + 1] = 'OK'
      else
        replies[#replies + 1] = 'SESSION_SUPERSEDED'
      end
    end
    return replies
  end

  -- Forgets a worker whose session was closed, unless a newer session took over.
  --
  -- KEYS  1 workers
  -- ARGV  1 worker
  --       2 session
  -- gives 1 when forgotten, else 0
  -- codes none
  local function worker_close(keys, args)
    local key = worker_key(ff.prefix(keys[1]), args[1])
    if redis.call('HGET', key, 'session') ~= args[2] then
      return 0
    end
    redis.call('DEL', key)
    redis.call('ZREM', keys[1], args[1])
    redis.call('PUBLISH', 'ff:workers', 'closed')
    return 1
  end

  -- Live workers in the order of their ids.
  --
  -- KEYS  1 workers
  -- ARGV  1 after          worker id, "" for the first
  --       2 limit
  -- gives array, one element a worker: {worker, expires_at, {field, value, ..}}
  -- codes none
  local function worker_list(keys, args)
    local prefix, now, reply = ff.prefix(keys[1]), ff.now_ms(), {}
    local ids = redis.call('ZRANGE', keys[1], now, '+inf', 'BYSCORE')
    table.sort(ids)
    for _, id in ipairs(ids) do
      if id > args[1] then
        reply[#reply + 1] = { id, redis.call('ZSCORE', keys[1], id), redis.call('HGETALL', worker_key(prefix, id)) }
        if #reply == tonumber(args[2]) then
          break
        end
      end
    end
    return reply
  end

  -- Forgets workers that were not heard of in time.
  --
  -- KEYS  1 workers
  -- ARGV  1 limit
  -- gives {changed, next due}
  -- codes none
  local function worker_sweep(keys, args)
    local prefix, now, changed = ff.prefix(keys[1]), ff.now_ms(), 0
    for _, id in ipairs(redis.call('ZRANGE', keys[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(args[1]))) do
      redis.call('DEL', worker_key(prefix, id))
      redis.call('ZREM', keys[1], id)
      changed = changed + 1
    end
    if changed > 0 then
      redis.call('PUBLISH', 'ff:workers', 'swept')
    end
    local head = redis.call('ZRANGE', keys[1], 0, 0, 'WITHSCORES')
    return { changed, head[2] and tonumber(head[2]) or '' }
  end

  -- Says that a process of the engine is alive, and learns which others are.
  --
  -- KEYS  1 members        ZSET of one service's process ids by expiry
  -- ARGV  1 member         "" only to learn
  --       2 ttl_ms         0 to leave
  --       3 address        where others reach it
  --       4 library        name of the function library it calls
  -- gives {member, address, ..} of the live members, in the order of their ids
  -- codes none
  local function member_beat(keys, args)
    local now, addresses = ff.now_ms(), keys[1] .. ':addresses'
    for _, id in ipairs(redis.call('ZRANGE', keys[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)) do
      redis.call('ZREM', keys[1], id)
      redis.call('HDEL', addresses, id)
      redis.call('HDEL', keys[1] .. ':libraries', id)
    end
    if args[1] == '' then -- an onlooker writes nothing
      args[2] = ''
    elseif args[2] == '0' then
      redis.call('ZREM', keys[1], args[1])
      redis.call('HDEL', addresses, args[1])
      redis.call('HDEL', keys[1] .. ':libraries', args[1])
    else
      redis.call('ZADD', keys[1], now + tonumber(args[2]), args[1])
      redis.call('HSET', addresses, args[1], args[3])
      redis.call('HSET', keys[1] .. ':libraries', args[1], args[4])
    end
    local ids, reply = redis.call('ZRANGE', keys[1], 0, -1), {}
    table.sort(ids)
    for _, id in ipairs(ids) do
      reply[#reply + 1] = id
      reply[#reply + 1] = redis.call('HGET', addresses, id) or ''
    end
    return reply
  end

  -- Fixes the number of partitions at the first start; later starts learn it.
  --
  -- KEYS  1 config         HASH
  -- ARGV  1 partitions
  -- gives the number in force
  -- codes none
  local function partitions_fix(keys, args)
    redis.call('HSETNX', keys[1], 'partitions', args[1])
    return tonumber(redis.call('HGET', keys[1], 'partitions'))
  end

  register('worker_open', worker_open)
  register('worker_beat', worker_beat)
  register('worker_close', worker_close)
  register('worker_list', worker_list)
  register('worker_sweep', worker_sweep)
  register('member_beat', member_beat)
  register('partitions_fix', partitions_fix)
end
