package service

import (
	"context"
	"net/http"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit/wire"
)

// jtiForm is what a passport's identity can be.
var jtiForm = regexp.MustCompile(`^pp_[0-9A-Za-z_-]{1,64}$`)

// calls answers with what the gateways saw of one passport: all that was answered for before.
func (s *service) calls(w http.ResponseWriter, r *http.Request, who user.Info) error {
	given, err := parseParameters(r.URL.RawQuery, "jti", "namespace")
	if err != nil {
		return err
	}
	jti, namespace := given["jti"], given["namespace"]
	switch {
	case !jtiForm.MatchString(jti):
		return problem(wire.BadRequest, "query parameter jti: want the identity of a passport, pp_...")
	case len(validation.IsDNS1123Label(namespace)) > 0:
		return problem(wire.BadRequest, "query parameter namespace: want the name of the passport's namespace")
	}
	if err := s.allow(r, who, access.List, namespace); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(r.Context(), indexWait)
	defer cancel()
	found, err := s.Index.Calls(waiting, namespace, jti)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.give(w, found)
}
