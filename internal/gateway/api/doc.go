// Package api is the HTTP API of the gateway but for the proxy: missions, reviews, agents, the trail and
// the public keys as JSON over HTTP.
//
// A request is answered in this order: is there such a path, who is it, may it come so often, is it well
// formed, may they, is it done. Who may do what is RBAC and nothing else: for every call the API server is
// asked, by SubjectAccessReview, what its own rules would ask of the same caller; then the gateway writes
// under its own name and names the caller. What a caller may not get is not there for it.
//
// Nothing is kept between requests: a step that was cut off is repeated, by Idempotency-Key or by what the
// objects say.
package api
