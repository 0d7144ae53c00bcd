-- The health of a Passport, for Argo CD.
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

if obj.status == nil or obj.status.phase == nil then
  return health("Progressing", "the operator has not looked at it yet")
end
local succeeded, stalled, ready = condition("Succeeded"), condition("Stalled"), condition("Ready")
if succeeded ~= nil and succeeded.status == "True" then
  return health("Healthy", told(succeeded))
end
if stalled ~= nil and stalled.status == "True" then
  return health("Degraded", told(stalled))
end
if ready == nil then
  return health("Progressing", "phase " .. obj.status.phase)
end
if obj.status.phase == "Active" or obj.status.phase == "CheckedOut" then
  return health("Healthy", told(ready))
end
return health("Progressing", told(ready))
