-- Posts bodies from a file, each with an external id of its own (id: the thread, set from outside). Arguments: file, round.
local bodies, counter, round = {}, 0, "r"
local threads = 0

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
  round = args[2]
  math.randomseed(id * 7919 + #round)
  counter = math.random(1, #bodies)
end

function request()
  counter = counter + 1
  local body = bodies[counter % #bodies + 1]:gsub("@ID@", round .. "-" .. id .. "-" .. counter, 1)
  return wrk.format("POST", nil, nil, body)
end

function done(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %d %f %f %f %d\n", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, bad))
end
