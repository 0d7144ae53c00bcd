package v1alpha1

// ServiceName is the name of an outside service, such as github or slack: 1 to 63 lower-case
// letters, digits, dots, underscores and hyphens.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`
type ServiceName string

// Scope is one permission inside a service, such as repo:read: 1 to 128 printable characters
// without a space, quote or backslash (RFC 6749, scope-token). Scopes are compared as they stand;
// no character is a wildcard.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[!#-\[\]-~]+$`
type Scope string

// ConstraintOp is how a constraint compares the value at its path.
//
// +kubebuilder:validation:Enum=eq;not_eq;in;not_in;matches;starts_with
type ConstraintOp string

// The operators of a constraint.
const (
	// ConstraintEq holds where the value at the path equals value.
	ConstraintEq ConstraintOp = "eq"
	// ConstraintNotEq holds where the value at the path is there and differs from value.
	ConstraintNotEq ConstraintOp = "not_eq"
	// ConstraintIn holds where the value at the path is one of values.
	ConstraintIn ConstraintOp = "in"
	// ConstraintNotIn holds where the value at the path is there and is none of values.
	ConstraintNotIn ConstraintOp = "not_in"
	// ConstraintMatches holds where the whole value at the path matches the RE2 pattern in value.
	ConstraintMatches ConstraintOp = "matches"
	// ConstraintStartsWith holds where the value at the path starts with value.
	ConstraintStartsWith ConstraintOp = "starts_with"
)

// Constraint narrows what may be called inside a service. A path that is missing from a request,
// and an operator that a verifier does not know, refuse the call.
//
// +kubebuilder:validation:XValidation:rule="self.op in ['in', 'not_in'] ? has(self.values) && !has(self.value) : has(self.value) && !has(self.values)",message="op in and not_in take values (a list), every other op takes value (one string)"
// +kubebuilder:validation:XValidation:rule="self.op != 'matches' || !has(self.value) || 'a'.matches(self.value) || !'a'.matches(self.value)",message="value is not a valid RE2 pattern"
type Constraint struct {
	// path is what of a request is looked at: method, url.pathname, url.host, url.origin,
	// headers.NAME, query.KEY or body.DOTTED.PATH.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(method|url\.(pathname|host|origin)|(headers|query|body)\.[^\s]+)$`
	Path string `json:"path,omitempty"`

	// op is eq, not_eq, in, not_in, matches (RE2, anchored at both ends) or starts_with.
	// +required
	Op ConstraintOp `json:"op,omitempty"`

	// value is compared with what stands at the path, by every op but in and not_in.
	// At most 256 characters.
	// +optional
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=256
	Value *string `json:"value,omitempty"`

	// values is the list that op in and not_in look into, at most 32 entries.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=256
	Values []string `json:"values,omitempty"`
}

// ServiceGrant is one service with the scopes granted inside it and the constraints on every call.
type ServiceGrant struct {
	// service is the name of the outside service. Calls through the gateway need a
	// ServiceConnection of this name; passports do not.
	// +required
	Service ServiceName `json:"service,omitempty"`

	// scopes granted inside the service, at most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Scopes []Scope `json:"scopes,omitempty"`

	// constraints on every call to the service; all must hold. At most 32.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Constraints []Constraint `json:"constraints,omitempty"`
}
