-- SPDX-License-Identifier: BSD-2-Clause
-- What wrk sends, and what it found, as one line. Arguments: METHOD PATH BODY_BYTES KEYS_FILE; the requests take turns
-- with the keys of the file, one a line.
local requests, at = {}, 0

function init(args)
    local body = tonumber(args[3]) > 0 and string.rep("x", tonumber(args[3])) or nil

    for key in io.lines(args[4]) do
        requests[#requests + 1] = wrk.format(args[1], args[2], { apikey = key }, body)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency, _)
    local errors = summary.errors

    io.write(string.format("DONE %d %d %d %d %d %d\n", summary.requests, summary.duration, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
