-- The summary of an execution: one rolling JSON document over all attempts, changed by patches.
do
  local PATCH = '5' -- kinds of frames, by their numbers on the wire
  ff.SUMMARY_REPLACE = '6'

  -- A summary as it changes within one call: loaded with its first change, written by `ff.save_summary`.
  function ff.open_summary(x)
    local text = x.summary_version and redis.call('GET', ff.key(x.prefix, 'summary', x.id))
    return { text = text or '{}', version = x.summary_version or 0 }
  end

  -- Takes one change. Gives nil, or why it was refused; the summary is then as before.
  function ff.change_summary(x, summary, kind, data)
    local text = kind == ff.SUMMARY_REPLACE and data or kind == PATCH and ff.merge(summary.text, data)
    if not text then
      return 'INVALID_ARGUMENT'
    elseif #text > ff.policy(x, 'summary_max_bytes') then
      return 'PAYLOAD_TOO_LARGE'
    end
    summary.text, summary.version = text, summary.version + 1
  end

  -- Writes what the changes made of it, at the place `id` among all that x puts out.
  function ff.save_summary(x, summary, id)
    redis.call('SET', ff.key(x.prefix, 'summary', x.id), summary.text)
    x.summary_version, x.summary_id, x.summary_attempt = summary.version, id, x.attempt
  end

  -- Reads the summary.
  --
  -- KEYS  1 executions
  -- ARGV  1 id
  -- gives {OK, document, version, id of the last change}, {OK} without a summary, or {code}
  -- codes EXECUTION_NOT_FOUND
  local function output_summary(keys, args)
    local prefix = ff.prefix(keys[1])
    local x = ff.load(prefix, args[1])
    if not x then
      return { 'EXECUTION_NOT_FOUND' }
    elseif not x.summary_version then
      return { 'OK' }
    end
    return { 'OK', redis.call('GET', ff.key(prefix, 'summary', x.id)), x.summary_version, x.summary_id }
  end

  register('output_summary', output_summary)
end
