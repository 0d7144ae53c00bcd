package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

// badness orders what gateways say of a credential: what one of them cannot read is not readable, and of
// several troubles the one counts that has to be mended first.
var badness = []v1alpha1.Reason{
	v1alpha1.ReasonCredentialRead, v1alpha1.ReasonCredentialKeyMissing, v1alpha1.ReasonCredentialNotFound, v1alpha1.ReasonCredentialForbidden,
}

// CredentialReason says whether a gateway can say this of a credential.
func CredentialReason(reason v1alpha1.Reason) bool { return slices.Contains(badness, reason) }

// Connection is the status of a ServiceConnection by what gateways last said of its credential, as it is
// in this generation. Where none has said anything, as after the manager's restart, what is stored stays.
// Account is the gateways' ServiceAccount.
func Connection(
	connection *v1alpha1.ServiceConnection, said []v1alpha1.Reason, account types.NamespacedName, now time.Time,
) v1alpha1.ServiceConnectionStatus {
	status := *connection.Status.DeepCopy()
	status.ObservedGeneration = connection.Generation
	if connection.Spec.Credential == nil {
		meta.RemoveStatusCondition(&status.Conditions, string(v1alpha1.ConditionCredentialReadable))
		return ready(connection, status, metav1.ConditionTrue, v1alpha1.ReasonServed, "calls go to "+connection.Spec.BaseURL+" without a credential", now)
	}
	set := func(value metav1.ConditionStatus, reason v1alpha1.Reason, message string) {
		setWhole(&status.Conditions, connection.Generation, v1alpha1.ConditionCredentialReadable, value, reason, message, now)
	}
	switch stored := meta.FindStatusCondition(status.Conditions, string(v1alpha1.ConditionCredentialReadable)); {
	case len(said) > 0:
		reason := slices.MaxFunc(said, func(a, b v1alpha1.Reason) int {
			return cmp.Compare(slices.Index(badness, a), slices.Index(badness, b))
		})
		value := metav1.ConditionFalse
		if reason == v1alpha1.ReasonCredentialRead {
			value = metav1.ConditionTrue
		}
		set(value, reason, advice(connection, reason, account))
	case stored == nil || stored.ObservedGeneration != connection.Generation:
		set(metav1.ConditionUnknown, v1alpha1.ReasonNoGatewayYet, "no gateway has tried to read the credential yet; where none runs, none will")
	}
	readable := meta.FindStatusCondition(status.Conditions, string(v1alpha1.ConditionCredentialReadable))
	if readable.Status == metav1.ConditionTrue {
		return ready(connection, status, metav1.ConditionTrue, v1alpha1.ReasonServed, "calls go to "+connection.Spec.BaseURL+" with the credential", now)
	}
	return ready(connection, status, readable.Status, v1alpha1.Reason(readable.Reason),
		"calls are refused until the gateways can read the credential: see the condition CredentialReadable", now)
}

func ready(
	connection *v1alpha1.ServiceConnection, status v1alpha1.ServiceConnectionStatus, value metav1.ConditionStatus,
	reason v1alpha1.Reason, message string, now time.Time,
) v1alpha1.ServiceConnectionStatus {
	setWhole(&status.Conditions, connection.Generation, v1alpha1.ConditionReady, value, reason, message, now)
	return status
}

// advice says what to do for a credential.
func advice(connection *v1alpha1.ServiceConnection, reason v1alpha1.Reason, account types.NamespacedName) string {
	credential := connection.Spec.Credential
	secret := fmt.Sprintf("Secret %s in namespace %s", credential.SecretName, connection.Namespace)
	switch reason {
	case v1alpha1.ReasonCredentialForbidden:
		return "the gateways may not read " + secret + ". To allow it, an admin of the namespace runs: " + grant(connection, account)
	case v1alpha1.ReasonCredentialNotFound:
		return secret + " is not there. With each value in a file, run: " + fill(connection)
	case v1alpha1.ReasonCredentialKeyMissing:
		return secret + " has no usable " + keysOf(credential) + ": it is missing, empty, or has characters that no header takes, such as a line break. With each value in a file, run: " + fill(connection)
	default:
		return "the gateways read " + secret
	}
}

// grant is the command that lets the gateways read the one Secret. `watch` is what has a rotated one used at once.
func grant(connection *v1alpha1.ServiceConnection, account types.NamespacedName) string {
	role := "gateway-" + connection.Name
	return fmt.Sprintf(`echo '{"apiVersion":"v1","kind":"List","items":[`+
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"%[1]s"},`+
		`"rules":[{"apiGroups":[""],"resources":["secrets"],"resourceNames":["%[2]s"],"verbs":["get","list","watch"]}]},`+
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"%[1]s"},`+
		`"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"%[1]s"},`+
		`"subjects":[{"kind":"ServiceAccount","namespace":"%[3]s","name":"%[4]s"}]}]}' | kubectl apply -n %[5]s -f -`,
		role, connection.Spec.Credential.SecretName, account.Namespace, account.Name, connection.Namespace)
}

// fill is the command that makes the Secret, or changes it. Values come from files: a command line is kept.
func fill(connection *v1alpha1.ServiceConnection) string {
	credential := connection.Spec.Credential
	files := fmt.Sprintf("--from-file=%[1]s=./%[1]s", credential.Key)
	if credential.Type == v1alpha1.CredentialBasic {
		files += fmt.Sprintf(" --from-file=%[1]s=./%[1]s", credential.UsernameKey)
	}
	return fmt.Sprintf("kubectl create secret generic %[1]s -n %[2]s %[3]s --dry-run=client -o yaml | kubectl apply -n %[2]s -f -",
		credential.SecretName, connection.Namespace, files)
}

func keysOf(credential *v1alpha1.ServiceCredential) string {
	if credential.Type == v1alpha1.CredentialBasic {
		return credential.UsernameKey + " and " + credential.Key
	}
	return credential.Key
}
