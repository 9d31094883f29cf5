-- A file that is replaced as a whole or not at all, whatever the disk does.
local ffi = require "ffi"

ffi.cdef [[
  int fileno(void *stream);
  int fsync(int descriptor);
]]

local whole_file = {}

-- What is written to a full disk may fail as late as at its end.
local function written(path, text)
  local file, problem = io.open(path, "w")
  if not file then return nil, problem end
  local ok
  ok, problem = file:write(text)
  if ok then ok, problem = file:flush() end
  if ok and ffi.C.fsync(ffi.C.fileno(file)) ~= 0 then
    ok, problem = nil, path .. ": not synced, error " .. ffi.errno()
  end
  local closed, unclosed = file:close()
  if not ok then return nil, problem end
  return closed, unclosed
end

-- nil, or what went wrong; the file is as it was then.
function whole_file.replace(path, text)
  local beside = path .. ".new"
  local ok, problem = written(beside, text)
  if ok then ok, problem = os.rename(beside, path) end
  if ok then return nil end
  os.remove(beside)
  return problem
end

return whole_file
