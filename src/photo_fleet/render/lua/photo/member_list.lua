-- A set of members as text, a line for each: from the control API, or from the file of before a
-- restart. The last line counts them, so that what was cut short is none:
--
--   generation 3
--   panic false
--   member 5a1c 10.0.0.1:8000 10.0.0.1
--   end 1
local member_list = {}

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

local function is_name(text)
  return text:match("^[%w._:%-]+$") ~= nil and #text <= 128
end

-- What is wrong with it, or nil.
local function add(list, seen, words)
  local which = "member " .. #list + 1
  local id, address, instance = words:match("^(%S+) (%S+) (%S+)$")
  if not id or not (is_name(id) and is_name(instance)) then
    return which .. " needs an id and an instance of letters, digits, . _ : and -"
  end
  if not is_address(address) then
    return which .. " needs an address such as 10.0.0.1:8000 or [2001:db8::1]:8000"
  end
  if seen[id] or seen[address] then return which .. " is there twice" end
  if #list == MOST then return "more than " .. MOST .. " members" end
  seen[id], seen[address] = true, true
  list[#list + 1] = { id = id, address = address, instance = instance }
end

-- What earlier releases kept, and what their `photo-fleet balance` sends during an upgrade:
-- JSON whose strings hold nothing to be escaped.
local function of_before(text)
  local items = text:match("^%s*%b{}%s*$") and text:match('"members":%s*(%b[])')
  if not items or items:gsub("%b{}", ""):find("[^%s,%[%]]") then return text end
  local lines = {
    "generation " .. (text:match('"generation":%s*(%d+)') or 1),
    "panic " .. tostring(text:match('"panic":%s*true') ~= nil),
  }
  for item in items:gmatch("%b{}") do
    local words = { "member" }
    for _, key in ipairs { "id", "address", "instance" } do
      words[#words + 1] = item:match('"' .. key .. '":%s*"([^"]*)"')
    end
    lines[#lines + 1] = table.concat(words, " ")
  end
  lines[#lines + 1] = "end " .. #lines - 2
  return table.concat(lines, "\n")
end

-- The set: `generation`, `panic` and `list`; or nil and what is wrong.
function member_list.parse(text)
  local set, seen, number, ended = { generation = 1, panic = false, list = {} }, {}, 0, false
  for line in of_before(text):gmatch("[^\n]+") do
    number = number + 1
    local word, rest = line:match("^(%l+) (.*)$")
    local problem
    if ended then
      problem = "something follows the end"
    elseif word == "member" then
      problem = add(set.list, seen, rest)
    elseif word == "panic" and (rest == "true" or rest == "false") then
      set.panic = rest == "true"
    elseif word == "generation" and tonumber(rest) then
      set.generation = tonumber(rest)
    elseif word == "end" then
      ended = tonumber(rest) == #set.list
      problem = not ended and "the end tells another number of members" or nil
    else
      problem = "line " .. number .. " is neither generation, panic, member nor end"
    end
    if problem then return nil, problem end
  end
  if not ended then return nil, "the end is missing" end
  return set
end

function member_list.text(set)
  local lines = { "generation " .. set.generation, "panic " .. tostring(set.panic) }
  for _, member in ipairs(set.list) do
    lines[#lines + 1] = table.concat({ "member", member.id, member.address, member.instance }, " ")
  end
  lines[#lines + 1] = "end " .. #set.list
  return table.concat(lines, "\n") .. "\n"
end

return member_list
