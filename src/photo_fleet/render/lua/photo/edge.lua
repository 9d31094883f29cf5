-- What the edge tells of each answer, and whether there is room to keep one.
local edge = {}
local dict = ngx.shared.photo_edge_room

local EVERY = 1 -- seconds
local ROOM = "no_room"

local function look(premature, file, bytes)
  if premature or ngx.worker.exiting() then return end
  -- nginx cuts an answer that it cannot write to the cache, so it must not begin to.
  local opened = io.open(file, "wb")
  local written = opened and opened:write(string.rep("\0", bytes))
  local closed = opened and opened:close()
  os.remove(file)
  dict:set(ROOM, not (written and closed))
end

-- From one worker, for all: whether a file of so many bytes can be written.
function edge.watch_room(file, bytes)
  if ngx.worker.id() ~= 0 then return end
  assert(ngx.timer.every(EVERY, look, file, bytes))
end

-- Before the head of an answer is sent.
function edge.answer()
  if dict:get(ROOM) then ngx.var.edge_no_room = "1" end
  local left = (tonumber(ngx.var.arg_expires) or 0) - ngx.time()
  if left > 0 then ngx.var.edge_caching = "private, max-age=" .. left end
end

return edge
