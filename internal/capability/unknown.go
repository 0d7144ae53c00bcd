package capability

import (
	"encoding/json"
	"fmt"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// The field names of Agent Passport v0.1, section 3, by the object that they stand in.
var agentFields = map[string][]string{
	"": {
		"schema", "agent", "identity_key_fingerprint", "capabilities", "sandboxed",
		"install_modes_supported", "verified", "generated_at",
	},
	"agent": {"name", "version", "vendor"},
	"capabilities": {
		"can_read", "can_write", "can_access", "can_spend", "can_expose", "will_request_approval_for",
	},
}

// The field names of Capability Passport v0.1, by the object that they stand in.
var packageFields = map[string][]string{
	"": {
		"schema", "package", "package_version", "publisher", "publisher_verified", "risk_level", "reads", "writes",
		"accesses", "spends", "exposes", "approvals_required", "rollback", "scanner", "generated_at", "generated_by",
	},
	"scanner": {"status", "findings"},
}

// maxNamed bounds how many fields or statements one message names.
const maxNamed = 5

// unknownFields finds the fields of a document that its schema does not know.
func unknownFields(schema string, raw []byte, fields map[string][]string) (Finding, bool) {
	var unknown []string
	var root map[string]json.RawMessage
	if json.Unmarshal(raw, &root) != nil {
		return Finding{}, false
	}
	for object, known := range fields {
		members, prefix := root, ""
		if object != "" {
			members, prefix = map[string]json.RawMessage{}, object+"."
			if json.Unmarshal(root[object], &members) != nil {
				continue
			}
		}
		for name := range members {
			if !slices.Contains(known, name) {
				unknown = append(unknown, prefix+name)
			}
		}
	}
	if len(unknown) == 0 {
		return Finding{}, false
	}
	slices.Sort(unknown)
	return Finding{
		Condition: v1alpha1.ConditionUnknownFields,
		Reason:    v1alpha1.ReasonFieldsNotInSchema,
		Message:   fmt.Sprintf("%s does not know %s; kept as they are, and given no meaning", schema, some(unknown)),
	}, true
}
