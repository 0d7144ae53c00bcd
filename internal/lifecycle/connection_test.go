package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

var gatewayAccount = types.NamespacedName{Namespace: "agent-passport-system", Name: "agent-passport-gateway"}

func TestConnection(t *testing.T) {
	const (
		read       = v1alpha1.ReasonCredentialRead
		forbidden  = v1alpha1.ReasonCredentialForbidden
		notFound   = v1alpha1.ReasonCredentialNotFound
		keyMissing = v1alpha1.ReasonCredentialKeyMissing
	)
	stored := func(value metav1.ConditionStatus, reason v1alpha1.Reason, generation int64) *metav1.Condition {
		return &metav1.Condition{Type: string(v1alpha1.ConditionCredentialReadable), Status: value, Reason: string(reason), ObservedGeneration: generation, Message: "as it was"}
	}
	for name, tc := range map[string]struct {
		open   bool
		stored *metav1.Condition
		said   []v1alpha1.Reason
		want   string
	}{
		"no credential":                    {true, nil, nil, "Ready=True Served"},
		"no credential any more":           {true, stored("False", notFound, 1), []v1alpha1.Reason{notFound}, "Ready=True Served"},
		"nobody has tried":                 {false, nil, nil, "CredentialReadable=Unknown NoGatewayYet, Ready=Unknown NoGatewayYet"},
		"nobody has tried this generation": {false, stored("True", read, 1), nil, "CredentialReadable=Unknown NoGatewayYet, Ready=Unknown NoGatewayYet"},
		"what is stored stays, good":       {false, stored("True", read, 2), nil, "CredentialReadable=True CredentialRead, Ready=True Served"},
		"what is stored stays, bad":        {false, stored("False", notFound, 2), nil, "CredentialReadable=False CredentialNotFound, Ready=False CredentialNotFound"},
		"all read it":                      {false, stored("False", notFound, 2), []v1alpha1.Reason{read, read}, "CredentialReadable=True CredentialRead, Ready=True Served"},
		"one may not":                      {false, nil, []v1alpha1.Reason{read, forbidden, notFound}, "CredentialReadable=False CredentialForbidden, Ready=False CredentialForbidden"},
		"it is not there for one":          {false, nil, []v1alpha1.Reason{keyMissing, notFound, read}, "CredentialReadable=False CredentialNotFound, Ready=False CredentialNotFound"},
		"a key is missing":                 {false, nil, []v1alpha1.Reason{read, keyMissing}, "CredentialReadable=False CredentialKeyMissing, Ready=False CredentialKeyMissing"},
	} {
		connection := someConnection()
		if tc.open {
			connection.Spec.Credential = nil
		}
		if tc.stored != nil {
			connection.Status.Conditions = []metav1.Condition{*tc.stored}
		}
		status := lifecycle.Connection(connection, tc.said, gatewayAccount, time.Unix(1000, 0))
		var told []string
		for _, condition := range status.Conditions {
			told = append(told, fmt.Sprintf("%s=%s %s", condition.Type, condition.Status, condition.Reason))
			if condition.ObservedGeneration != connection.Generation || condition.Message == "" {
				t.Errorf("%s: %+v", name, condition)
			}
		}
		if got := strings.Join(told, ", "); got != tc.want || status.ObservedGeneration != connection.Generation {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
		connection.Status = status
		if diff := cmp.Diff(status, lifecycle.Connection(connection, tc.said, gatewayAccount, time.Unix(2000, 0))); diff != "" {
			t.Errorf("%s: not settled: %s", name, diff)
		}
	}
}

// What is to be done is whole, however long the names are, and quotes nothing but names.
func TestConnectionAdvice(t *testing.T) {
	connection := someConnection()
	connection.Namespace, connection.Name = strings.Repeat("n", 63), strings.Repeat("c", 63)
	connection.Spec.Credential.SecretName = strings.Repeat("s", 253)
	connection.Spec.Credential.Key, connection.Spec.Credential.UsernameKey = strings.Repeat("k", 253), strings.Repeat("u", 253)
	connection.Spec.Credential.Type = v1alpha1.CredentialBasic
	for reason, end := range map[v1alpha1.Reason]string{
		v1alpha1.ReasonCredentialForbidden:  "kubectl apply -n " + connection.Namespace + " -f -",
		v1alpha1.ReasonCredentialNotFound:   "kubectl apply -n " + connection.Namespace + " -f -",
		v1alpha1.ReasonCredentialKeyMissing: "kubectl apply -n " + connection.Namespace + " -f -",
	} {
		status := lifecycle.Connection(connection, []v1alpha1.Reason{reason}, gatewayAccount, time.Unix(1000, 0))
		message := status.Conditions[0].Message
		if !strings.HasSuffix(message, end) || len(message) > 32768 {
			t.Errorf("%s: %d characters: %s", reason, len(message), message)
		}
		if reason != v1alpha1.ReasonCredentialForbidden && !strings.Contains(message, "--from-file="+connection.Spec.Credential.UsernameKey) {
			t.Errorf("%s: no user name: %s", reason, message)
		}
	}
}

func someConnection() *v1alpha1.ServiceConnection {
	return &v1alpha1.ServiceConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "github", Generation: 2},
		Spec: v1alpha1.ServiceConnectionSpec{
			BaseURL:    "https://api.example.com",
			Credential: &v1alpha1.ServiceCredential{SecretName: "github-credential", Key: "token", UsernameKey: "username", Type: v1alpha1.CredentialBearer},
		},
	}
}
