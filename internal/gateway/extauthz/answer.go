package extauthz

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"agentpassport.dev/operator/internal/gateway/credential"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/headers"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/problem"
)

// framing are headers that Envoy makes anew for its own connection: they are not its to be told about.
var framing = map[string]struct{}{
	"Host": {}, "Connection": {}, "Content-Length": {}, "Transfer-Encoding": {},
	"Keep-Alive": {}, "Proxy-Connection": {}, "Trailer": {},
}

// unchanged refuses a call whose path would have to be rewritten: Envoy sends it as it stands.
func (c *call) unchanged() *judge.Refusal {
	if c.ask.Request.Target.RequestURI() != c.path {
		return &judge.Refusal{Code: decision.CodeBadTarget, Reason: "the path is not in its canonical form, and a proxy sends it as it stands"}
	}
	return nil
}

// allowed lets a call go, with its credential and without what stays here.
func (c *call) allowed(verdict *judge.Verdict) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{}
	injected := http.Header{}
	if verdict.Credential != nil {
		c.inject(ok, injected, verdict.Credential)
	}
	ok.HeadersToRemove = c.removed(injected)
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

// inject puts the credential in, in the place of whatever the caller gave there.
func (c *call) inject(ok *authv3.OkHttpResponse, injected http.Header, value *credential.Value) {
	before := c.ask.Request.Target.Query
	after := strings.Split(value.Apply(injected, before), "&")
	for name, values := range injected {
		ok.Headers = append(ok.Headers, overwrite(name, values[0]))
	}
	for part := range strings.SplitSeq(before, "&") {
		if name, _, _ := strings.Cut(part, "="); name != "" && !slices.Contains(after, part) {
			ok.QueryParametersToRemove = append(ok.QueryParametersToRemove, name)
		}
	}
	if len(injected) > 0 {
		return
	}
	name, query, _ := strings.Cut(after[len(after)-1], "=")
	ok.QueryParametersToSet = []*corev3.QueryParameter{{Key: name, Value: query}}
	ok.QueryParametersToRemove = slices.DeleteFunc(ok.QueryParametersToRemove, func(other string) bool { return other == name })
}

func overwrite(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: strings.ToLower(name), Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// removed are the headers that Envoy takes off: those that were not judged. What is injected is not among
// them, since Envoy removes after it sets.
func (c *call) removed(injected http.Header) []string {
	gone := map[string]struct{}{headers.Passport: {}, headers.Service: {}, headers.Authorization: {}, "Cookie": {}}
	for name := range c.given {
		_, judged := c.ask.Request.Header[name]
		_, set := injected[headers.AsSeen(name)]
		if !judged || set {
			gone[name] = struct{}{}
		}
	}
	maps.DeleteFunc(gone, func(name string, _ struct{}) bool {
		_, framed := framing[name]
		_, set := injected[name]
		return framed || set
	})
	names := make([]string, 0, len(gone))
	for name := range gone {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	return names
}

// denied refuses a call with the same answer that the other fronts give.
func denied(p problem.Problem) *authv3.CheckResponse {
	answer := &recorder{header: http.Header{}, status: http.StatusForbidden}
	problem.Write(answer, p)
	response := &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(answer.status)}, //nolint:gosec // an HTTP status has three digits
		Body:   answer.body.String(),
	}
	for _, name := range slices.Sorted(maps.Keys(answer.header)) {
		response.Headers = append(response.Headers, overwrite(name, answer.header.Get(name)))
	}
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: grpcCode(answer.status), Message: p.Code},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: response},
	}
}

func grpcCode(status int) int32 {
	if status == http.StatusUnauthorized {
		return int32(codes.Unauthenticated)
	}
	return int32(codes.PermissionDenied)
}

// recorder takes what problem.Write writes.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(piece []byte) (int, error) { return r.body.Write(piece) }
