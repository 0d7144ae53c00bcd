package v1alpha1

import (
	"bytes"

	kjson "k8s.io/apimachinery/pkg/util/json"
)

// PackageDocumentSchema is the only schema of a Capability Passport document that this version reads.
const PackageDocumentSchema = "apai.passport.v0.1"

// RiskLevel is how risky a package's publisher says that it is.
//
// +kubebuilder:validation:Enum=low;medium;high;unknown
type RiskLevel string

// The risk levels of the Capability Passport document v0.1.
const (
	// RiskLow is a low risk.
	RiskLow RiskLevel = "low"
	// RiskMedium is a medium risk.
	RiskMedium RiskLevel = "medium"
	// RiskHigh is a high risk.
	RiskHigh RiskLevel = "high"
	// RiskUnknown is a risk that nobody has looked at.
	RiskUnknown RiskLevel = "unknown"
)

// PackageDocument is a Capability Passport document v0.1, verbatim: what a package will read, write, access,
// spend, expose, and need approval for. Its field names are the document's own, nothing is defaulted, and fields
// that v0.1 does not know are kept.
//
// Raw holds the document as it was applied. Where Raw is set, the object is written back from it and the typed
// fields are a read-only view.
//
// +kubebuilder:pruning:PreserveUnknownFields
type PackageDocument struct {
	// schema of the document; exactly "apai.passport.v0.1".
	// +required
	// +kubebuilder:validation:Enum=apai.passport.v0.1
	Schema string `json:"schema"`

	// package is the slug of the package that the document describes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Package string `json:"package"`

	// package_version is the version of the package that the document describes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	PackageVersion string `json:"package_version"`

	// publisher of the package, a slug.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Publisher string `json:"publisher"`

	// publisher_verified claims that the publisher was verified. A claim without proof is not believed: see the
	// condition UnprovenClaim.
	// +required
	PublisherVerified bool `json:"publisher_verified"`

	// risk_level is low, medium, high or unknown.
	// +required
	RiskLevel RiskLevel `json:"risk_level"`

	// reads lists the data sources that the package reads.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Reads []Statement `json:"reads"`

	// writes lists what the package writes.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Writes []Statement `json:"writes"`

	// accesses lists the external systems that the package reaches.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Accesses []Statement `json:"accesses"`

	// spends lists what the package spends.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Spends []Statement `json:"spends,omitempty"`

	// exposes lists the data that the package sends outside.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Exposes []Statement `json:"exposes,omitempty"`

	// approvals_required lists the actions that need a person's approval.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	ApprovalsRequired []Statement `json:"approvals_required,omitempty"`

	// rollback says in plain words how the package is undone.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Rollback string `json:"rollback,omitempty"`

	// scanner is what a scan of the package found.
	// +optional
	Scanner *PackageScan `json:"scanner,omitempty"`

	// generated_at is when the document was made, an ISO 8601 date and time.
	// +optional
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:MaxLength=64
	GeneratedAt string `json:"generated_at,omitempty"`

	// generated_by is the tool that made the document.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	GeneratedBy string `json:"generated_by,omitempty"`

	// Raw is the document as it was applied, unknown fields included.
	Raw []byte `json:"-"`
}

// PackageScan is what a scan of a package found. Its findings are kept as they are, and given no meaning.
//
// +kubebuilder:pruning:PreserveUnknownFields
type PackageScan struct {
	// status of the scan, such as clean.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Status string `json:"status,omitempty"`
}

// plainPackage has the fields of PackageDocument without its methods.
type plainPackage PackageDocument

// UnmarshalJSON reads the typed fields and keeps the whole document in Raw.
func (d *PackageDocument) UnmarshalJSON(data []byte) error {
	var plain plainPackage
	if err := kjson.Unmarshal(data, &plain); err != nil {
		return err
	}
	*d = PackageDocument(plain)
	d.Raw = bytes.Clone(data)
	return nil
}

// MarshalJSON writes Raw where it is set, so that unknown fields survive; else the typed fields.
func (d PackageDocument) MarshalJSON() ([]byte, error) {
	if d.Raw != nil {
		return d.Raw, nil
	}
	return kjson.Marshal(plainPackage(d))
}
