package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	auditclient "agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/servingcert"
)

// tokenLife is how long a token for the audit log is asked for; the API server gives none for less.
const tokenLife = 10 * time.Minute

// auditLog is how a command finds the audit log's service, and shows who asks.
type auditLog struct {
	url, connectTo, caFile    string
	tokenFile, serviceAccount string
}

func (a *auditLog) add(s *session, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&a.url, "audit-log", "", "The URL of the audit log (default: that of its Service, https://agent-passport-auditlog.<operator's namespace>.svc:8443).")
	flags.StringVar(&a.connectTo, "connect-to", "", "Connect to this address in place of the URL's, such as 127.0.0.1:8443 of a port-forward.")
	flags.StringVar(&a.caFile, "audit-ca-file", "", "The authorities of its certificate, PEM (default: the ConfigMap "+servingcert.AuditLogName+").")
	flags.StringVar(&a.tokenFile, "audit-token-file", "", "A file with a bearer token for the audience "+wire.Audience+".")
	flags.StringVar(&a.serviceAccount, "service-account", "", "Ask the API server for a token of this ServiceAccount in the namespace, as kubectl create token does.")
	s.complete(cmd, "service-account", s.names(func() client.ObjectList { return &corev1.ServiceAccountList{} }, nil))
}

// ask gives the answer of the audit log to a question, which has to be closed.
func (s *session) ask(ctx context.Context, c *cluster, log *auditLog, path string, query url.Values) (io.ReadCloser, error) {
	options, err := s.auditOptions(ctx, c, log)
	if err != nil {
		return nil, err
	}
	service, err := auditclient.New(options)
	if err != nil {
		return nil, misuse("--audit-log=%s: %w", options.URL, err)
	}
	response, err := service.Get(ctx, path, query)
	if err != nil {
		return nil, fmt.Errorf("%w. From outside the cluster, run: kubectl port-forward -n %s service/agent-passport-auditlog 8443, and add --connect-to=127.0.0.1:8443",
			err, s.operatorNamespace)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	return nil, errors.Join(refusedByLog(response, c.namespace), response.Body.Close())
}

// refusedByLog is what the audit log says where it gives no answer.
func refusedByLog(response *http.Response, namespace string) error {
	var failure wire.Failure
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&failure); err != nil || failure.Error.Code == "" {
		return fmt.Errorf("the audit log answers %s, and not as it should: is that its URL?", response.Status)
	}
	switch failure.Error.Code {
	case wire.Forbidden:
		return fmt.Errorf("%s. The ClusterRole agent-passport-auditor holds it. To give it, an admin runs: kubectl create rolebinding auditor -n %s --clusterrole=agent-passport-auditor --serviceaccount=%s:NAME",
			failure.Error.Message, namespace, namespace)
	case wire.Unauthenticated:
		return fmt.Errorf("%s: give --service-account=NAME, or --audit-token-file=FILE", failure.Error.Message)
	default:
		return fmt.Errorf("the audit log says %s: %s", failure.Error.Code, failure.Error.Message)
	}
}

// auditOptions find the service, and show who asks.
func (s *session) auditOptions(ctx context.Context, c *cluster, log *auditLog) (auditclient.Options, error) {
	options := auditclient.Options{URL: log.url, Address: log.connectTo, CAFile: log.caFile, TokenFile: log.tokenFile}
	if log.tokenFile != "" && log.serviceAccount != "" {
		return options, misuse("one of --audit-token-file and --service-account")
	}
	if options.URL == "" {
		options.URL = "https://agent-passport-auditlog." + s.operatorNamespace + ".svc:8443"
	}
	if options.CAFile == "" {
		published := &corev1.ConfigMap{}
		key := client.ObjectKey{Namespace: s.operatorNamespace, Name: servingcert.AuditLogName}
		if err := c.Get(ctx, key, published); err != nil {
			return options, fmt.Errorf("the authority of the audit log's certificate cannot be read; give it with --audit-ca-file: %w", err)
		}
		options.CA = []byte(published.Data[servingcert.ConfigMapKey])
	}
	if log.serviceAccount == "" {
		return options, nil
	}
	var err error
	options.Token, err = c.auditToken(ctx, log.serviceAccount)
	return options, err
}

// auditToken asks the API server for a token of a ServiceAccount that is good for the audit log alone.
func (c *cluster) auditToken(ctx context.Context, account string) (string, error) {
	life := int64(tokenLife / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{wire.Audience}, ExpirationSeconds: &life}}
	object := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: account}}
	if err := c.SubResource("token").Create(ctx, object, request); err != nil {
		return "", fmt.Errorf("a token of ServiceAccount %s in namespace %s cannot be had: %w", account, c.namespace, err)
	}
	return request.Status.Token, nil
}
