package servingcert

import (
	"bytes"
	"io"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// GatewaySecretName is the Secret that every gateway mounts. It holds no right: what it shows is taken
	// by the manager alone.
	GatewaySecretName = "agent-passport-gateway-tls"
	// GatewayServiceAccount is the ServiceAccount that gateways run as.
	GatewayServiceAccount = "agent-passport-gateway"
	// ClientCertKey is the key of the Secret's data, and the name of the mounted file, of the certificate
	// that a gateway shows to the manager. What it shows to its own clients is in tls.crt and tls.key, the
	// authority of both in ca.crt.
	ClientCertKey = "client.crt"
	// ClientKeyKey is that of its private key.
	ClientKeyKey = "client.key"
)

// GatewayName is the common name of the certificate that gateways show to the manager.
func GatewayName(namespace string) string {
	return "system:serviceaccount:" + namespace + ":" + GatewayServiceAccount
}

// GatewayData is the data of the gateways' Secret as it should be, given what it is: what is still good is
// kept. Further names of the gateway are served beside that of its Service.
func (a *Authority) GatewayData(
	have map[string][]byte, namespace string, names []string, random io.Reader, now time.Time,
) (data map[string][]byte, changed bool, err error) {
	service := "agent-passport-gateway." + namespace
	served := append([]string{service + ".svc", service, service + ".svc.cluster.local"}, names...)
	data = maps.Clone(have)
	if data == nil {
		data = map[string][]byte{}
	}
	for _, wanted := range []struct {
		certificate, key string
		leaf             Leaf
	}{
		{ClientCertKey, ClientKeyKey, Client(GatewayName(namespace))},
		{corev1.TLSCertKey, corev1.TLSPrivateKeyKey, Server(served...)},
	} {
		if !a.Due(Pair{Certificate: data[wanted.certificate], Key: data[wanted.key]}, wanted.leaf, now) {
			continue
		}
		pair, err := a.Issue(wanted.leaf, random, now)
		if err != nil {
			return nil, false, err
		}
		data[wanted.certificate], data[wanted.key], changed = pair.Certificate, pair.Key, true
	}
	if !bytes.Equal(data[ConfigMapKey], a.PEM) {
		data[ConfigMapKey], changed = a.PEM, true
	}
	return data, changed, nil
}
