package access

import (
	"cmp"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Verb is what a caller wants to do with a resource, as RBAC names it.
type Verb string

// The verbs of Kubernetes, and those of the operator's own kinds.
const (
	Create Verb = "create"
	Get    Verb = "get"
	List   Verb = "list"
	Update Verb = "update"
	Patch  Verb = "patch"
	Delete Verb = "delete"

	// Use on agentpassports: to act as the agent.
	Use Verb = "use"
	// Revoke on passports: to end one.
	Revoke Verb = "revoke"
	// Review on checkouts: to decide on a mission.
	Review Verb = "review"
	// ReviewOwn on checkouts: to decide on a mission that the reviewer had a part in.
	ReviewOwn Verb = "review-own"
)

// Right is what a request needs.
type Right struct {
	Verb Verb
	// Group of the resource; empty for agentpassport.dev.
	Group string
	// Resource in the plural, and its Subresource; the latter may be empty.
	Resource, Subresource string
	// Namespace is empty for all of the cluster.
	Namespace string
	// Name is empty for all objects.
	Name string
}

// String is the right in words.
func (r Right) String() string {
	words := []string{string(r.Verb), r.kind()}
	if r.Name != "" {
		words = append(words, r.Name)
	}
	if r.Namespace == "" {
		return strings.Join(append(words, "cluster-wide"), " ")
	}
	return strings.Join(append(words, "in namespace", r.Namespace), " ")
}

// kind is the resource as roles are spoken of: plural.group, or plural/subresource.group.
func (r Right) kind() string {
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	return resource + "." + r.group()
}

func (r Right) group() string { return cmp.Or(r.Group, v1alpha1.GroupVersion.Group) }

func (r Right) attributes(who user.Info) authorizer.AttributesRecord {
	attributes := authorizer.AttributesRecord{
		User: who, Verb: string(r.Verb), Namespace: r.Namespace, Name: r.Name,
		APIGroup: r.group(), APIVersion: "*", Resource: r.Resource, Subresource: r.Subresource, ResourceRequest: true,
	}
	if attributes.APIGroup == v1alpha1.GroupVersion.Group {
		attributes.APIVersion = v1alpha1.GroupVersion.Version
	}
	return attributes
}
