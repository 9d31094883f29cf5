-- The names of a member's numbers in the shared dict. They are asked for with every request, so each
-- worker makes them once. A worker has numbers of its own of what only it can end.
local keys = {}
local MOST = 4000 -- members whose names are kept: some that are there, some that have left
local known, count = {}, 0

keys.CHANGES = "changes" -- grows whenever there are other members to choose from, but for time

function keys.slot()
  return ngx.worker.id() or 0
end

function keys.in_flight(id, worker)
  return "in_flight:" .. id .. ":" .. worker
end

-- This worker's, and those that all workers share.
function keys.of(id)
  local found = known[id]
  if found then return found end
  if count == MOST then known, count = {}, 0 end
  found = {
    in_flight = keys.in_flight(id, keys.slot()),
    requests = "requests:" .. id,
    heard = "heard:" .. id,
  }
  known[id], count = found, count + 1
  return found
end

-- Of the master, which a worker begins with.
function keys.forget()
  known, count = {}, 0
end

return keys
