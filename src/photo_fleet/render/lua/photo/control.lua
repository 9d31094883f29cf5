-- The control API on its Unix socket, and what the edge tells of its own health.
local ffi = require "ffi"
local member_list = require "photo.member_list"
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
  ngx.print(body, "\n")
end

local function refuse(status, detail)
  local code = status == 400 and "bad_request" or "conflict"
  return answer(status, string.format('{"code":"%s","detail":"%s"}', code, detail))
end

local function put()
  ngx.req.read_body()
  local set, problem = member_list.parse(ngx.req.get_body_data() or "")
  if not set then return refuse(400, problem) end
  local dict = ngx.shared.photo_members
  if not dict:add("writing", true, 5) then return refuse(409, "another change is being made") end
  local ok, generation, unsaved = pcall(members.replace, set)
  dict:delete("writing")
  if not ok then error(generation, 0) end
  if unsaved then ngx.log(ngx.ERR, "a restart would not have these members: ", unsaved) end
  if not members.confirmed(generation, PROPAGATION) then
    return refuse(503, "a worker has not taken the set yet; send it again")
  end
  ngx.log(ngx.NOTICE, "generation ", generation, ": ", #set.list, " members")
  -- Workers of before a reload look into the same shared dict.
  local told = '{"active_old_workers":0,"generation":%d,"saved":%s}'
  answer(200, string.format(told, generation, tostring(not unsaved)))
end

local function get()
  if not members.ask_workers(PROPAGATION) then
    ngx.log(ngx.WARN, "a worker has not told its numbers; they are those of before")
  end
  local set = members.current()
  local list, leaving = {}, {}
  for i, member in ipairs(set.list) do list[i] = members.described(member) end
  for _, id in ipairs(members.leaving()) do
    local in_flight = members.in_flight(id)
    if in_flight > 0 then
      leaving[#leaving + 1] = string.format('{"id":"%s","in_flight":%d}', id, in_flight)
    end
  end
  answer(200, string.format(
    '{"active_old_workers":0,"generation":%d,"panic":%s,"members":[%s],"leaving":[%s]}',
    set.generation, tostring(set.panic), table.concat(list, ","), table.concat(leaving, ",")
  ))
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
  local status = healthy and "healthy" or "unhealthy"
  answer(healthy and 200 or 503, string.format('{"members":%d,"status":"%s"}', count, status))
end

return control
