-- The control API on its Unix socket, and what the edge tells of its own health.
local ffi = require "ffi"
local json = require "photo.json"
local checked = require "photo.member_list"
local members = require "photo.members"

local control = {}
local PROPAGATION = 1.5 -- seconds that the workers have to take a set

ffi.cdef "int chmod(const char *path, unsigned int mode);"

-- nginx makes sockets that everybody may use.
function control.close_to_others(socket)
  if ffi.C.chmod(socket, 432) ~= 0 then -- 0660
    ngx.log(ngx.ERR, "cannot restrict ", socket, ": keep its folder closed to others")
  end
end

local function answer(status, body)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.print(json.encode(body), "\n")
end

local function refuse(status, detail)
  return answer(status, { detail = detail, code = status == 400 and "bad_request" or "conflict" })
end

local function put()
  ngx.req.read_body()
  local wanted, problem = json.decode(ngx.req.get_body_data() or "")
  if problem then return refuse(400, "not JSON: " .. problem) end
  local list
  list, problem = checked(wanted)
  if not list then return refuse(400, problem) end
  local dict = ngx.shared.photo_members
  if not dict:add("writing", true, 5) then return refuse(409, "another change is being made") end
  local ok, generation, unsaved = pcall(members.replace, list, wanted.panic == true)
  dict:delete("writing")
  if not ok then error(generation, 0) end
  if unsaved then ngx.log(ngx.ERR, "a restart would not have these members: ", unsaved) end
  if not members.confirmed(generation, PROPAGATION) then
    return refuse(503, "a worker has not taken the set yet; send it again")
  end
  ngx.log(ngx.NOTICE, "generation ", generation, ": ", #list, " members")
  -- Workers of before a reload look into the same shared dict.
  answer(200, { generation = generation, active_old_workers = 0, saved = not unsaved })
end

local function get()
  local set = members.current()
  local list, leaving = json.array(), json.array()
  for i, member in ipairs(set.list) do list[i] = members.described(member) end
  for _, id in ipairs(members.leaving()) do
    local in_flight = members.in_flight(id)
    if in_flight > 0 then leaving[#leaving + 1] = { id = id, in_flight = in_flight } end
  end
  answer(200, {
    generation = set.generation,
    panic = set.panic,
    members = list,
    leaving = leaving,
    active_old_workers = 0,
  })
end

function control.members()
  local method = ngx.req.get_method()
  if method == "PUT" then return put() end
  if method == "GET" then return get() end
  ngx.header["Allow"] = "GET, PUT"
  refuse(405, "GET or PUT")
end

function control.edge_health()
  local count = #members.current().list
  local healthy = count > 0
  answer(healthy and 200 or 503, { status = healthy and "healthy" or "unhealthy", members = count })
end

return control
