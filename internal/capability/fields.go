package capability

import "agentpassport.dev/operator/api/v1alpha1"

// envelopeFields are the fields that stand for what a package does, in the order in which they are reported.
var envelopeFields = []v1alpha1.CapabilityField{
	v1alpha1.FieldReads, v1alpha1.FieldWrites, v1alpha1.FieldAccesses, v1alpha1.FieldSpends, v1alpha1.FieldExposes,
}

// needs gives a package's statements of a field.
func needs(document *v1alpha1.PackageDocument, field v1alpha1.CapabilityField) []v1alpha1.Statement {
	switch field {
	case v1alpha1.FieldReads:
		return document.Reads
	case v1alpha1.FieldWrites:
		return document.Writes
	case v1alpha1.FieldAccesses:
		return document.Accesses
	case v1alpha1.FieldSpends:
		return document.Spends
	case v1alpha1.FieldExposes:
		return document.Exposes
	case v1alpha1.FieldApprovals:
		return document.ApprovalsRequired
	default:
		return nil
	}
}

// offers gives an agent's statements of a field, and the field's name in the agent's document.
func offers(document *v1alpha1.AgentDocument, field v1alpha1.CapabilityField) ([]v1alpha1.Statement, string) {
	capabilities := &document.Capabilities
	switch field {
	case v1alpha1.FieldReads:
		return capabilities.CanRead, "can_read"
	case v1alpha1.FieldWrites:
		return capabilities.CanWrite, "can_write"
	case v1alpha1.FieldAccesses:
		return capabilities.CanAccess, "can_access"
	case v1alpha1.FieldSpends:
		return capabilities.CanSpend, "can_spend"
	case v1alpha1.FieldExposes:
		return capabilities.CanExpose, "can_expose"
	case v1alpha1.FieldApprovals:
		return capabilities.WillRequestApprovalFor, "will_request_approval_for"
	default:
		return nil, ""
	}
}
