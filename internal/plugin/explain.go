package plugin

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"agentpassport.dev/operator/api/v1alpha1"
)

// explain says what happened and what to do about it, where that is more than the error says.
func explain(err error) string {
	var unreachable *url.Error
	var network net.Error
	switch {
	case meta.IsNoMatchError(err):
		return fmt.Sprintf("%s. The operator is not installed in this cluster, or the kubeconfig names another one: kubectl passport status says what is missing", err)
	case apierrors.IsForbidden(err):
		return forbidden(err)
	case apierrors.IsUnauthorized(err):
		return "the API server does not know who you are: log in again, or choose another --context (" + err.Error() + ")"
	case apierrors.IsNotFound(err):
		return notFound(err)
	case errors.As(err, &unreachable) && errors.As(err, &network):
		return fmt.Sprintf("the API server cannot be reached: %s. See --kubeconfig, --context and --server", err)
	default:
		return err.Error()
	}
}

var (
	// rbacRefusal is how the API server says that a right is missing.
	rbacRefusal = regexp.MustCompile(`User "([^"]+)" cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?`)
	// policyRefusal begins what an admission policy says.
	policyRefusal = regexp.MustCompile(`^.*ValidatingAdmissionPolicy '[^']+' with binding '[^']+' denied request: `)
)

// forbidden says which right is missing, and what gives it. What our admission policies say, does so already.
func forbidden(err error) string {
	before, message := contextOf(err)
	if policyRefusal.MatchString(message) {
		return before + policyRefusal.ReplaceAllString(message, "")
	}
	found := rbacRefusal.FindStringSubmatch(message)
	if found == nil {
		return before + message
	}
	user, verb, resource, group, namespace := found[1], found[2], found[3], found[4], found[5]
	where, binding := "in any namespace", "kubectl create clusterrolebinding "+bindingName(resource, verb, user)
	if namespace != "" {
		where, binding = "in namespace "+namespace, "kubectl create rolebinding "+bindingName(resource, verb, user)+" -n "+namespace
	}
	missing := before + fmt.Sprintf("%s may not %s %s %s", user, verb, strings.Trim(resource+"."+group, "."), where)
	role := roleWith(group, resource, verb)
	if role == "" {
		return missing + ": that takes an administrator of the cluster, or a Role that they make"
	}
	return fmt.Sprintf("%s: the ClusterRole %s holds that right. To give it, an admin runs: %s --clusterrole=%s %s",
		missing, role, binding, role, subject(user))
}

// contextOf parts what the plugin says of an error from what the API server says.
func contextOf(err error) (before, message string) {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		if said := status.Status().Message; said != "" {
			if before, _, found := strings.Cut(err.Error(), said); found {
				return before, said
			}
		}
	}
	return "", err.Error()
}

// subject is the flag of `kubectl create rolebinding` for a user.
func subject(user string) string {
	if account, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		return "--serviceaccount=" + account
	}
	return "--user='" + strings.ReplaceAll(user, "'", `'\''`) + "'"
}

// bindingName is a name for a binding of that user: no path, no quote.
func bindingName(resource, verb, user string) string {
	slug := strings.NewReplacer("system:serviceaccount:", "", ":", "-", "/", "-", "%", "-", "'", "-", " ", "-").Replace(user)
	return "'" + strings.ReplaceAll(resource, "/", "-") + "-" + verb + "-" + slug + "'"
}

// roleWith is the least of the operator's ClusterRoles that holds a right; empty where none does.
func roleWith(group, resource, verb string) string {
	reads := verb == "get" || verb == "list" || verb == "watch"
	changes := verb == "update" || verb == "patch"
	switch {
	case resource == "events" && reads:
		return "agent-passport-reviewer"
	case group != v1alpha1.GroupVersion.Group:
		return ""
	case resource == "auditrecords":
		return "agent-passport-auditor"
	case reads:
		return "agent-passport-viewer"
	case verb == "create" && (resource == "passports" || resource == "checkpoints" || resource == "checkouts"):
		return "agent-passport-agent"
	case resource == "passports" && changes, resource == "agentblocks" && (changes || verb == "create"):
		return "agent-passport-responder"
	case resource == "checkouts" && changes:
		return "agent-passport-reviewer"
	default:
		return "agent-passport-admin"
	}
}

// lists are the commands that show what there is of a kind.
var lists = map[string]string{
	"passports":      "kubectl passport list",
	"checkouts":      "kubectl get checkouts.agentpassport.dev",
	"agentpassports": "kubectl get agentpassports.agentpassport.dev",
	"agentblocks":    "kubectl get agentblocks.agentpassport.dev",

	"capabilitypassports": "kubectl get capabilitypassports.agentpassport.dev",
}

// notFound says how to see what there is instead.
func notFound(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		if list, ok := lists[status.Status().Details.Kind]; ok {
			return fmt.Sprintf("%s. To see what there is: %s -A", err, list)
		}
	}
	return err.Error()
}
