package capability

import "agentpassport.dev/operator/api/v1alpha1"

// memberType is what a member of a document holds.
type memberType int

const (
	textMember memberType = iota
	boolMember
	listMember
	objectMember
	anyMember
)

// member is one field of a document's schema, with the limits that the CRDs set too.
type member struct {
	name     string
	holds    memberType
	required bool
	// minimum and maximum: characters of a text, or of each text in a list.
	minimum, maximum int
	// minItems and maxItems of a list.
	minItems, maxItems int
	// oneOf are the texts allowed.
	oneOf []string
	// unique: no text of a list twice.
	unique bool
	// dateTime: a date and time of RFC 3339.
	dateTime bool
	// statements: a list of capabilities, in no order.
	statements bool
	members    []member
}

const (
	maxStatement  = 2048
	maxStatements = 1000
	maxName       = 256
)

// agentSchema is Agent Passport v0.1, section 3, in its order.
var agentSchema = []member{
	{name: "schema", required: true, oneOf: []string{v1alpha1.DocumentSchema}},
	{name: "agent", holds: objectMember, required: true, members: []member{
		{name: "name", required: true, minimum: 1, maximum: maxName},
		{name: "version", required: true, minimum: 1, maximum: maxName},
		{name: "vendor", required: true, minimum: 1, maximum: maxName},
	}},
	{name: "identity_key_fingerprint", required: true, minimum: 1, maximum: 512},
	{name: "capabilities", holds: objectMember, required: true, members: []member{
		statements("can_read", true), statements("can_write", true), statements("can_access", true),
		statements("can_spend", true), statements("can_expose", true), statements("will_request_approval_for", true),
	}},
	{name: "sandboxed", holds: boolMember, required: true},
	{
		name: "install_modes_supported", holds: listMember, required: true, minItems: 1, maxItems: 3, unique: true,
		oneOf: []string{string(v1alpha1.InstallLocalTool), string(v1alpha1.InstallCloudSandbox), string(v1alpha1.InstallRemoteConnector)},
	},
	{name: "verified", holds: boolMember, required: true},
	{name: "generated_at", required: true, maximum: 64, dateTime: true},
}

// packageSchema is Capability Passport v0.1, in its order.
var packageSchema = []member{
	{name: "schema", required: true, oneOf: []string{v1alpha1.PackageDocumentSchema}},
	{name: "package", required: true, minimum: 1, maximum: maxName},
	{name: "package_version", required: true, minimum: 1, maximum: maxName},
	{name: "publisher", required: true, minimum: 1, maximum: maxName},
	{name: "publisher_verified", holds: boolMember, required: true},
	{name: "risk_level", required: true, oneOf: []string{
		string(v1alpha1.RiskLow), string(v1alpha1.RiskMedium), string(v1alpha1.RiskHigh), string(v1alpha1.RiskUnknown),
	}},
	statements("reads", true), statements("writes", true), statements("accesses", true),
	statements("spends", false), statements("exposes", false), statements("approvals_required", false),
	{name: "rollback", maximum: 4096},
	{name: "scanner", holds: objectMember, members: []member{
		{name: "status", maximum: maxName},
		{name: "findings", holds: anyMember},
	}},
	{name: "generated_at", maximum: 64, dateTime: true},
	{name: "generated_by", maximum: maxName},
}

func statements(name string, required bool) member {
	return member{name: name, holds: listMember, required: required, maximum: maxStatement, maxItems: maxStatements, statements: true}
}

// schemaOf gives a schema by its name; none where the name is not known.
func schemaOf(name string) []member {
	switch name {
	case v1alpha1.DocumentSchema:
		return agentSchema
	case v1alpha1.PackageDocumentSchema:
		return packageSchema
	default:
		return nil
	}
}

func find(members []member, name string) (*member, int) {
	for i := range members {
		if members[i].name == name {
			return &members[i], i
		}
	}
	return nil, len(members)
}
