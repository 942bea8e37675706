-- JSON merge patches (RFC 7396) on texts. Not through cjson: that turns [] into {}, and long integers into floats.
--
-- The gateway hands over canonical text: no space, each name once and always spelt alike. So a value is the slice of its
-- text, two names are equal when their slices are, and only objects that both sides have are ever taken apart. A slice
-- is never looked into further. A patch removes with `null`; what it sets to null is written NaN, which JSON has no use
-- for. Prior art: the reference of RFC 7396, section 2.
do
  -- Where the string that begins at `at` ends.
  local function string_end(text, at)
    at = at + 1
    while true do
      at = string.find(text, '["\\]', at)
      if not at or string.byte(text, at) == 34 then
        return at
      end
      at = at + 2
    end
  end

  -- Where the value that begins at `at` ends.
  local function value_end(text, at)
    local first = string.sub(text, at, at)
    if first == '"' then
      return string_end(text, at)
    elseif first ~= '{' and first ~= '[' then
      return (string.find(text, '[,}%]]', at) or #text + 1) - 1
    end
    local depth = 0
    while at do
      local byte = string.byte(text, at)
      if byte == 34 then
        at = string_end(text, at)
      elseif byte == 123 or byte == 91 then
        depth = depth + 1
      else
        depth = depth - 1
        if depth == 0 then
          return at
        end
      end
      at = at and string.find(text, '["{}%[%]]', at + 1)
    end
  end

  -- The names of an object in their order, and its values by name. All are slices of its text; nil for what is no text
  -- of an object.
  local function split(text)
    local names, values, at = {}, {}, 2
    while string.byte(text, at) == 34 do
      local name_ends = string_end(text, at)
      local ends = name_ends and value_end(text, name_ends + 2)
      if not ends or string.byte(text, name_ends + 1) ~= 58 then
        return nil
      end
      local name = string.sub(text, at, name_ends)
      names[#names + 1] = name
      values[name] = string.sub(text, name_ends + 2, ends)
      at = ends + 1
      if string.byte(text, at) == 44 then
        at = at + 1
      end
    end
    return string.sub(text, at) == '}' and names, values
  end

  -- The text of the document after a patch, nil when one of them is no object in canonical text. As deep as the patch,
  -- which whoever sends it bounds.
  function ff.merge(document, patch)
    local patch_names, changes = split(patch)
    local names, values = split(document)
    if not patch_names or not names then
      return nil
    end
    for _, name in ipairs(patch_names) do
      local change = changes[name]
      if change == 'null' then
        values[name] = nil
      else
        if not values[name] then
          names[#names + 1] = name
        end
        if change == 'NaN' then
          change = 'null'
        elseif string.byte(change) == 123 then
          local within = values[name]
          change = ff.merge(within and string.byte(within) == 123 and within or '{}', change)
          if not change then
            return nil
          end
        end
        values[name] = change
      end
    end
    local parts = {}
    for _, name in ipairs(names) do
      if values[name] then
        parts[#parts + 1] = name .. ':' .. values[name]
      end
    end
    return '{' .. table.concat(parts, ',') .. '}'
  end
end
