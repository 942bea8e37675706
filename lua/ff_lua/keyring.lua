-- The one stored ring of keys, which gateways encrypt and decrypt: here it is a revision and bytes ({m} tag).
do
  -- Gives the ring as stored.
  --
  -- KEYS  1 keyring        STRING "<revision> <ciphertext>"
  -- ARGV  none
  -- gives {now_ms, what is stored or ""}
  -- codes none
  local function keyring_read(keys, _)
    return { ff.now_ms(), redis.call('GET', keys[1]) or '' }
  end

  -- Replaces the ring, unless somebody else has done so. A repeat of what is in force counts as done.
  --
  -- KEYS  1 keyring
  -- ARGV  1 expected       revision that is replaced; 0 for none
  --       2 revision       of the new one
  --       3 ciphertext
  -- gives 1 when the new one is in force, else 0
  -- codes none
  local function keyring_swap(keys, args)
    local stored, new = redis.call('GET', keys[1]) or '0 ', args[2] .. ' ' .. args[3]
    if stored == new then
      return 1
    end
    if string.match(stored, '^%d+') ~= args[1] then
      return 0
    end
    redis.call('SET', keys[1], new)
    redis.call('PUBLISH', 'ff:keyring', args[2])
    return 1
  end

  register('keyring_read', keyring_read)
  register('keyring_swap', keyring_swap)
end
