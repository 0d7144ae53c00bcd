// Package watched says in which namespaces the operator works: in all, or in those that it is named.
package watched

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"agentpassport.dev/operator/internal/flagvalue"
)

// Flag is the name of the flag that names them, and Usage what it says of itself.
const (
	Flag  = "watch-namespaces"
	Usage = "The namespaces to work in, separated by commas; none: all of the cluster. What is in others is left alone, and no right on it is needed."
)

// Namespaces are those that are named, in order; none: all of the cluster.
type Namespaces []string

// Parse reads a list that is separated by commas, for flag.Func. The error names what is no name of a namespace.
func (n *Namespaces) Parse(value string) error {
	var names []string
	if err := flagvalue.Names(&names)(value); err != nil {
		return err
	}
	for _, name := range names {
		if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
			return fmt.Errorf("%q is no name of a namespace: %s", name, wrong[0])
		}
	}
	slices.Sort(names)
	*n = slices.Compact(names)
	return nil
}

// String gives them as Parse reads them.
func (n Namespaces) String() string { return strings.Join(n, ",") }

// All says that none is named, and that the operator works everywhere.
func (n Namespaces) All() bool { return len(n) == 0 }

// Hold says whether the operator works in a namespace; an empty one is all of the cluster.
func (n Namespaces) Hold(namespace string) bool { return n.All() || slices.Contains(n, namespace) }

// Each gives what to list or watch: every namespace that is named, or the empty name, which is all of the cluster.
func (n Namespaces) Each() []string {
	if n.All() {
		return []string{""}
	}
	return n
}

// Cache narrows the kinds of a cache for which nothing else is said.
func (n Namespaces) Cache() map[string]cache.Config {
	if n.All() {
		return nil
	}
	narrowed := map[string]cache.Config{}
	for _, name := range n {
		narrowed[name] = cache.Config{}
	}
	return narrowed
}

// Collections are the paths under which a resource of an API group is watched; root is the path of the group.
func (n Namespaces) Collections(root, resource string) []string {
	if n.All() {
		return []string{root + "/" + resource}
	}
	paths := make([]string, len(n))
	for i, name := range n {
		paths[i] = root + "/namespaces/" + name + "/" + resource
	}
	return paths
}

// Few is a read of hardly any object of a resource that the operator may list: those in its own namespace, or, where
// that is none of the named ones, one by a name that none has.
func (n Namespaces) Few(root, own, resource string) string {
	if n.All() {
		return root + "/namespaces/" + own + "/" + resource
	}
	return root + "/namespaces/" + n[0] + "/" + resource + "?fieldSelector=" + url.QueryEscape("metadata.name=-")
}
