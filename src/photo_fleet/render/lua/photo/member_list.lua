-- What may be a list of members: from the control API, or from the file of before a restart.
local json = require "photo.json"

local MOST = 1000

local function is_address(text)
  local host, port = text:match("^(.*):(%d+)$")
  if not host or tonumber(port) < 1 or tonumber(port) > 65535 then return false end
  if host:match("^%[[%x:.]+%]$") then return true end
  local octets = { host:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for _, octet in ipairs(octets) do
    if tonumber(octet) > 255 then return false end
  end
  return #octets == 4
end

local function is_name(value)
  return type(value) == "string" and value:match("^[%w._:%-]+$") ~= nil and #value <= 128
end

-- The list with nothing else in it, or nil and what is wrong.
return function(wanted)
  if type(wanted) ~= "table" or not json.is_array(wanted.members) then
    return nil, 'members must be a list: {"members": [{"id", "address", "instance"}]}'
  end
  if #wanted.members > MOST then return nil, "more than " .. MOST .. " members" end
  local list, seen = json.array(), {}
  for i, given in ipairs(wanted.members) do
    local member = type(given) == "table" and given or {}
    local id, address, instance = member.id, member.address, member.instance
    if not (is_name(id) and is_name(instance)) then
      return nil, "member " .. i .. " needs an id and an instance of letters, digits, . _ : and -"
    end
    if type(address) ~= "string" or not is_address(address) then
      return nil, "member " .. i .. " needs an address such as 10.0.0.1:8000 or [2001:db8::1]:8000"
    end
    if seen[id] or seen[address] then return nil, "member " .. i .. " is there twice" end
    seen[id], seen[address] = true, true
    list[i] = { id = id, address = address, instance = instance }
  end
  return list
end
