-- The output of an execution: one stream over all attempts, written under the fence, closed by a marker.
do
  local FRAME = 3 -- arguments of one frame

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

  -- Appends the frames of one lease, in order, each once.
  --
  -- KEYS  1 executions
  -- ARGV  1 lease
  --       2.. frames       number (from 1 within the lease), kind, data
  -- gives {OK, highest number stored} or {code, highest number stored}
  -- codes EXECUTION_NOT_FOUND LEASE_STALE LEASE_EXPIRED LEASE_REVOKED OUTPUT_CLOSED OUTPUT_GAP INVALID_ARGUMENT
  local function output_append(keys, args)
    local prefix, now = ff.prefix(keys[1]), ff.now_ms()
    local x, refusal = ff.leased(prefix, args[1], now)
    if refusal then
      return { x and ff.TERMINAL[x.state] and 'OUTPUT_CLOSED' or refusal, 0 }
    end
    local last = x.frame_number or 0
    local key, code, frames, bytes = ff.key(prefix, 'output', x.id), 'OK', 0, 0
    for i = 2, #args, FRAME do
      local number = tonumber(args[i])
      if number > last + 1 then
        code = 'OUTPUT_GAP'
        break
      elseif number == last + 1 then
        redis.call(
          'XADD', key, ff.output_id(x, now), 'attempt', x.attempt, 'number', number,
          'kind', args[i + 1], 'data', args[i + 2]
        )
        last, frames, bytes = number, frames + 1, bytes + #args[i + 2]
      end
    end
    if frames > 0 then
      x.output_bytes = (x.output_bytes or 0) + bytes
      x.output_bytes = x.output_bytes - trim(x, key, frames)
      -- What has said something has begun: given back now, the attempt would be numbered like the next.
      if not x.confirmed then
        x.confirmed = true
        ff.place(x, 'leased', x.expires_at)
      end
      x.frame_number = last
      x.output_frames = (x.output_frames or 0) + frames
      ff.save(x)
      ff.tell_watchers(x)
    end
    return { code, last }
  end

  -- Reads frames after a cursor.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  --       2 after          entry id, "" for the first
  --       3 count
  -- gives {OK, state, {entry id, {field, value, ..}}, ..} or {code}
  -- codes EXECUTION_NOT_FOUND
  local function output_read(keys, args)
    local prefix = ff.prefix(keys[1])
    local x = ff.load(prefix, args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    end
    local reply, from = { 'OK', x.state }, '-'
    if args[2] ~= '' then
      from = '(' .. args[2]
    end
    for _, entry in ipairs(redis.call('XRANGE', ff.key(prefix, 'output', args[1]), from, '+', 'COUNT', args[3])) do
      reply[#reply + 1] = entry
    end
    return reply
  end

  register('output_append', output_append)
  register('output_read', output_read)
end
