package documentfile

import (
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

// File is a document, and what stands beside it. One of Agent and Package is set. Where the file holds a document
// alone, the rest of the object is empty but for its kind, and for a name made from the document's.
type File struct {
	// Agent has an Agent Passport document, never nil.
	Agent *v1alpha1.AgentPassport
	// Package has a Capability Passport document.
	Package *v1alpha1.CapabilityPassport
	// Text of the document as it was published, comments included, without what only a manifest has. Nil where it came
	// from a cluster, or from a manifest in which it cannot be cut out.
	Text []byte
}

// Document gives the document.
func (f *File) Document() capability.Document {
	if f.Agent != nil {
		return capability.Document{Agent: f.Agent.Spec.Document}
	}
	return capability.Document{Package: &f.Package.Spec.Document}
}

// Name of the object.
func (f *File) Name() string {
	if f.Agent != nil {
		return f.Agent.Name
	}
	return f.Package.Name
}

// Vendor is whose keys may sign the document: the agent's vendor, or the package's publisher.
func (f *File) Vendor() string {
	if f.Agent != nil {
		return f.Agent.Spec.Document.Agent.Vendor
	}
	return f.Package.Spec.Document.Publisher
}

// Subject names what the document describes, for people.
func (f *File) Subject() string {
	if f.Agent != nil {
		agent := f.Agent.Spec.Document.Agent
		return "agent " + agent.Name + " " + agent.Version + " of vendor " + agent.Vendor
	}
	document := &f.Package.Spec.Document
	return "package " + document.Package + " " + document.PackageVersion + " of publisher " + document.Publisher
}

// Codes that say the document once more; nil where there are none.
func (f *File) Codes() *v1alpha1.CapabilityCodes {
	if f.Agent != nil {
		return f.Agent.Spec.Codes
	}
	return f.Package.Spec.Codes
}

// JWS is the signature that stands beside the document; empty where there is none.
func (f *File) JWS() string {
	signature := f.signature()
	if *signature == nil {
		return ""
	}
	return (*signature).JWS
}

// SetJWS puts a signature beside the document.
func (f *File) SetJWS(jws string) { *f.signature() = &v1alpha1.DocumentSignature{JWS: jws} }

func (f *File) signature() **v1alpha1.DocumentSignature {
	if f.Agent != nil {
		return &f.Agent.Spec.Signature
	}
	return &f.Package.Spec.Signature
}

// SetCodes puts codes beside the document.
func (f *File) SetCodes(codes *v1alpha1.CapabilityCodes) {
	if f.Agent != nil {
		f.Agent.Spec.Codes = codes
		return
	}
	f.Package.Spec.Codes = codes
}

// maxName is the longest name that is made: a DNS label's.
const maxName = 63

// nameFrom makes the name of an object from what a document calls its subject: lower case, and a hyphen for all that
// is neither letter nor digit of ASCII. It is empty where nothing is left.
func nameFrom(subject string) string {
	var made strings.Builder
	for _, r := range strings.ToLower(subject) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			made.WriteRune(r)
		case made.Len() > 0 && !strings.HasSuffix(made.String(), "-"):
			made.WriteByte('-')
		}
	}
	name := made.String()
	return strings.Trim(name[:min(len(name), maxName)], "-")
}
