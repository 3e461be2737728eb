-- wrk's part of the load test: uploads files in turn, counts answers by status, and prints one line of JSON.
-- Arguments: seconds between a connection's requests, "patient" or "impatient" towards Retry-After, then the files.

local BOUNDARY = "----genre-load-test"
local threads, requests, turn, owed = {}, {}, 0, {}
local pace, patient = 0, false

function setup(thread)
  table.insert(threads, thread)
end

local function upload(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  local head = 'Content-Disposition: form-data; name="file"; filename="song"\r\nContent-Type: application/octet-stream'
  local body = "--" .. BOUNDARY .. "\r\n" .. head .. "\r\n\r\n" .. content .. "\r\n--" .. BOUNDARY .. "--\r\n"
  return wrk.format("POST", "/api/predict", { ["Content-Type"] = "multipart/form-data; boundary=" .. BOUNDARY }, body)
end

function init(arguments)
  pace, patient = tonumber(arguments[1]) * 1000, arguments[2] == "patient"
  for i = 3, #arguments do
    table.insert(requests, upload(arguments[i]))
  end
  counts = ""
  tally = {}
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

-- wrk asks before every request and does not say on which connection: the answers that owe a wait are paid in turn.
function delay()
  if #owed > 0 then
    return table.remove(owed, 1)
  end
  return pace
end

function response(status, headers)
  tally[status] = (tally[status] or 0) + 1
  local wait = headers["retry-after"] or headers["Retry-After"]
  if patient and wait then
    table.insert(owed, tonumber(wait) * 1000)
  end
  local parts = {}
  for code, n in pairs(tally) do
    table.insert(parts, string.format('"%d": %d', code, n))
  end
  counts = table.concat(parts, ", ") -- between threads only plain values travel
end

function done(summary, latency)
  assert(#threads == 1, "run wrk with one thread")
  local errors = summary.errors
  print(string.format(
    '{"seconds": %.3f, "p50": %.6f, "p99": %.6f, "broken": %d, "timed_out": %d, "statuses": {%s}}',
    summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write, errors.timeout, threads[1]:get("counts")
  ))
end
