package service

import (
	"net/http"

	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
)

// resource is what the rights to the log are on: auditrecords of agentpassport.dev, which is no stored
// resource.
//
//	create             append records; cluster-wide
//	list               read rows; in a namespace those of it, cluster-wide all
//	get                one record, proofs, tiles, the verification; cluster-wide
const resource = "auditrecords"

// Right is a right to the log; an empty namespace is all of the cluster.
func Right(verb access.Verb, namespace string) access.Right {
	return access.Right{Verb: verb, Resource: resource, Namespace: namespace}
}

// allow asks for a right.
func (s *service) allow(r *http.Request, who user.Info, verb access.Verb, namespace string) error {
	return s.Access.Authorize(r.Context(), who, Right(verb, namespace))
}
