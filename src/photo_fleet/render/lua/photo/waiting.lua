-- Requests that were sent to a member and have no answer yet, so that one that may hang is noticed:
-- it takes connections and answers nobody, which no failed connection tells.
local waiting = {}

local dict = ngx.shared.photo_members
local ENOUGH, SILENCE = 3, 5 -- requests, seconds

local function slot()
  return ngx.worker.id() or 0
end

local function waiting_key(id, worker)
  return "waiting:" .. id .. ":" .. worker
end

local function heard_key(id)
  return "heard:" .. id
end

local function count(id)
  local sum = 0
  for worker = 0, ngx.worker.count() - 1 do
    sum = sum + (dict:get(waiting_key(id, worker)) or 0)
  end
  return sum
end

-- A request was sent to it. Silence counts from the first that waits.
function waiting.began(id)
  if count(id) <= 0 then dict:set(heard_key(id), ngx.now()) end
  dict:incr(waiting_key(id, slot()), 1, 0)
end

-- It gave a sign of life: its silence counts anew.
function waiting.heard(id)
  dict:set(heard_key(id), ngx.now())
end

-- The head of an answer came: it is at work, however long the rest takes.
function waiting.answered(id)
  waiting.heard(id)
  dict:incr(waiting_key(id, slot()), -1)
end

-- A request is over, and had no answer of it.
function waiting.ended(id)
  dict:incr(waiting_key(id, slot()), -1)
end

-- Whether several wait for it and nothing was heard of it for a while. It may be at work on long
-- ones: the caller asks the member too.
function waiting.hangs(id)
  local heard = dict:get(heard_key(id))
  return heard ~= nil and ngx.now() - heard > SILENCE and count(id) >= ENOUGH
end

-- Of a worker that crashed: nobody will end what it had.
function waiting.forget_worker(id)
  dict:delete(waiting_key(id, slot()))
end

function waiting.forget(id)
  dict:delete(heard_key(id))
  for worker = 0, ngx.worker.count() - 1 do dict:delete(waiting_key(id, worker)) end
end

waiting.HANGING = ENOUGH .. " requests or more wait for it, and none was answered for "
  .. SILENCE .. " s"

return waiting
