package steps

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/token"
)

// Who acted where nobody is known to have.
const (
	// Unknown: nobody was stamped, as before Kubernetes 1.36.
	Unknown = "unknown"
	// Deleted: something was deleted, which cannot be stamped.
	Deleted = "unknown (deleted)"
)

// record is what the record of every step has. A step that an object can take more than once says which
// it is.
func record(kind string, object metav1.Object, action audit.Action, which string, at time.Time) audit.Record {
	step := string(action)
	if which != "" {
		step += "/" + which
	}
	return audit.Record{
		ID: audit.ID(string(object.GetUID()), step), Time: at.UTC().Truncate(time.Second),
		Layer: audit.Vault, Action: action, Step: step, Outcome: audit.Success, Namespace: object.GetNamespace(),
		Object: audit.Object{Kind: kind, Name: object.GetName(), UID: string(object.GetUID())},
	}
}

func actorOf(actor *v1alpha1.Actor) audit.Actor {
	if actor == nil {
		return audit.Actor{Username: Unknown}
	}
	return audit.Actor{Username: actor.Username, Via: actor.Via}
}

func explained(status *v1alpha1.PassportStatus) (v1alpha1.Reason, string) {
	why := status.Explanation()
	if why == nil {
		return "", ""
	}
	return v1alpha1.Reason(why.Reason), why.Message
}

// errorCode spells a reason as the error codes of the lifecycle are: ServiceNotGranted is
// SERVICE_NOT_GRANTED.
func errorCode(reason v1alpha1.Reason) string {
	var code strings.Builder
	letters := []rune(string(reason))
	for i, letter := range letters {
		// TTLElapsed is TTL_ELAPSED.
		begins := i > 0 && unicode.IsUpper(letter) && (unicode.IsLower(letters[i-1]) || (i+1 < len(letters) && unicode.IsLower(letters[i+1])))
		if begins {
			code.WriteByte('_')
		}
		code.WriteRune(unicode.ToUpper(letter))
	}
	return code.String()
}

// canonical is a value's canonical JSON (RFC 8785).
func canonical(value any) (string, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	text, err := token.CanonicalJSON(raw)
	return string(text), err
}

func texts[T ~string](names []T) []string {
	if len(names) == 0 {
		return nil
	}
	texts := make([]string, 0, len(names))
	for _, name := range names {
		texts = append(texts, string(name))
	}
	return texts
}
