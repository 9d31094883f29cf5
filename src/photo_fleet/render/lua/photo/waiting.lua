-- Requests that were sent to a member and have no answer yet, so that one that may hang is noticed:
-- it takes connections and answers nobody, which no failed connection tells.
local keys = require "photo.keys"

local waiting = {}

local dict = ngx.shared.photo_members
local ENOUGH, SILENCE = 3, 5 -- requests, seconds
local NEARLY_NOW = 0.1 -- seconds for which a worker does not say again that it heard of a member

local function count(id)
  local sum = 0
  for worker = 0, ngx.worker.count() - 1 do
    sum = sum + (dict:get(keys.waiting(id, worker)) or 0)
  end
  return sum
end

-- A request was sent to it. Silence counts from the first that waits.
function waiting.began(id)
  local own = dict:incr(keys.of(id).waiting, 1, 0)
  if own <= 1 and count(id) <= 1 then waiting.heard(id) end
end

-- It gave a sign of life: its silence counts anew.
function waiting.heard(id)
  local of, now = keys.of(id), ngx.now()
  local since = now - (of.heard_at or 0)
  if since >= 0 and since < NEARLY_NOW then return end -- below 0: the clock was put back
  dict:set(of.heard, now)
  of.heard_at = now
end

-- The head of an answer came: it is at work, however long the rest takes.
function waiting.answered(id)
  waiting.heard(id)
  dict:incr(keys.of(id).waiting, -1)
end

-- A request is over, and had no answer of it.
function waiting.ended(id)
  dict:incr(keys.of(id).waiting, -1)
end

-- Whether several wait for it and nothing was heard of it for a while. It may be at work on long
-- ones: the caller asks the member too.
function waiting.hangs(id)
  local heard = dict:get(keys.of(id).heard)
  return heard ~= nil and ngx.now() - heard > SILENCE and count(id) >= ENOUGH
end

-- Of a worker that crashed: nobody will end what it had.
function waiting.forget_worker(id)
  dict:delete(keys.of(id).waiting)
end

function waiting.forget(id)
  dict:delete(keys.of(id).heard)
  for worker = 0, ngx.worker.count() - 1 do dict:delete(keys.waiting(id, worker)) end
end

waiting.HANGING = ENOUGH .. " requests or more wait for it, and none was answered for "
  .. SILENCE .. " s"

return waiting
