package playground

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	operatorNamespace = "agent-passport-system"
	managerAccount    = "agent-passport-manager"
	auditLogAccount   = "agent-passport-auditlog"
	// tokenLife is asked for; a cluster may grant less. A token is renewed at half its life.
	tokenLife = 24 * time.Hour
)

// credentials writes a kubeconfig for a ServiceAccount of the operator's, with nothing else to show, and
// keeps its token fresh until ctx is over.
func credentials(ctx context.Context, home, account string, cfg *rest.Config, admin client.Client) (kubeconfig string, err error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", err
	}
	tokenFile := filepath.Join(home, "token")
	if err := keepToken(ctx, admin, account, tokenFile); err != nil {
		return "", err
	}
	own := rest.AnonymousClientConfig(cfg)
	own.BearerTokenFile = tokenFile
	kubeconfig = filepath.Join(home, "kubeconfig")
	return kubeconfig, writeKubeconfig(kubeconfig, own, operatorNamespace)
}

// keepToken writes a token of a ServiceAccount to a file and renews it until ctx is over; who uses it reads
// the file again by itself. Without audiences it is for the API server.
func keepToken(ctx context.Context, admin client.Client, account, path string, audiences ...string) error {
	expiry, err := writeToken(ctx, admin, account, path, audiences...)
	if err != nil {
		return fmt.Errorf("a token for ServiceAccount %s/%s: %w", operatorNamespace, account, err)
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(max(time.Until(expiry)/2, time.Minute)):
				if renewed, err := writeToken(ctx, admin, account, path, audiences...); err == nil {
					expiry = renewed
				}
			}
		}
	}()
	return nil
}

// writeToken asks for a token of a ServiceAccount of the operator's and writes it to path.
func writeToken(ctx context.Context, admin client.Client, account, path string, audiences ...string) (expiry time.Time, err error) {
	token, expiry, err := requestToken(ctx, admin, operatorNamespace, account, tokenLife, audiences...)
	if err != nil {
		return expiry, err
	}
	next := path + ".next"
	if err := os.WriteFile(next, []byte(token), 0o600); err != nil {
		return expiry, err
	}
	return expiry, os.Rename(next, path)
}

// requestToken asks the API server for a token of a ServiceAccount.
func requestToken(
	ctx context.Context, admin client.Client, namespace, name string, life time.Duration, audiences ...string,
) (token string, expiry time.Time, err error) {
	seconds := int64(life.Seconds())
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, Audiences: audiences},
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := admin.SubResource("token").Create(ctx, account, request); err != nil {
		return "", time.Time{}, err
	}
	return request.Status.Token, request.Status.ExpirationTimestamp.Time, nil
}
