-- The environment Valkey gives to functions. Receives the parts that Python answers, gives `load` and `invoke`.
local dispatch, decode, encode, unpack_message, pack_message, sha1hex, log = ...

local raw_pcall, raw_error, raw_type = pcall, error, type
local null = newproxy()

local function readonly(content, missing)
  return setmetatable({}, {
    __index = function(_, name)
      local value = content[name]
      if value == nil and missing then
        raw_error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
      end
      return value
    end,
    __newindex = function()
      raw_error('Attempt to modify a readonly table', 2)
    end,
    __metatable = false,
  })
end

local function call(...)
  local reply = dispatch(select('#', ...), ...)
  if raw_type(reply) == 'table' and reply.err then
    raw_error(reply, 0)
  end
  return reply
end

local function reply_of(kind)
  return function(text)
    if raw_type(text) ~= 'string' then
      return { err = 'ERR wrong number or type of arguments' }
    end
    if kind == 'err' and not string.find(text, '^%-?%u+ ') then
      text = 'ERR ' .. text
    end
    return { [kind] = text }
  end
end

-- Valkey hands the text of an error reply, not its table, to whoever catches it.
local function pcall(...)
  local function answer(ok, err, ...)
    if not ok and raw_type(err) == 'table' and err.err then
      return ok, err.err
    end
    return ok, err, ...
  end
  return answer(raw_pcall(...))
end

local functions = {}
local constants = { LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3 }
local while_loading, while_running = {}, {}
for name, value in pairs(constants) do
  while_loading[name], while_running[name] = value, value
end
while_loading.log = log
while_loading.register_function = function(name, body)
  if raw_type(name) == 'table' then
    name, body = name.function_name, name.callback
  end
  if functions[name] then
    raw_error('Function already exists in the library', 2)
  end
  functions[name] = body
end
while_running.log = log
while_running.call = call
while_running.pcall = function(...)
  return dispatch(select('#', ...), ...)
end
while_running.error_reply = reply_of('err')
while_running.status_reply = reply_of('ok')
while_running.sha1hex = sha1hex

local redis_loading, redis_running = readonly(while_loading, true), readonly(while_running, true)
local redis = redis_loading

local content = {
  _VERSION = _VERSION,
  assert = assert,
  cjson = readonly({ encode = encode, decode = decode, null = null }),
  cmsgpack = readonly({ pack = pack_message, unpack = unpack_message }),
  collectgarbage = collectgarbage,
  coroutine = readonly(coroutine),
  error = error,
  getmetatable = getmetatable,
  ipairs = ipairs,
  math = readonly(math),
  next = next,
  os = readonly({ clock = os.clock }),
  pairs = pairs,
  pcall = pcall,
  rawequal = rawequal,
  rawget = rawget,
  rawset = rawset,
  select = select,
  setmetatable = setmetatable,
  string = readonly(string),
  table = readonly(table),
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  unpack = unpack,
  xpcall = xpcall,
}

local environment = setmetatable({}, {
  __index = function(_, name)
    if name == 'redis' or name == 'server' then
      return redis
    end
    local value = content[name]
    if value == nil then
      raw_error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
    end
    return value
  end,
  __newindex = function()
    raw_error('Attempt to modify a readonly table', 2)
  end,
  __metatable = false,
})
content._G = environment

local sandbox = { null = null, functions = functions }

function sandbox.load(code, name)
  local chunk, problem = loadstring(code, '@' .. name)
  if not chunk then
    return problem
  end
  setfenv(chunk, environment)
  redis = redis_loading
  local ok, err = pcall(chunk)
  redis = redis_running
  if not ok then
    return tostring(err)
  end
end

-- Gives true and the reply, or false and the text of the error.
function sandbox.invoke(name, keys, args)
  local ok, reply = raw_pcall(functions[name], keys, args)
  if ok then
    return true, reply
  end
  if raw_type(reply) == 'table' then
    return false, reply.err or 'ERR unknown error'
  end
  return false, 'ERR ' .. tostring(reply)
end

return sandbox
