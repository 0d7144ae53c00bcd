package token

// Where the operator publishes its keys, in a ConfigMap of its namespace.
const (
	// ConfigMapName is the ConfigMap with the JWKS, by v1alpha1.SecretKeyJWKS, and the OpenID configuration.
	ConfigMapName = "agent-passport-jwks"
	// ConfigMapKeyDiscovery is the data key of the OpenID configuration.
	ConfigMapKeyDiscovery = "openid-configuration"
)
