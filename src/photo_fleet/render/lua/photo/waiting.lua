-- The requests that a member has, and when it was heard of last, so that one that may hang is noticed:
-- it takes connections and answers nobody, which no failed connection tells.
local keys = require "photo.keys"

local waiting = {}

local dict = ngx.shared.photo_members
local ENOUGH, SILENCE = 3, 5 -- requests, seconds
local NEARLY_NOW = 0.1 -- seconds for which a worker does not say again that it heard of a member

-- Requests that were sent to it and are not over.
function waiting.count(id)
  local sum = 0
  for worker = 0, ngx.worker.count() - 1 do
    sum = sum + (dict:get(keys.in_flight(id, worker)) or 0)
  end
  return math.max(sum, 0)
end

-- A request was sent to it. Silence counts from the first that it has.
function waiting.began(id)
  local own = dict:incr(keys.of(id).in_flight, 1, 0)
  if own <= 1 and waiting.count(id) <= 1 then waiting.heard(id) end
end

-- It gave a sign of life: its silence counts anew.
function waiting.heard(id)
  local of, now = keys.of(id), ngx.now()
  local since = now - (of.heard_at or 0)
  if since >= 0 and since < NEARLY_NOW then return end -- below 0: the clock was put back
  dict:set(of.heard, now)
  of.heard_at = now
end

-- A request is over, or is sent to another.
function waiting.ended(id)
  dict:incr(keys.of(id).in_flight, -1)
end

-- Whether it has several and nothing was heard of it for a while. It may be at work on long ones, or
-- their clients may be slow: the caller asks the member too.
function waiting.hangs(id)
  local heard = dict:get(keys.of(id).heard)
  return heard ~= nil and ngx.now() - heard > SILENCE and waiting.count(id) >= ENOUGH
end

-- Of a worker that crashed: nobody will end what it had.
function waiting.forget_worker(id)
  dict:delete(keys.of(id).in_flight)
end

function waiting.forget(id)
  dict:delete(keys.of(id).heard)
  for worker = 0, ngx.worker.count() - 1 do dict:delete(keys.in_flight(id, worker)) end
end

waiting.HANGING = ENOUGH .. " requests or more wait for it, and none was answered for "
  .. SILENCE .. " s"

return waiting
