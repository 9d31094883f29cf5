-- What the edge tells of each answer, and whether there is room to keep one.
local edge = {}
local dict = ngx.shared.photo_edge_room

local EVERY = 1 -- seconds
local ROOM = "no_room"
local CHUNK = string.rep("\0", 65536)

local function look(premature, file, bytes)
  if premature or ngx.worker.exiting() then return end
  -- nginx cuts an answer that it cannot write to the cache, so it must not begin to.
  local opened = io.open(file, "wb")
  local written = opened
  for _ = 1, math.ceil(bytes / #CHUNK) do written = written and opened:write(CHUNK) end
  local closed = opened and opened:close()
  os.remove(file)
  dict:set(ROOM, not (written and closed))
end

-- From one worker, for all: whether a file of so many bytes can be written.
function edge.watch_room(file, bytes)
  if ngx.worker.id() ~= 0 then return end
  assert(ngx.timer.every(EVERY, look, file, bytes))
end

local TOLD = {
  ["accept-ranges"] = true,
  ["connection"] = true,
  ["content-length"] = true,
  ["content-range"] = true,
  ["content-type"] = true,
  ["last-modified"] = true,
}

-- Of the store's headers clients get these alone, whatever else stores may have.
local function keep_only_told()
  for name in pairs(ngx.resp.get_headers(0)) do
    if not TOLD[name:lower()] then ngx.header[name] = nil end
  end
end

-- Before the head of an answer is sent; nginx adds ours afterwards.
function edge.answer()
  keep_only_told()
  -- Each request to the store is for a part: any other success is somebody's page in its place.
  local stores = (ngx.var.upstream_status or ""):match("2%d%d$")
  if stores and stores ~= "206" then
    ngx.status = 503
    ngx.header["Cache-Control"], ngx.header["Retry-After"] = "no-store", 2
    return
  end
  -- nginx answers nothing else on this connection until it has looked again for what is old.
  if ngx.var.upstream_cache_status == "STALE" and ngx.req.http_version() < 2 then
    ngx.header["Connection"] = "close"
  end
  if dict:get(ROOM) then ngx.var.edge_no_room = "1" end
  local left = (tonumber(ngx.var.arg_expires) or 0) - ngx.time()
  if left > 0 then ngx.var.edge_caching = "private, max-age=" .. left end
end

return edge
