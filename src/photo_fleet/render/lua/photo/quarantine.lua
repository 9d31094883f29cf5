-- Members that are left out for a while: connections to them failed, or they seem to hang. A question
-- of nginx's own decides whether a silent one hangs, and whether one that was left out is well again,
-- so that no client's request is risked for it.
local waiting = require "photo.waiting"

local quarantine = { changes = 0 } -- that this worker knows of, in who is left out
local dict = ngx.shared.photo_members

local FAILURES, WINDOW, LENGTH = 3, 10, 10 -- failed connections, seconds, seconds
local CONNECT, ANSWER = 1, 2 -- seconds that a member has for nginx's question
local PATH = "/health/live"
local UNANSWERED = "it does not answer " .. PATH .. " within " .. ANSWER .. " s"

local function key(id)
  return "quarantine:" .. id
end

local function asked_key(id)
  return "asked:" .. id
end

local function report(_, id, cause)
  ngx.log(ngx.EMERG, "member ", id, " is left out for ", LENGTH, " s: ", cause)
end

local function begin(id, cause)
  if not dict:get("failures:" .. id) then return end -- it was removed meanwhile
  dict:set(key(id), ngx.now() + LENGTH)
  quarantine.changes = quarantine.changes + 1
  -- From a timer, because a request's log lines show its URL.
  ngx.timer.at(0, report, id, cause)
end

-- Any answer will do: a refusal is no silence, and probes decide whether the member is well.
local function answers(member)
  local socket = ngx.socket.tcp()
  socket:settimeouts(CONNECT * 1000, CONNECT * 1000, ANSWER * 1000)
  local line = socket:connect(member.host, member.port)
    and socket:send("GET " .. PATH .. " HTTP/1.0\r\nHost: " .. member.address .. "\r\n\r\n")
    and socket:receive()
  socket:close()
  return line and line:find("^HTTP/1") ~= nil
end

local function ask(premature, member, cause)
  if premature then return end
  local id = member.id
  if answers(member) then
    waiting.heard(id)
    dict:delete(key(id))
    quarantine.changes = quarantine.changes + 1
  else
    begin(id, cause)
  end
  dict:delete(asked_key(id))
end

-- One question at a time, for all workers together; a worker that dies asking holds nobody up.
local function try(member, cause)
  if dict:add(asked_key(member.id), true, CONNECT + ANSWER + 1) then
    ngx.timer.at(0, ask, member, cause)
  end
end

-- Whether this member is left out, and the question to it when it is time. While it is asked it is
-- left out as well.
function quarantine.holds(member)
  local ends = dict:get(key(member.id))
  if ends then
    if ngx.now() >= ends then try(member, UNANSWERED) end
    return true
  end
  if not waiting.hangs(member.id) then return false end
  try(member, waiting.HANGING .. "; " .. UNANSWERED)
  return true
end

-- Three marks, used in turn, each of which lasts for the window: where all three are there, three
-- failures lie within it.
function quarantine.count_failure(id)
  local number = dict:incr("failures:" .. id, 1)
  if not number then return end -- it was removed meanwhile
  dict:set("failure:" .. number % FAILURES .. ":" .. id, true, WINDOW)
  for mark = 0, FAILURES - 1 do
    if not dict:get("failure:" .. mark .. ":" .. id) then return end
  end
  if not dict:get(key(id)) then
    begin(id, FAILURES .. " connections to it failed within " .. WINDOW .. " s")
  end
end

-- When it may be asked again, or nil.
function quarantine.ends(id)
  return dict:get(key(id))
end

function quarantine.forget(id)
  dict:delete(key(id))
  dict:delete(asked_key(id))
end

return quarantine
