-- Chooses the member for each attempt of a request and counts how the attempt ended.
local balancer = require "ngx.balancer"
local members = require "photo.members"
local quarantine = require "photo.quarantine"
local waiting = require "photo.waiting"

local upstream = {}
local NO_MEMBER = -3 -- nginx's NGX_BUSY, which ends the request with 502
local ATTEMPTS = 2
local MOST_ASKED = 8 -- members, for a file of the gallery

-- The last attempt's entry in a list such as `0.001, -`. When nginx asks for the next peer there is
-- nothing of that attempt yet but the separator: `0.001, - : `.
local function of_last_attempt(list)
  return (list or ""):match("([^, :]+)[ :]*$")
end

local function note_failure(id)
  if of_last_attempt(ngx.var.upstream_connect_time) == "-" then quarantine.count_failure(id) end
end

-- A file of the gallery that this member's release does not have. Another one's may.
local function may_be_elsewhere()
  return ngx.var.is_of_a_release == "1" and of_last_attempt(ngx.var.upstream_status) == "404"
end

-- One that was not asked for it yet. Who has been is kept for this one request.
local function another(failed)
  local asked = ngx.ctx.asked or {}
  ngx.ctx.asked = asked
  asked[failed] = true
  for _, member in ipairs(members.eligible(failed)) do
    if not asked[member.id] then return member end
  end
  return members.choose(failed)
end

-- For such a file there are as many attempts as members, but for a bound. One was made, and another
-- is this.
local function allow_more_attempts()
  local made = (ngx.ctx.made or 1) + 1
  ngx.ctx.made = made
  if made < math.min(members.count(), MOST_ASKED) then balancer.set_more_tries(1) end
end

local function has_begun_to_answer()
  return (tonumber(of_last_attempt(ngx.var.upstream_bytes_received)) or 0) > 0
end

-- Who has the request, and that this is its second attempt, is kept in variables of nginx: what Lua
-- keeps is lost when an error page takes the request over.
function upstream.choose()
  local failed, elsewhere
  if ngx.var.member ~= "" then
    failed = ngx.var.member
    ngx.var.member = ""
    waiting.ended(failed)
    elsewhere = may_be_elsewhere()
  end
  if elsewhere then
    waiting.heard(failed)
  elseif failed then
    note_failure(failed)
    -- nginx tries again on its own where a kept connection turns out to be closed.
    if ngx.var.member_again ~= "" or has_begun_to_answer() then return ngx.exit(NO_MEMBER) end
    ngx.var.member_again = "1"
  end
  local member = elsewhere and another(failed) or members.choose(failed)
  if not member then
    ngx.var.no_member = "1"
    return ngx.exit(NO_MEMBER)
  end
  if not failed then
    balancer.set_more_tries(ATTEMPTS - 1)
  elseif ngx.var.is_of_a_release == "1" then
    allow_more_attempts()
  end
  assert(balancer.set_current_peer(member.host, member.port))
  waiting.began(member.id)
  ngx.var.member = member.id
end

-- For every request, whether or not it went to a member. The answer may be one that nginx made.
function upstream.finish()
  local id = ngx.var.member
  if id == "" then return end
  local status = ngx.status
  waiting.ended(id)
  if status >= 500 then members.count_error(id) end
  if status < 400 or of_last_attempt(ngx.var.upstream_header_time) ~= "-" then
    waiting.heard(id)
  elseif status ~= 499 then -- else the client gave up, maybe before we were connected
    note_failure(id)
  end
end

return upstream
