-- Sends the requests of a file, one after the other and then from its beginning again, and writes
-- down what became of each.
-- Arguments: the file of requests, the file to write to.
-- A request is a line of five fields between tabs: kind, method, path, content type, body. A body
-- that begins with @ is the name of a file. A line is written for each answer: when it was asked
-- and how long it took (microseconds), the status, the bytes of the body, the kind, and what the
-- server says of its own milliseconds.
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } twinlens_timespec;
  int clock_gettime(int clock, twinlens_timespec *time);
]]
local MONOTONIC = 1
local moment = ffi.new("twinlens_timespec")

local function now_us()
  ffi.C.clock_gettime(MONOTONIC, moment)
  return tonumber(moment.seconds) * 1e6 + tonumber(moment.nanoseconds) / 1e3
end

local requests, next_line, out, asked
local bodies = {}

local function body_of(text)
  if text:sub(1, 1) ~= "@" then
    return text ~= "" and text or nil
  end
  local name = text:sub(2)
  if not bodies[name] then
    local file = assert(io.open(name, "rb"))
    bodies[name] = file:read("*a")
    file:close()
  end
  return bodies[name]
end

function init(arguments)
  requests = assert(io.open(arguments[1], "r"))
  next_line = requests:lines()
  out = assert(io.open(arguments[2], "w"))
  out:setvbuf("full", 65536)
  asked = 0
end

-- The answer brings the id back, and with it the kind and the moment of its request: wrk doesn't
-- say which answer belongs to which.
function request()
  local line = next_line()
  if line == nil then
    requests:seek("set")
    line = next_line()
  end
  local kind, method, path, content_type, body = line:match("^(.-)\t(.-)\t(.-)\t(.-)\t(.*)$")
  asked = asked + 1
  local headers = { ["X-Request-Id"] = string.format("%s.%d.%.0f", kind, asked, now_us()) }
  if content_type ~= "" then
    headers["Content-Type"] = content_type
  end
  return wrk.format(method, path, headers, body_of(body))
end

function response(status, headers, body)
  local id = headers["X-Request-Id"] or headers["x-request-id"] or ""
  local kind, _, sent = id:match("^(%a+)%.(%d+)%.(%d+)$")
  local ended = now_us()
  local took, stages = body:match('"took_ms":([%d.]+),"timings_ms":{([^}]*)}', -600)
  out:write(string.format(
    "%.0f\t%.0f\t%d\t%d\t%s\t%s\n",
    sent or ended, sent and ended - sent or -1, status, #body, kind or "unknown",
    took and string.format('{"took":%s,%s}', took, stages) or ""
  ))
end

function done(summary)
  local errors = summary.errors
  io.write(string.format(
    '\n{"duration_us": %.0f, "requests": %d, "bytes": %.0f, "connect": %d, "read": %d, "write": %d, "timeout": %d}\n',
    summary.duration, summary.requests, summary.bytes,
    errors.connect, errors.read, errors.write, errors.timeout
  ))
end
