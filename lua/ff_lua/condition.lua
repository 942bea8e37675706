-- When a suspension ends: trees that signals are shown to, and that keep in their nodes what they have seen.
--
-- A node is one of
--   {op = 'signal', at, names, category, source}    a signal at the waitpoint `at` that matches; what is absent is any
--   {op = 'operator'}  {op = 'timeout'}             an operator's resume; the end of the wait's time
--   {op = 'all' | 'any', of = {node, ..}}
--   {op = 'count', n, by = 'waitpoints' | 'signals' | 'sources', at = {name, ..}, match = {names, category, source}}
-- and remembers: a leaf in `by` the number of the signal that satisfied it, all and any in `ok` whether they are
-- satisfied, a count in `seen` which signal brought each of the things it counts. Nothing here reads or writes keys.
do
  ff.CONDITION_DEPTH, ff.CONDITION_NODES = 4, 64 -- the root is at depth 1
  local MOST_CHILDREN, MOST_COUNTED, MOST_NAMES = 32, 100, 16
  local COUNTED = { waitpoints = true, signals = true, sources = true }
  local FIELDS = { all = 'all_of', any = 'any_of', timeout = 'timer' } -- ops that the wire names otherwise

  ------------------------------------------------------------------------------------------------------- checks

  local function is_text(value, most)
    return type(value) == 'string' and value ~= '' and #value <= most
  end

  local function matcher_problem(match, path)
    if type(match) ~= 'table' then
      return path, 'no matcher'
    end
    local names = match.names or {}
    if type(names) ~= 'table' or #names > MOST_NAMES then
      return path .. '.names', 'at most ' .. MOST_NAMES
    end
    for i, name in ipairs(names) do
      if not is_text(name, 64) then
        return path .. '.names[' .. i - 1 .. ']', '1 to 64 characters'
      end
    end
    if match.category ~= nil and not is_text(match.category, 64) then
      return path .. '.category', '1 to 64 characters'
    elseif match.source ~= nil and not is_text(match.source, 256) then
      return path .. '.source', '1 to 256 characters'
    end
  end

  local CHECKS = {}

  function CHECKS.signal(node, path, names)
    if node.at ~= nil and not names[node.at] then
      return path .. '.waitpoint', 'no waitpoint of this suspension has this name'
    end
    return matcher_problem(node, path .. '.match')
  end

  function CHECKS.operator()
    return nil
  end

  function CHECKS.timeout(_, path, _, has_due)
    if has_due == false then
      return path, 'the wait has no timeout'
    end
  end

  function CHECKS.all(node, path)
    if type(node.of) ~= 'table' or #node.of < 1 or #node.of > MOST_CHILDREN then
      return path .. '.conditions', '1 to ' .. MOST_CHILDREN .. ' conditions'
    end
  end
  CHECKS.any = CHECKS.all

  function CHECKS.count(node, path, names)
    if not COUNTED[node.by] then
      return path .. '.by', 'waitpoints, signals or sources'
    elseif type(node.n) ~= 'number' or node.n % 1 ~= 0 or node.n < 1 or node.n > MOST_COUNTED then
      return path .. '.n', '1 to ' .. MOST_COUNTED
    elseif node.at ~= nil and type(node.at) ~= 'table' then
      return path .. '.waitpoints', 'a list'
    end
    local distinct, known = {}, 0
    for i, name in ipairs(node.at or {}) do
      if not names[name] then
        return path .. '.waitpoints[' .. i - 1 .. ']', 'no waitpoint of this suspension has this name'
      elseif distinct[name] then
        return path .. '.waitpoints[' .. i - 1 .. ']', 'named twice'
      end
      distinct[name], known = true, known + 1
    end
    if known == 0 then
      for _ in pairs(names) do
        known = known + 1
      end
    end
    if node.by == 'waitpoints' and node.n > known then
      return path .. '.n', 'there are only ' .. known .. ' waitpoints to count'
    end
    return matcher_problem(node.match or {}, path .. '.match')
  end

  -- What is wrong with a condition: nil, or the path of the offending field in words of the wire, from the condition
  -- on, and a sentence. `names` holds the waitpoints of the suspension as keys; `has_due` is false when the wait
  -- has no timeout. Third is the number of nodes.
  function ff.condition_problem(root, names, has_due)
    local open, count = { { root, '', 1 } }, 0
    while #open > 0 do
      local node, path, depth = unpack(table.remove(open))
      count = count + 1
      if type(node) ~= 'table' or not CHECKS[node.op] then
        return path, 'no known kind of condition', count
      elseif depth > ff.CONDITION_DEPTH then
        return path, 'nested deeper than ' .. ff.CONDITION_DEPTH, count
      elseif count > ff.CONDITION_NODES then
        return path, 'more than ' .. ff.CONDITION_NODES .. ' conditions', count
      end
      local has_children = node.op == 'all' or node.op == 'any'
      if node.seen or node.ok or (node.by and node.op ~= 'count') or (node.of and not has_children) then
        return path, 'it holds what a new condition of its kind does not', count
      end
      local field = path .. '.' .. (FIELDS[node.op] or node.op)
      local where, sentence = CHECKS[node.op](node, field, names, has_due)
      if where then
        return where, sentence, count
      end
      if has_children then
        for i = #node.of, 1, -1 do -- the first is looked at first
          open[#open + 1] = { node.of[i], field .. '.conditions[' .. i - 1 .. ']', depth + 1 }
        end
      end
    end
    return nil, nil, count
  end

  --------------------------------------------------------------------------------------------------- evaluation

  local function contains(list, word)
    for _, item in ipairs(list) do
      if item == word then
        return true
      end
    end
    return false
  end

  local function matches(match, signal)
    return (not match.names or #match.names == 0 or contains(match.names, signal.name))
      and (not match.category or match.category == signal.category)
      and (not match.source or match.source == signal.source)
  end

  -- What a count counts once. Marked, so that a table of them is never taken for a list.
  local function token(by, signal)
    if by == 'sources' then
      return '@' .. signal.source
    end
    return '#' .. string.format('%d', by == 'waitpoints' and signal.waitpoint_number or signal.number)
  end

  local function size(seen)
    local count = 0
    for _ in pairs(seen) do
      count = count + 1
    end
    return count
  end

  -- Whether the node is satisfied.
  function ff.condition_ok(node)
    if node.op == 'count' then
      return size(node.seen or {}) >= node.n
    elseif node.of then
      return node.ok == true
    end
    return node.by ~= nil
  end

  local function take_leaf(node, signal)
    if node.op ~= signal.kind then
      return false, false
    end
    if node.op == 'signal' and not ((not node.at or node.at == signal.waitpoint) and matches(node, signal)) then
      return false, false
    end
    local is_first = node.by == nil
    node.by = node.by or signal.number
    return true, is_first
  end

  local function take_count(node, signal)
    if signal.kind ~= 'signal' or not matches(node.match or {}, signal) then
      return false, false
    end
    if node.at and #node.at > 0 and not contains(node.at, signal.waitpoint) then
      return false, false
    end
    node.seen = node.seen or {}
    local counted = token(node.by, signal)
    if node.seen[counted] or size(node.seen) >= node.n then
      return true, false
    end
    node.seen[counted] = signal.number
    return true, true
  end

  -- Shows a signal to a condition: whether a node took it, and whether that changed one. `signal` has number,
  -- waitpoint (name), waitpoint_number, name, category, source and kind: signal, operator or timeout. Every child
  -- sees it, also when its parent is satisfied already, and parents are judged after all of their children.
  function ff.condition_take(node, signal)
    if node.op == 'count' then
      return take_count(node, signal)
    elseif not node.of then
      return take_leaf(node, signal)
    end
    local took, changed, satisfied = false, false, 0
    for _, child in ipairs(node.of) do
      local child_took, child_changed = ff.condition_take(child, signal)
      took, changed = took or child_took, changed or child_changed
      satisfied = satisfied + (ff.condition_ok(child) and 1 or 0)
    end
    node.ok = satisfied >= (node.op == 'all' and #node.of or 1)
    return took, changed
  end

  -- Adds to the set the numbers of the signals that a condition has counted; of parts that are satisfied only, if
  -- `only_ok`.
  function ff.condition_counted(node, numbers, only_ok)
    if only_ok and not ff.condition_ok(node) then
      return
    end
    for _, child in ipairs(node.of or {}) do
      ff.condition_counted(child, numbers, only_ok)
    end
    for _, number in pairs(node.op == 'count' and node.seen or {}) do
      numbers[number] = true
    end
    if node.op ~= 'count' and node.by then
      numbers[node.by] = true
    end
  end

  -- Adds to `list` the numbers of the signals that satisfied the condition, each once, in order.
  function ff.condition_by(node, list)
    local numbers = {}
    while #list > 0 do
      numbers[table.remove(list)] = true
    end
    ff.condition_counted(node, numbers, true)
    for number in pairs(numbers) do
      list[#list + 1] = number
    end
    table.sort(list)
    return list
  end
end
