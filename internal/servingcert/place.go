package servingcert

// ConfigMapKey is the key, in the data of a ConfigMap, of an authority's certificate.
const ConfigMapKey = "ca.crt"

// Place is where an authority is kept, and where its certificate is published.
type Place struct {
	// Namespace of both.
	Namespace string
	// Secret that holds its certificate and its key.
	Secret string
	// ConfigMap that publishes the certificate, for clients.
	ConfigMap string
	// CommonName of the authority.
	CommonName string
}

const (
	// AuditLogName is the Secret of the audit log's authority, and the ConfigMap that publishes it.
	AuditLogName = "agent-passport-auditlog-ca"
	// ChannelSecretName is the Secret of the authority of manager and gateway. Managers alone read it.
	ChannelSecretName = "agent-passport-channel-ca"
	// GatewayConfigMapName is the ConfigMap that publishes that authority, for clients of the gateway.
	GatewayConfigMapName = "agent-passport-gateway-ca"
)

// AuditLog is the place of the audit log's authority.
func AuditLog(namespace string) Place {
	return Place{Namespace: namespace, Secret: AuditLogName, ConfigMap: AuditLogName, CommonName: "agent-passport-auditlog"}
}

// Channel is the place of the authority that signs the certificates of manager and gateway.
func Channel(namespace string) Place {
	return Place{Namespace: namespace, Secret: ChannelSecretName, ConfigMap: GatewayConfigMapName, CommonName: "agent-passport-channel"}
}
