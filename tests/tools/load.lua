-- Events for wrk, each with a unique id. The environment sets the API key and the event type.

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  sent = 0
  run = os.getenv("LOAD_RUN")
  event = os.getenv("LOAD_EVENT")
  headers = {
    ["Authorization"] = "Bearer " .. os.getenv("LOAD_KEY"),
    ["Content-Type"] = "application/json",
  }
end

function request()
  sent = sent + 1
  local id = run .. "-" .. number .. "-" .. sent
  local body = '{"id":"' .. id .. '","eventTypeKey":"' .. event .. '","keyValue":"' .. id ..
    '@example.com","params":[{"name":"EmailAddress","value":"' .. id .. '@example.com"}]}'
  return wrk.format("POST", "/api/v1/event", headers, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"rejected":%d,"unanswered":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
