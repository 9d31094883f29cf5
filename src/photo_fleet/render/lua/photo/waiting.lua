-- The requests that a member has, and when it was heard of last, so that one that may hang is noticed:
-- it takes connections and answers nobody, which no failed connection tells.
--
-- Each worker counts by itself, for a number in the shared dict costs several times as much to change,
-- and tells what changed at each of its looks (`waiting.tell`). What others see is that old.
local waiting = {}

local dict = ngx.shared.photo_members
local exiting = ngx.worker.exiting
local own = {} -- by id, of members that have requests of this worker, or had since its last look
local ENOUGH, SILENCE = 3, 5 -- requests, seconds
local NEARLY_NOW = 0.1 -- seconds for which a worker does not say again that it heard of a member

local function in_flight_key(id, worker)
  return "in_flight:" .. id .. ":" .. worker
end

local function heard_key(id)
  return "heard:" .. id
end

local function of(id)
  local found = own[id]
  if not found then
    found = { in_flight = 0, told = 0, requests = 0, heard_at = 0 }
    own[id] = found
  end
  return found
end

-- Of all workers, what they have told.
local function told_count(id)
  local sum = 0
  for worker = 0, ngx.worker.count() - 1 do
    sum = sum + (dict:get(in_flight_key(id, worker)) or 0)
  end
  return sum
end

-- By how much the numbers grew: a worker of before a reload has the same place as its successor.
-- Silence counts from the first request that a member has.
local function tell(id, one)
  local more = one.in_flight - one.told
  if more ~= 0 then
    if more > 0 and one.told == 0 and told_count(id) <= 0 then waiting.heard(id) end
    dict:incr(in_flight_key(id, ngx.worker.id()), more, more > 0 and 0 or nil)
    one.told = one.in_flight
  end
  if one.requests > 0 then
    dict:incr("requests:" .. id, one.requests) -- not of one that was removed meanwhile
    one.requests = 0
  end
end

function waiting.tell()
  for id, one in pairs(own) do
    tell(id, one)
    if one.in_flight == 0 then own[id] = nil end
  end
end

-- Requests that were sent to it and are not over: with what this worker has not told.
function waiting.count(id)
  local one = own[id]
  return math.max(told_count(id) + (one and one.in_flight - one.told or 0), 0)
end

-- Those of others, and this worker's own.
function waiting.count_elsewhere(id)
  return waiting.count(id) - waiting.count_here(id)
end

function waiting.count_here(id)
  local one = own[id]
  return one and one.in_flight or 0
end

-- A request was sent to it.
function waiting.began(id)
  local one = of(id)
  one.in_flight = one.in_flight + 1
  one.requests = one.requests + 1
  if exiting() then tell(id, one) end -- there are no more looks
end

-- It gave a sign of life: its silence counts anew.
function waiting.heard(id)
  local one, now = of(id), ngx.now()
  local since = now - one.heard_at
  if since >= 0 and since < NEARLY_NOW then return end -- below 0: the clock was put back
  dict:set(heard_key(id), now)
  one.heard_at = now
end

-- A request is over, or is sent to another.
function waiting.ended(id)
  local one = of(id)
  one.in_flight = one.in_flight - 1
  if exiting() then tell(id, one) end
end

-- Whether it has several and nothing was heard of it for a while. It may be at work on long ones, or
-- their clients may be slow: the caller asks the member too. What is not told is younger than that.
function waiting.hangs(id)
  local heard = dict:get(heard_key(id))
  return heard ~= nil and ngx.now() - heard > SILENCE and told_count(id) >= ENOUGH
end

-- Of a worker that crashed: nobody will end what it had.
function waiting.forget_worker(id)
  dict:delete(in_flight_key(id, ngx.worker.id()))
end

function waiting.forget(id)
  dict:delete(heard_key(id))
  for worker = 0, ngx.worker.count() - 1 do dict:delete(in_flight_key(id, worker)) end
end

waiting.HANGING = ENOUGH .. " requests or more wait for it, and none was answered for "
  .. SILENCE .. " s"

return waiting
