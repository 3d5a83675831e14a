"""Compare and change in one step: Lua scripts, which a server runs atomically.

The native commands do not say enough. ``SET ... IFEQ`` and ``DELIFEQ`` answer the same to a value
that differs and to a key that is absent, and only the newest servers have them. A script is one
round trip: redis-py calls it by its digest, and loads it when the server has not cached it yet.

Each script works on the one key that it is given.
"""

ABSENT, DIFFERENT = -1, 0
"""Answers of the scripts that compare: no such key, another value; 1 means equal and done."""

SWAP = """
local value = redis.call('GET', KEYS[1])
if not value then return -1 end
if value ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
"""
"""Replaces the first argument by the second; the third is a TTL in ms, 0 to keep the key's."""

UNLOCK = """
local owner = redis.call('GET', KEYS[1])
if not owner then return -1 end
if owner ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""
"""Removes a key that holds the argument."""

EXTEND = """
local owner = redis.call('GET', KEYS[1])
if not owner then return -1 end
if owner ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
"""Gives a key that holds the first argument a TTL, the second argument in ms."""

ADD_2_TO_63 = """
local value = redis.call('GET', KEYS[1])
if value then redis.call('INCRBY', KEYS[1], '0') end
if not value or string.sub(value, 1, 1) ~= '-' then
  return redis.error_reply('ERR increment or decrement would overflow')
end
redis.call('INCRBY', KEYS[1], '9223372036854775807')
redis.call('INCRBY', KEYS[1], '1')
return redis.call('GET', KEYS[1])
"""
"""Subtracts -2^63, which no INCRBY and no DECRBY takes; refuses what is no integer, as they do.

Only a negative number has room for it. The answer is digits: Lua's numbers are doubles.
"""
