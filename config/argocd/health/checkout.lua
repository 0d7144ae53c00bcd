-- The health of a Checkout, for Argo CD. One that waits for a reviewer is Suspended: nothing goes on by itself.
-- condition finds one of the object's conditions; nil where it is not there.
local function condition(kind)
  for _, one in ipairs(obj.status and obj.status.conditions or {}) do
    if one.type == kind then return one end
  end
end

local function health(status, message)
  return { status = status, message = message }
end

-- told is a condition as one line: its reason, and what it says.
local function told(one)
  return one.reason .. ": " .. (one.message or "")
end

local ready, accepted, stalled = condition("Ready"), condition("Accepted"), condition("Stalled")
if stalled ~= nil and stalled.status == "True" then
  return health("Degraded", told(stalled))
end
if ready == nil or accepted == nil then
  return health("Progressing", "it has no verdict: that comes when its mission is over")
end
if ready.status ~= "True" then
  return health("Progressing", told(ready))
end
if accepted.status == "True" then
  return health("Healthy", told(accepted))
end
if accepted.status == "False" then
  return health("Degraded", told(accepted))
end
return health("Suspended", told(accepted))
