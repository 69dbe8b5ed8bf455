"""The meters of `meters`, as Lua scripts: what Redis and Valkey decide in one step, by their own clock.

A key or team is one packed value: `at`, the instant (µs) it was last told; `m`, a meter for each rate or false, with
its limit `n`, its level `l` and its holds `h` (place, amount, least); `p`, the places (name, until, gateway). A unit is
MINUTE high, and a microsecond drains `n`: levels of up to 150 million units are whole numbers.
"""

_METERS = """
local MINUTE = 60000000
local time = CLOCK
local clock = time[1] * 1000000 + time[2]

local function index_of(list, name)
  for i, each in ipairs(list) do if each[1] == name then return i end end
end

local function note_least(m)
  local last = m.h[#m.h]
  if last then last[3] = math.min(last[3], m.l) end
end

local function add(m, amount)
  note_least(m)
  m.l = m.l + amount * MINUTE
end

local function drop(m, name)
  local i = index_of(m.h, name)
  if not i then return end
  if i > 1 then m.h[i - 1][3] = math.min(m.h[i - 1][3], m.h[i][3]) end
  table.remove(m.h, i)
end

local function settle(m, name, real)
  local i = m and index_of(m.h, name)
  if not i then return end
  local amount = m.h[i][2]
  if real > amount then
    add(m, real - amount)
  else
    note_least(m)
    local height, least = (amount - real) * MINUTE, m.h[i][3]
    for j = i, #m.h do
      least = math.min(least, m.h[j][3])
      m.h[j][3] = m.h[j][3] - math.min(height, least)
    end
    m.l = m.l - math.min(height, least)
  end
  drop(m, name)
end

local function part_with(pace, name)
  local i = index_of(pace.p, name)
  if i then table.remove(pace.p, i) end
  for rate = 1, 3 do if pace.m[rate] then drop(pace.m[rate], name) end end
end

local function loaded(key)
  local packed = redis.call('GET', key)
  local pace = packed and cmsgpack.unpack(packed) or {at = clock, m = {false, false, false}, p = {}}
  local now = math.max(clock, pace.at)
  for rate = 1, 3 do
    local m = pace.m[rate]
    if m then m.l = math.max(0, m.l - (now - pace.at) * m.n) end
  end
  pace.at = now
  while pace.p[1] and pace.p[1][2] <= now do part_with(pace, pace.p[1][1]) end
  return pace
end

local function saved(key, pace)
  local left = 0
  for rate = 1, 3 do
    local m = pace.m[rate]
    if m then left = math.max(left, m.l / m.n) end
  end
  for _, place in ipairs(pace.p) do left = math.max(left, place[2] - pace.at) end
  if left == 0 then
    redis.call('DEL', key)
  else
    redis.call('SET', key, cmsgpack.pack(pace), 'PX', math.ceil(left / 1000) + 1000)
  end
end
"""

ADMIT = (
    _METERS
    + """
local name, owner, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local paces, wants, obstacles, standings = {}, {}, {}, {}

local function adopt(pace, rate, limit)
  local m = pace.m[rate]
  if limit ~= (m and m.n or 0) then pace.changed = true end
  if limit == 0 then
    pace.m[rate] = false
  elseif m then
    m.n = limit
  else
    pace.m[rate] = {n = limit, l = 0, h = {}}
  end
end

local function bury(pace)
  for i = #pace.p, 1, -1 do
    local place = pace.p[i]
    if place[3] ~= owner and not redis.call('ZSCORE', KEYS[1], place[3]) then part_with(pace, place[1]) end
  end
end

for scope = 1, #KEYS - 1 do
  local pace, first = loaded(KEYS[scope + 1]), 3 + (scope - 1) * 7
  paces[scope], wants[scope] = pace, {}
  for rate = 1, 3 do
    local limit, wanted = tonumber(ARGV[first + 2 * rate - 1]), tonumber(ARGV[first + 2 * rate])
    adopt(pace, rate, limit)
    wants[scope][rate] = wanted
    local m = pace.m[rate]
    if m then
      local used = math.ceil(m.l / MINUTE)
      local wait = math.ceil((m.l + (wanted - limit) * MINUTE) / limit)
      if wanted > limit then
        table.insert(obstacles, {scope, rate, -1, limit, used, wanted})
      elseif wanted > 0 and wait > 0 then
        table.insert(obstacles, {scope, rate, math.ceil(wait / 1000), limit, used, wanted})
      end
    end
  end
  local most = tonumber(ARGV[first + 7])
  if most > 0 and #pace.p >= most then bury(pace) end
  if most > 0 and #pace.p >= most then table.insert(obstacles, {scope, 4, 1000, most, #pace.p, 1}) end
end

for scope, pace in ipairs(paces) do
  for rate = 1, 3 do
    local m = pace.m[rate]
    if m and #obstacles == 0 then
      add(m, wants[scope][rate])
      table.insert(m.h, {name, wants[scope][rate], m.l})
    end
    if m then
      table.insert(standings, {rate, m.n, math.ceil(m.l / MINUTE), math.ceil(m.l / m.n / 1000)})
    end
  end
  if #obstacles == 0 then
    table.insert(pace.p, {name, pace.at + lease, owner})
  end
  -- A refusal uses up nothing; but from now on it drains as fast as the new limit says.
  local changed = pace.changed
  pace.changed = nil
  if #obstacles == 0 or changed then saved(KEYS[scope + 1], pace) end
end
return {obstacles, standings}
"""
)
"""KEYS: the living gateways, then each key or team. ARGV: the place's name, the gateway, the lease (µs), then for each
key or team: limit and amount of each rate, and the calls at once (0 is without limit). Gives what is in the way (which
of them, what, the wait in ms or -1, limit, used, wanted) and how far rates are used (which, limit, used, reset in ms).
"""

LEAVE = (
    _METERS
    + """
local name, tokens, images = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
for _, key in ipairs(KEYS) do
  local pace = loaded(key)
  if tokens >= 0 then settle(pace.m[2], name, tokens) end
  if images >= 0 then settle(pace.m[3], name, images) end
  part_with(pace, name)
  saved(key, pace)
end
"""
)
"""KEYS: each key or team. ARGV: the place's name, and the real counts, or -1 where the estimate stands."""
