-- What every function shares: how it is registered, the clock, the keys, the state machine and the policy's defaults.
--
-- A function works on one partition. KEYS[1] is always the partition's anchor, "ff:{p:N}:executions"; the other
-- keys are derived from it here and nowhere else (core/ff_core/keys.py is the mirror, and a test compares them):
-- most ids are only known after a pop or a scan, and a second round trip would cost more than it declares.

local ff = {}

-- Registers a function of this release. Its writes are collected while it runs and made at its end.
local function register(name, body)
  redis.register_function(LIBRARY .. '_' .. name, function(keys, args)
    ff.begin()
    local reply = body(keys, args)
    ff.flush()
    return reply
  end)
end

do
  ff.HISTORY_KEPT = 200 -- ended leases an execution remembers, the newest
  ff.NEVER = 9e15 -- score of what waits without a limit of time; beyond every time, and still a whole number

  ff.DEFAULTS = {
    max_attempts = 4,
    backoff_initial_ms = 1000,
    backoff_multiplier = 2,
    backoff_max_ms = 60000,
    backoff_jitter = 0.1,
    max_reclaims = 100,
    reclaim_delay_ms = 0,
    max_replays = 10,
    retention_ms = 86400000,
    output_max_frames = 10000,
    output_max_bytes = 67108864,
    summary_max_bytes = 65536,
    best_effort_ttl_ms = 30000,
  }

  ------------------------------------------------------------------------------------------------------- lists

  local SLICE = 4000 -- even, so that pairs stay together; Lua's stack has no room for 8,000 values

  -- Where to cut a list of any length for unpack: gives the first and the last place of each part.
  function ff.slices(list)
    local from = 1 - SLICE
    return function()
      from = from + SLICE
      if from <= #list then
        return from, math.min(from + SLICE - 1, #list)
      end
    end
  end

  ---------------------------------------------------------------------------------------------------- time, keys

  -- Milliseconds by Valkey's clock: the only clock a decision may use.
  function ff.now_ms()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  end

  -- "ff:{p:N}:" of an anchor.
  function ff.prefix(anchor)
    return string.match(anchor, '^ff:{[^}]+}:')
  end

  function ff.key(prefix, kind, id)
    return prefix .. kind .. ':' .. id
  end

  ------------------------------------------------------------------------------------------------- state machine

  -- operation -> states it may leave -> states it may reach. docs/reference/states.md draws this table.
  ff.TRANSITIONS = {
    create = { from = {}, to = { waiting = true, delayed = true } },
    promote = { from = { delayed = true }, to = { waiting = true } },
    claim = { from = { waiting = true }, to = { active = true } },
    release = { from = { active = true }, to = { waiting = true, cancelled = true } },
    reclaim = { from = { active = true }, to = { waiting = true, delayed = true, failed = true, cancelled = true } },
    complete = { from = { active = true }, to = { completed = true } },
    fail = { from = { active = true }, to = { waiting = true, delayed = true, failed = true, cancelled = true } },
    delay = { from = { active = true }, to = { delayed = true, cancelled = true } },
    stop = { from = { active = true }, to = { cancelled = true } },
    suspend = { from = { active = true }, to = { suspended = true, cancelled = true } },
    resume = { from = { suspended = true }, to = { waiting = true, delayed = true } },
    lapse = { from = { suspended = true }, to = { waiting = true, suspended = true, failed = true, cancelled = true, expired = true } },
    cancel = { from = { waiting = true, delayed = true, active = true, suspended = true }, to = { cancelled = true, active = true } },
    expire = { from = { waiting = true, delayed = true, active = true, suspended = true }, to = { expired = true } },
    replay = { from = { completed = true, failed = true, cancelled = true, expired = true }, to = { waiting = true } },
  }

  ff.TERMINAL = { completed = true, failed = true, cancelled = true, expired = true }

  -- A policy value: what the submitter stored, else the default.
  function ff.policy(x, name)
    local value = x.policy and x.policy[name]
    if value == nil or value == cjson.null then
      return ff.DEFAULTS[name]
    end
    return value
  end
end
