-- The members: one set for all workers in a shared dict, which outlives reloads; and what nginx
-- itself learns of each: requests in flight, errors, failed connections.
local member_list = require "photo.member_list"
local quarantine = require "photo.quarantine"
local waiting = require "photo.waiting"
local whole_file = require "photo.whole_file"

local members = {}
local dict = ngx.shared.photo_members

local options = { file = "", file_before = "", algorithm = "round-robin" }
local current = { generation = 0, panic = false, list = {} }
local slot = ngx.worker.id
local exiting = ngx.worker.exiting
local LOOKS = 0.05 -- seconds between two of a worker's looks at what others have put into the dict

-- The members that may be chosen: `list`, of this `set`, after so many `changes`; how `busy` others
-- are with each, where that decides. None since a look, which has others made.
local chosen_from
local turn = 0 -- of this worker

local function understood(set)
  for _, member in ipairs(set.list) do
    member.host, member.port = member.address:match("^(.*):(%d+)$")
    member.port = tonumber(member.port)
  end
  return set
end

-- What holds now, for every worker alike: `generation`, `panic`, `list`.
function members.current()
  if (dict:get("set:generation") or 0) ~= current.generation then
    current = understood(assert(member_list.parse(dict:get("set:text"))))
  end
  return current
end

function members.count() return #members.current().list end

members.in_flight = waiting.count

local function start_counting(id)
  for _, counter in ipairs { "requests:", "errors:", "failures:" } do
    dict:add(counter .. id, 0)
  end
end

local function stop_counting(id)
  for _, counter in ipairs { "requests:", "errors:", "failures:" } do
    dict:delete(counter .. id)
  end
  quarantine.forget(id)
end

-- Ids of removed members whose requests are not over yet.
function members.leaving()
  local ids = {}
  for id in (dict:get("set:leaving") or ""):gmatch("%S+") do ids[#ids + 1] = id end
  return ids
end

-- Whether every worker has seen this generation, and told what it sent to members by an older one.
local function seen_by_all(generation)
  for worker = 0, ngx.worker.count() - 1 do
    if (dict:get("seen:" .. worker) or -1) < generation then return false end
  end
  return true
end

-- What has just been removed may have requests that a worker has not told yet.
local function note_leaving(list)
  local stays, leaving, all_told = {}, {}, seen_by_all(members.current().generation)
  for _, member in ipairs(list) do stays[member.id] = true end
  for _, id in ipairs(members.leaving()) do
    if not stays[id] and all_told and members.in_flight(id) == 0 then
      waiting.forget(id)
    elseif not stays[id] then
      leaving[#leaving + 1] = id
    end
  end
  for _, member in ipairs(members.current().list) do
    if not stays[member.id] then
      stop_counting(member.id)
      leaving[#leaving + 1] = member.id
    end
  end
  dict:set("set:leaving", table.concat(leaving, " "))
end

-- Not under the names that earlier releases have for it: each finds its own after a reload.
local function hold(set)
  local text = member_list.text(set)
  for _, member in ipairs(set.list) do start_counting(member.id) end
  assert(dict:safe_set("set:text", text))
  dict:set("set:generation", set.generation)
  return text
end

-- Have exactly these. The generation, and what went wrong with keeping them for a restart, if
-- anything did.
function members.replace(set)
  set.generation = (dict:get("set:generation") or 0) + 1
  note_leaving(set.list)
  return set.generation, whole_file.replace(options.file, hold(set))
end

-- At nginx's start and at each reload, before there are workers.
function members.setup(given)
  options = given
  if dict:get("set:generation") then return end
  local path = options.file
  local file = io.open(path)
  if not file then
    path = options.file_before
    file = io.open(path)
  end
  if not file then return end
  local set, problem = member_list.parse(file:read("*a"))
  file:close()
  if set then hold(set) else ngx.log(ngx.ERR, path, " cannot be used: ", problem) end
end

-- A worker in the place of one that crashed: nobody will end that one's requests.
local function take_over()
  local before = dict:get("worker:" .. slot())
  dict:set("worker:" .. slot(), ngx.worker.pid())
  local still_there = before and io.open("/proc/" .. before .. "/stat")
  if still_there then
    still_there:close()
  elseif before then
    for _, member in ipairs(members.current().list) do
      waiting.forget_worker(member.id)
    end
  end
end

local before -- the generation of the last look

-- When this worker says that it has seen a generation, every request for which it chose by an older
-- one has left, and is counted: both happen in one thread, and what then waited for its connection had
-- the time between two looks.
local function look(premature)
  local asked = dict:get("asked") or 0
  waiting.tell()
  if premature then return end
  local generation = members.current().generation
  dict:set("seen:" .. slot(), before or generation)
  dict:set("told:" .. slot(), asked)
  before, chosen_from = generation, nil
end

function members.start_worker()
  take_over()
  look(false)
  assert(ngx.timer.every(LOOKS, look))
end

local function within(seconds, holds, what)
  ngx.update_time()
  local deadline = ngx.now() + seconds
  while not holds(what) do
    if ngx.now() > deadline then return false end
    ngx.sleep(0.01)
  end
  return true
end

-- Whether all workers have seen this generation within so many seconds.
function members.confirmed(generation, seconds)
  return within(seconds, seen_by_all, generation)
end

local function told_by_all(question)
  for worker = 0, ngx.worker.count() - 1 do
    if (dict:get("told:" .. worker) or 0) < question then return false end
  end
  return true
end

-- Have every worker tell what it has counted until now, within so many seconds.
function members.ask_workers(seconds)
  return within(seconds, told_by_all, dict:incr("asked", 1, 0))
end

-- Those that may be chosen: not `failed`, which just did, and neither in quarantine nor suspected
-- of hanging, while others are there.
function members.eligible(failed)
  local well, others = {}, {}
  local list = members.current().list
  for _, member in ipairs(list) do
    if member.id ~= failed then
      others[#others + 1] = member
      if not quarantine.holds(member) then well[#well + 1] = member end
    end
  end
  return #well > 0 and well or #others > 0 and others or list
end

-- The same for a first attempt. Looking at every member for every request would cost most of what
-- is spent on it: what only time or another worker changes is seen at the next look. One that is
-- exiting has none.
local function eligible_now()
  local now = chosen_from
  if not now or now.changes ~= quarantine.changes or now.set ~= current or exiting() then
    now = { list = members.eligible(), set = current, changes = quarantine.changes, busy = {} }
    if options.algorithm == "least-connections" then
      for i, member in ipairs(now.list) do now.busy[i] = waiting.count_elsewhere(member.id) end
    end
    chosen_from = now
  end
  return now.list, now.busy
end

-- One of the eligible, or nil where there is no member.
function members.choose(failed)
  local eligible, busy
  if failed then
    eligible, busy = members.eligible(failed), {}
  else
    eligible, busy = eligible_now()
    turn = turn + 1 -- a second attempt is nobody's: else the member after a broken one would have none
  end
  if #eligible == 0 then return nil end
  local first = turn % #eligible
  if options.algorithm ~= "least-connections" then return eligible[first + 1] end
  local chosen, least
  for i = 0, #eligible - 1 do
    local place = (first + i) % #eligible + 1
    local candidate = eligible[place]
    local has = (busy[place] or waiting.count_elsewhere(candidate.id))
      + waiting.count_here(candidate.id)
    if not least or has < least then chosen, least = candidate, has end
  end
  return chosen
end

function members.count_error(id)
  dict:incr("errors:" .. id, 1)
end

-- What GET /members tells of one member. Nothing in it has to be escaped (see member_list).
function members.described(member)
  local id, counts = member.id, {}
  for _, name in ipairs { "requests", "errors", "failures" } do
    counts[#counts + 1] = string.format('"%s":%d', name, dict:get(name .. ":" .. id) or 0)
  end
  return string.format(
    '{"id":"%s","address":"%s","instance":"%s","in_flight":%d,%s,"quarantined_until":%s}',
    id, member.address, member.instance, members.in_flight(id), table.concat(counts, ","),
    quarantine.ends(id) or "null"
  )
end

return members
