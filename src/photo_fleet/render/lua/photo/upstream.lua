-- Chooses the member for each attempt of a request and counts how the attempt ended.
local balancer = require "ngx.balancer"
local members = require "photo.members"
local quarantine = require "photo.quarantine"
local waiting = require "photo.waiting"

local upstream = {}
local NO_MEMBER = -3 -- nginx's NGX_BUSY, which ends the request with 502
local ATTEMPTS = 2

-- The last attempt's entry in a list such as `0.001, -`. When nginx asks for the next peer there is
-- nothing of that attempt yet but the separator: `0.001, - : `.
local function of_last_attempt(list)
  return (list or ""):match("([^, :]+)[ :]*$")
end

-- Which attempt waits is kept in a variable of nginx: what Lua keeps is lost when an error page
-- takes the request over.
local function wait_for(id, attempt)
  ngx.var.member_waits = attempt
  waiting.began(id)
end

local function no_longer_wait_for(id)
  if ngx.var.member_waits == "" then return end
  ngx.var.member_waits = ""
  waiting.ended(id)
end

local function judge_last_attempt(id)
  members.leave(id)
  no_longer_wait_for(id)
  if of_last_attempt(ngx.var.upstream_connect_time) == "-" then quarantine.count_failure(id) end
end

local function has_begun_to_answer()
  return (tonumber(of_last_attempt(ngx.var.upstream_bytes_received)) or 0) > 0
end

function upstream.choose()
  local attempts, failed = tonumber(ngx.var.member_waits) or 0, nil
  if attempts > 0 then
    failed = ngx.var.member
    ngx.var.member = ""
    judge_last_attempt(failed)
    -- nginx tries again on its own where a kept connection turns out to be closed.
    if attempts == ATTEMPTS or has_begun_to_answer() then return ngx.exit(NO_MEMBER) end
  end
  local member = members.choose(failed)
  if not member then
    ngx.var.no_member = "1"
    return ngx.exit(NO_MEMBER)
  end
  if attempts == 0 then balancer.set_more_tries(ATTEMPTS - 1) end
  assert(balancer.set_current_peer(member.host, member.port))
  members.enter(member)
  wait_for(member.id, attempts + 1)
  ngx.var.member = member.id
end

-- Before the head of any answer is sent, also of one that nginx makes itself, which is an error if
-- the request waits for a member.
function upstream.answer()
  if ngx.var.member_waits == "" then return end
  if ngx.status < 400 or of_last_attempt(ngx.var.upstream_header_time) ~= "-" then
    ngx.var.member_waits = ""
    waiting.answered(ngx.var.member)
  end
end

-- For every request, whether or not it went to a member.
function upstream.finish()
  local id = ngx.var.member
  if id == "" then return end
  local status = ngx.status
  if status >= 500 then members.count_error(id) end
  if status >= 400 and status ~= 499 then
    judge_last_attempt(id)
  else -- an answer, or the client gave up, maybe before we were connected
    members.leave(id)
    no_longer_wait_for(id)
  end
end

return upstream
