-- The health of a CapabilityPassport, for Argo CD. That nobody signed a document is no fault of what is in Git.
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

local ready = condition("Ready")
if ready == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "the operator has not read it yet")
end
if ready.status == "True" then
  return health("Healthy", told(ready))
end
return health("Progressing", told(ready))
