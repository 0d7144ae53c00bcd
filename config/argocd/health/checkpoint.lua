-- The health of a Checkpoint, for Argo CD.
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

local ready, stalled = condition("Ready"), condition("Stalled")
if stalled ~= nil and stalled.status == "True" then
  return health("Degraded", told(stalled))
end
if ready ~= nil and ready.status == "True" then
  return health("Healthy", told(ready))
end
return health("Progressing", "it waits for the operator, or for its Passport to be issued")
