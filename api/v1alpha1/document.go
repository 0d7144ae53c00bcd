package v1alpha1

import (
	"bytes"

	kjson "k8s.io/apimachinery/pkg/util/json"
)

// DocumentSchema is the only schema of an Agent Passport document that this version reads
// (Agent Passport v0.1, section 3).
const DocumentSchema = "apai.agent-passport.v0.1"

// InstallMode is a way in which an agent is installed (Agent Passport v0.1, section 3).
//
// +kubebuilder:validation:Enum=local-tool;cloud-sandbox;remote-connector
type InstallMode string

// The install modes of the Agent Passport document v0.1.
const (
	// InstallLocalTool is an agent that runs on the operator's own machine.
	InstallLocalTool InstallMode = "local-tool"
	// InstallCloudSandbox is an agent inside a sandbox that its provider manages.
	InstallCloudSandbox InstallMode = "cloud-sandbox"
	// InstallRemoteConnector is an agent that is reached through a remote connector.
	InstallRemoteConnector InstallMode = "remote-connector"
)

// Statement is one line of free text in an Agent Passport document, at most 2048 characters.
//
// +kubebuilder:validation:MaxLength=2048
type Statement string

// AgentDocument is an Agent Passport document v0.1, verbatim: its field names are the
// document's own, nothing is defaulted, and fields that v0.1 does not know are kept.
//
// Raw holds the document as it was applied. Where Raw is set, the object is written back from
// it and the typed fields are a read-only view.
//
// +kubebuilder:pruning:PreserveUnknownFields
type AgentDocument struct {
	// schema of the document; exactly "apai.agent-passport.v0.1".
	// +required
	// +kubebuilder:validation:Enum=apai.agent-passport.v0.1
	Schema string `json:"schema"`

	// agent that the document describes.
	// +required
	Agent DocumentAgent `json:"agent"`

	// identity_key_fingerprint of the vendor's key; "unverified-v0.1" where there is none.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	IdentityKeyFingerprint string `json:"identity_key_fingerprint"`

	// capabilities of the agent, in its vendor's words.
	// +required
	Capabilities DocumentCapabilities `json:"capabilities"`

	// sandboxed is true where the agent runs in a sandbox that its provider manages and the
	// operator does not control.
	// +required
	Sandboxed bool `json:"sandboxed"`

	// install_modes_supported is one or more of local-tool, cloud-sandbox, remote-connector.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	InstallModesSupported []InstallMode `json:"install_modes_supported"`

	// verified claims that the document was checked against a manifest signed by the vendor.
	// A claim without proof is not believed: see the condition UnprovenClaim.
	// +required
	Verified bool `json:"verified"`

	// generated_at is when the document was made, an ISO 8601 date and time.
	// +required
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=64
	GeneratedAt string `json:"generated_at"`

	// Raw is the document as it was applied, unknown fields included.
	Raw []byte `json:"-"`
}

// DocumentAgent names the agent that a document describes.
//
// +kubebuilder:pruning:PreserveUnknownFields
type DocumentAgent struct {
	// name of the agent, for people.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`

	// version of the agent, or "varies" for a hosted service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Version string `json:"version"`

	// vendor or publisher of the agent.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Vendor string `json:"vendor"`
}

// DocumentCapabilities is what an agent can do, and what it asks approval for. Each list holds
// at most 1000 statements.
//
// +kubebuilder:pruning:PreserveUnknownFields
type DocumentCapabilities struct {
	// can_read lists the data sources that the agent can read from.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	CanRead []Statement `json:"can_read"`

	// can_write lists the destinations that the agent can write to.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	CanWrite []Statement `json:"can_write"`

	// can_access lists the external systems, APIs or connectors that the agent can reach.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	CanAccess []Statement `json:"can_access"`

	// can_spend lists the tokens, quota or credits that the agent consumes.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	CanSpend []Statement `json:"can_spend"`

	// can_expose lists the data that the agent may send outside the local environment.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	CanExpose []Statement `json:"can_expose"`

	// will_request_approval_for lists the actions that the agent gates behind a person's approval.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	WillRequestApprovalFor []Statement `json:"will_request_approval_for"`
}

// plainDocument has the fields of AgentDocument without its methods.
type plainDocument AgentDocument

// UnmarshalJSON reads the typed fields and keeps the whole document in Raw.
func (d *AgentDocument) UnmarshalJSON(data []byte) error {
	var plain plainDocument
	if err := kjson.Unmarshal(data, &plain); err != nil {
		return err
	}
	*d = AgentDocument(plain)
	d.Raw = bytes.Clone(data)
	return nil
}

// MarshalJSON writes Raw where it is set, so that unknown fields survive; else the typed fields.
func (d AgentDocument) MarshalJSON() ([]byte, error) {
	if d.Raw != nil {
		return d.Raw, nil
	}
	return kjson.Marshal(plainDocument(d))
}
