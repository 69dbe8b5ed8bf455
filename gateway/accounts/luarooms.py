"""What one account may create, as a Lua script: a bucket that several gateways take of, by the store's own clock.

It is one packed value: `full`, the instant (µs) at which the bucket is full again; `pace` a minute and `burst` at once;
`usual` and `most`, these two as they are set; `slow`, until when a slower pace holds, or 0; `queues`, which gateways
wait in turn for the next, and until when. One that nobody knows of yet begins with nothing, for nobody knows either
what was created before.
"""

ROOM = """
local MINUTE = 60000000
local KEPT_MS = 86400000
local time = CLOCK
local now = time[1] * 1000000 + time[2]
local act, usual, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local first, second = tonumber(ARGV[4] or 1), tonumber(ARGV[5] or 0)
local packed = redis.call('GET', KEYS[1])
local room = packed and cmsgpack.unpack(packed)

local function spacing()
  return MINUTE / room.pace
end

local function as_usual(full)
  room.pace, room.burst, room.slow, room.full = room.usual, room.most, 0, full
end

local function opens()
  return room.full - (room.burst - 1) * spacing() - now
end

local function empty()
  room.full = math.max(room.full, now + room.burst * spacing())
end

if not room then
  room = {usual = usual, most = most, pace = usual, burst = most, slow = 0, full = now, queues = {}}
  empty()
elseif room.usual ~= usual or room.most ~= most then
  local left = room.full - now
  room.usual, room.most = usual, most
  if room.slow == 0 then
    as_usual(now + left)
    room.full = math.min(room.full, now + room.burst * spacing())
  end
end
if room.slow > 0 and now >= room.slow then
  as_usual(now + (room.most - 1) * MINUTE / room.usual)
end

local taken, wait = 0, 0
if act == 'take' then
  if second > 0 then empty() end
  local fit = math.floor(1 - (opens() - 1) / spacing())
  taken, wait = math.max(0, math.min(first, fit)), math.max(0, opens())
elseif act == 'reserve' then
  if second > 0 then empty() end
  taken, wait = 1, math.max(0, opens())
  if wait > 0 then room.queues[ARGV[6]] = now + wait + 2 * spacing() end
elseif act == 'give' then
  room.full = room.full - first * spacing()
elseif act == 'spend' then
  local furthest = now + second * 1000000 + (room.burst - 1) * spacing()
  room.full = math.max(room.full, math.min(math.max(room.full, now) + first * spacing(), furthest))
elseif act == 'heard' then
  if room.slow > 0 and first > room.burst then as_usual(now) end
  room.full = math.max(room.full, now + (room.burst - first) * spacing())
elseif act == 'slow' then
  local left = math.max(0, opens())
  room.pace, room.burst = math.min(first, room.usual), math.max(1, math.min(second, room.most))
  room.slow = now + tonumber(ARGV[6]) * 1000000
  room.full = now + left + (room.burst - 1) * spacing()
elseif act == 'rest' then
  room.full = math.max(room.full, now + first * 1000000 + (room.burst - 1) * spacing())
end
local queues = 0
for owner, till in pairs(room.queues) do
  if till < now then room.queues[owner] = nil else queues = queues + 1 end
end
if taken > 0 then room.full = math.max(room.full, now) + taken * spacing() end

redis.call('SET', KEYS[1], cmsgpack.pack(room), 'PX', math.ceil(math.max(0, room.full - now) / 1000) + KEPT_MS)
local slow = room.slow > 0 and room.slow - now or 0
local told = {}
for i, number in ipairs({taken, wait, room.full - now, room.pace, room.burst, slow, queues}) do
  told[i] = string.format('%.6f', number)
end
return told
"""
"""KEYS: the room. ARGV: an act, the usual pace a minute and the most at once, then what the act needs. `take`: so many
at most, of what fits now, and whether whoever takes was apart. `reserve`: one, the same, and the gateway. `give`: so
many that were taken. `spend`: so many that did not wait, for as many seconds at most. `heard`: how many are left.
`slow`: the pace a minute, the most at once, for so many seconds. `rest`: for so many seconds. Gives how many were
taken, the wait until they may be used or one fits, and how the room stands: full in, pace, at once, slow for (times in
µs), and how many gateways wait in turn.
"""
