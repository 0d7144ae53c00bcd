package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// HTTPMethod is a method that a call through the gateway may have.
//
// +kubebuilder:validation:Enum=GET;HEAD;POST;PUT;PATCH;DELETE;OPTIONS
type HTTPMethod string

// CallerPolicy is who may show a passport for a service to the gateway.
//
// +kubebuilder:validation:Enum=AgentUsers;AnyBearer
type CallerPolicy string

// The caller policies.
const (
	// CallersAgentUsers takes a passport from those alone who show, beside it, a Kubernetes token of
	// somebody who holds the verb `use` on the passport's agent.
	CallersAgentUsers CallerPolicy = "AgentUsers"
	// CallersAnyBearer takes a passport from whoever has it.
	CallersAnyBearer CallerPolicy = "AnyBearer"
)

// AddressRange is a range of IP addresses, by name, that the gateway connects to only where a
// ServiceConnection allows it.
//
// +kubebuilder:validation:Enum=Loopback;Private;LinkLocal;Shared
type AddressRange string

// The address ranges. Metadata addresses of clouds (169.254.169.254 and its kin) are in none of them.
const (
	// RangeLoopback is 127.0.0.0/8 and ::1.
	RangeLoopback AddressRange = "Loopback"
	// RangePrivate is 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918) and fc00::/7 (RFC 4193).
	RangePrivate AddressRange = "Private"
	// RangeLinkLocal is 169.254.0.0/16 and fe80::/10.
	RangeLinkLocal AddressRange = "LinkLocal"
	// RangeShared is 100.64.0.0/10 (RFC 6598).
	RangeShared AddressRange = "Shared"
)

// CredentialType is how a credential goes into a call.
//
// +kubebuilder:validation:Enum=Bearer;Basic;Header;Query
type CredentialType string

// The ways to put a credential into a call.
const (
	// CredentialBearer sends `Authorization: Bearer <value>` (RFC 6750).
	CredentialBearer CredentialType = "Bearer"
	// CredentialBasic sends `Authorization: Basic <username:value>` (RFC 7617).
	CredentialBasic CredentialType = "Basic"
	// CredentialHeader sends the value in the header `name`.
	CredentialHeader CredentialType = "Header"
	// CredentialQuery sends the value in the query parameter `name`.
	CredentialQuery CredentialType = "Query"
)

// ServiceCredential is where the credential of a service is, and how it goes into a call. The agent
// never sees it.
//
// +kubebuilder:validation:XValidation:rule="self.type in ['Header', 'Query'] ? has(self.name) : !has(self.name)",message="name goes with type Header and Query, and only with them"
// +kubebuilder:validation:XValidation:rule="self.type != 'Header' || !has(self.name) || self.name.matches('^[!#$%&\\'*+.^_`|~0-9A-Za-z-]+$')",message="name is not a valid header name (RFC 9110)"
// +kubebuilder:validation:XValidation:rule="self.type != 'Header' || !has(self.name) || !(self.name.lowerAscii() in ['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'te', 'trailer', 'keep-alive', 'proxy-connection', 'expect', 'x-passport-token'])",message="this header belongs to the connection, not to a credential"
type ServiceCredential struct {
	// secretName is the Secret, in the namespace of the ServiceConnection. The gateway needs a Role
	// that names it; the condition CredentialReadable has the manifest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	SecretName string `json:"secretName,omitempty"`

	// key of the Secret's data that holds the token or the password.
	// +optional
	// +kubebuilder:default=token
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`

	// usernameKey is the key of the Secret's data that holds the user name, for type Basic.
	// +optional
	// +kubebuilder:default=username
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	UsernameKey string `json:"usernameKey,omitempty"`

	// type is Bearer, Basic, Header or Query.
	// +optional
	// +kubebuilder:default=Bearer
	Type CredentialType `json:"type,omitempty"`

	// name of the header or of the query parameter, for the types Header and Query.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name,omitempty"`
}

// ServiceConnectionSpec says how the gateway reaches one outside service.
type ServiceConnectionSpec struct {
	// baseURL is where the service is, https or http, with a path where all calls begin with one; no
	// query, fragment or user. Calls to /proxy/<name>/ go below it.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['https', 'http'] && url(self).getHostname() != ''",message="baseURL is a URL such as https://api.example.com or https://example.com/api"
	// +kubebuilder:validation:XValidation:rule="!self.contains('?') && !self.contains('#') && !self.contains('@') && !self.contains('\\\\') && !self.contains('%') && !self.contains('/../') && !self.contains('/./')",message="baseURL has no query, fragment, user, escapes or dot segments"
	BaseURL string `json:"baseURL,omitempty"`

	// hosts are further hosts that calls may name in full URLs, each as host or host:port, at most 16.
	// The host of baseURL is always one. No character is a wildcard; the scheme is that of baseURL.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=260
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[1-9][0-9]{0,4})?$`
	Hosts []string `json:"hosts,omitempty"`

	// methods that calls may have. Absent: all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Methods []HTTPMethod `json:"methods,omitempty"`

	// callers is AgentUsers (whoever calls shows, beside the passport, a Kubernetes token of somebody who
	// may `use` its agent) or AnyBearer (the passport alone is enough).
	// +optional
	// +kubebuilder:default=AgentUsers
	Callers CallerPolicy `json:"callers,omitempty"`

	// allowedAddresses are ranges of addresses, by name, that the service may be at beside public ones:
	// Loopback, Private, LinkLocal, Shared. The metadata addresses of clouds are never allowed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	AllowedAddresses []AddressRange `json:"allowedAddresses,omitempty"`

	// credential that goes into every call. Absent: calls go without one.
	// +optional
	Credential *ServiceCredential `json:"credential,omitempty"`

	// timeoutSeconds is how long the service may take to answer, in seconds, 1 to 300.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`
}

// ServiceConnectionStatus is what the operator and its gateways know of a connection.
type ServiceConnectionStatus struct {
	// conditions are Ready (gateways serve the connection) and CredentialReadable (the gateways can
	// read the credential; where they cannot, the message has what to apply).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// observedGeneration is the generation of the spec that this status was made from.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ServiceConnection is an outside service that the gateway can reach for agents that are granted the
// service of this name.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=svcconn,categories=agentpassport-all
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.baseURL`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Callers",type=string,JSONPath=`.spec.callers`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Secret",type=string,priority=1,JSONPath=`.spec.credential.secretName`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name of a ServiceConnection is the name of a service: at most 63 characters"
type ServiceConnection struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata. Its name is the name of the service in grants.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says how the service is reached.
	// +required
	Spec ServiceConnectionSpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status ServiceConnectionStatus `json:"status,omitzero"`
}

// ServiceConnectionList is a list of ServiceConnections.
//
// +kubebuilder:object:root=true
type ServiceConnectionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ServiceConnection `json:"items"`
}
