-- JSON as RFC 8259 has it, for the little that the control API says. Arrays are told from objects
-- by their metatable; null is json.null.
local json = { null = setmetatable({}, { __tostring = function() return "null" end }) }
local Array = {}
local DEEPEST = 16

function json.array(items)
  return setmetatable(items or {}, Array)
end

function json.is_array(value)
  return getmetatable(value) == Array
end

local escapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
                  ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function fail(at, problem)
  error({ problem = problem .. " at byte " .. at }, 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function utf8(point)
  if point < 0x80 then return string.char(point) end
  if point < 0x800 then
    return string.char(0xC0 + math.floor(point / 64), 0x80 + point % 64)
  end
  return string.char(0xE0 + math.floor(point / 4096), 0x80 + math.floor(point / 64) % 64,
                     0x80 + point % 64)
end

local function read_string(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = text:find('["\\%c]', from)
    if not stop then fail(at, "a string without an end") end
    parts[#parts + 1] = text:sub(from, stop - 1)
    local found = text:sub(stop, stop)
    if found == '"' then return table.concat(parts), stop + 1 end
    if found ~= "\\" then fail(stop, "a control character") end
    local kind = text:sub(stop + 1, stop + 1)
    local hex = kind == "u" and text:match("^%x%x%x%x", stop + 2)
    if not (escapes[kind] or hex) then fail(stop, "an unknown escape") end
    parts[#parts + 1] = hex and utf8(tonumber(hex, 16)) or escapes[kind]
    from = stop + (hex and 6 or 2)
  end
end

local function read_number(text, at)
  local digits = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local number = digits and tonumber(digits)
  if not number then fail(at, "no JSON value") end
  return number, at + #digits
end

local read_value

local function read_list(text, at, closing, depth, read_item)
  at = skip(text, at + 1)
  if text:sub(at, at) == closing then return at + 1 end
  while true do
    at = skip(text, read_item(at))
    local found = text:sub(at, at)
    if found == closing then return at + 1 end
    if found ~= "," then fail(at, "neither , nor " .. closing) end
    at = skip(text, at + 1)
  end
end

local function read_array(text, at, depth)
  local items = json.array()
  return items, read_list(text, at, "]", depth, function(from)
    local item, after = read_value(text, from, depth + 1)
    items[#items + 1] = item
    return after
  end)
end

local function read_object(text, at, depth)
  local object = {}
  return object, read_list(text, at, "}", depth, function(from)
    if text:sub(from, from) ~= '"' then fail(from, "no key") end
    local key, colon = read_string(text, from)
    colon = skip(text, colon)
    if text:sub(colon, colon) ~= ":" then fail(colon, "no colon") end
    local value, after = read_value(text, skip(text, colon + 1), depth + 1)
    object[key] = value
    return after
  end)
end

local words = { ["true"] = true, ["false"] = false, ["null"] = json.null }

function read_value(text, at, depth)
  if depth > DEEPEST then fail(at, "nested too deeply") end
  local first = text:sub(at, at)
  if first == "{" then return read_object(text, at, depth) end
  if first == "[" then return read_array(text, at, depth) end
  if first == '"' then return read_string(text, at) end
  local word = text:match("^%a+", at)
  if word and words[word] ~= nil then return words[word], at + #word end
  return read_number(text, at)
end

-- The value, or nil and what is wrong.
function json.decode(text)
  local ok, value, after = pcall(function()
    local value, after = read_value(text, skip(text, 1), 1)
    return value, skip(text, after)
  end)
  if not ok then return nil, type(value) == "table" and value.problem or tostring(value) end
  if after <= #text then return nil, "something follows the JSON value at byte " .. after end
  return value
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return string.format("\\u%04x", c:byte())
  end) .. '"'
end

-- Keys in alphabetical order, so that equal values are equal texts.
function json.encode(value)
  if type(value) == "string" then return quoted(value) end
  if type(value) == "number" then return string.format("%.14g", value) end
  if type(value) ~= "table" or value == json.null then return tostring(value) end
  local parts, open, close = {}, "{", "}"
  if json.is_array(value) then
    open, close = "[", "]"
    for _, item in ipairs(value) do parts[#parts + 1] = json.encode(item) end
  else
    for key in pairs(value) do parts[#parts + 1] = key end
    table.sort(parts)
    for i, key in ipairs(parts) do parts[i] = quoted(key) .. ":" .. json.encode(value[key]) end
  end
  return open .. table.concat(parts, ",") .. close
end

return json
