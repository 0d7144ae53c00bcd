package api

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// ReviewID is the id of the review of the Checkout with this UID: cout_ and 128 bits in hex, the first half
// of the SHA-256 of "agentpassport.dev/checkout", a zero byte and the UID. It is derived, not drawn, as the
// jti of a Passport is.
func ReviewID(uid types.UID) string { return "cout_" + derive("checkout", string(uid)) }

// eventID is the id of what one passport has of one type of signal.
func eventID(uid types.UID, signal string) string {
	return "sev_" + derive("signal", string(uid), signal)
}

// derive hashes for one purpose, so that what is derived for one says nothing of another.
func derive(purpose string, from ...string) string {
	sum := sha256.Sum256([]byte("agentpassport.dev/" + purpose + "\x00" + strings.Join(from, "\x00")))
	return hex.EncodeToString(sum[:16])
}

var (
	jtiForm    = regexp.MustCompile(`^pp_[0-9a-f]{32}$`)
	reviewForm = regexp.MustCompile(`^cout_[0-9a-f]{32}$`)
)

// agentID names an agent: NAME in the caller's own namespace, or NAMESPACE/NAME. The name may be written
// as agt_my_agent, which is my-agent.
func agentID(id, ownNamespace string) (types.NamespacedName, string) {
	namespace, name, two := strings.Cut(id, "/")
	if !two {
		namespace, name = ownNamespace, id
	}
	if seed, is := strings.CutPrefix(name, "agt_"); is {
		name = strings.ReplaceAll(seed, "_", "-")
	}
	switch {
	case id == "":
		return types.NamespacedName{}, "is required: NAME, or NAMESPACE/NAME"
	case namespace == "":
		return types.NamespacedName{}, "has to be NAMESPACE/NAME: only a ServiceAccount has a namespace of its own"
	case len(validation.IsDNS1123Label(namespace)) > 0, len(name) > validation.DNS1123LabelMaxLength, len(validation.IsDNS1123Subdomain(name)) > 0:
		return types.NamespacedName{}, "has to be NAME or NAMESPACE/NAME, as Kubernetes names are"
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, ""
}

// ownNamespace is that of a ServiceAccount; empty for others.
func ownNamespace(who user.Info) string {
	namespace, _, err := serviceaccount.SplitUsername(who.GetName())
	if err != nil {
		return ""
	}
	return namespace
}
