package extauthz_test

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/extauthz"
	"agentpassport.dev/operator/internal/gateway/fronttest"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/requeststest"
)

// serve starts a real server and connects the generated client to it.
func serve(t testing.TB, judges extauthz.Judge) *grpc.ClientConn {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := extauthz.New(judges).GRPC()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func check(t testing.TB, conn *grpc.ClientConn, request *authv3.CheckRequest) *authv3.CheckResponse {
	t.Helper()
	response, err := authv3.NewAuthorizationClient(conn).Check(context.Background(), request)
	if err != nil {
		t.Fatalf("an error, on which failure_mode_allow would open: %v", err)
	}
	return response
}

// request is a check as Envoy sends it without encode_raw_headers.
func request(method, path string, extensions, headers map[string]string) *authv3.CheckRequest {
	all := map[string]string{":method": method, ":path": path, ":authority": "slack.example", "x-passport-token": fronttest.Token}
	maps.Copy(all, headers)
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		ContextExtensions: extensions,
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "10.1.1.1"},
		}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: method, Path: path, Host: "slack.example", Scheme: "http", Headers: all, Protocol: "HTTP/1.1",
		}},
	}}
}

var slack = map[string]string{"service": "slack"}

func newJudge(t testing.TB, spec *v1alpha1.ServiceCredential, constraints ...v1alpha1.Constraint) *fronttest.Judge {
	t.Helper()
	judges, err := fronttest.NewJudge("http://slack.example/api", spec, constraints...)
	if err != nil {
		t.Fatal(err)
	}
	return judges
}

// reason is the decision's code in a denied answer.
func reason(t testing.TB, response *authv3.CheckResponse) string {
	t.Helper()
	denied := response.GetDeniedResponse()
	if denied == nil || response.GetStatus().GetCode() == int32(codes.OK) {
		t.Fatalf("not denied: %v", response)
	}
	var answer struct {
		Error struct {
			Code    string
			Details struct{ Reason string }
		}
	}
	if err := json.Unmarshal([]byte(denied.GetBody()), &answer); err != nil || answer.Error.Code == "" {
		t.Fatalf("no problem: %v: %q", err, denied.GetBody())
	}
	if status := int(denied.GetStatus().GetCode()); status < 400 || status > 599 {
		t.Fatalf("denied with %d", status)
	}
	return answer.Error.Details.Reason
}

func TestCheckInjects(t *testing.T) {
	type credential = v1alpha1.ServiceCredential
	mine := map[string]string{
		"authorization": "Bearer mine", "x-key": "mine", "x_key": "mine too", "cookie": "a=b", "x-forwarded-for": "1.1.1.1",
		"x-fine": "yes", "connection": "x-hop", "x-hop": "1", "content-length": "0", "x-envoy-retry-on": "5xx",
	}
	gone := []string{"authorization", "cookie", "x-envoy-retry-on", "x-forwarded-for", "x-hop", "x-passport-service", "x-passport-token"}
	tests := map[string]struct {
		spec    *credential
		headers map[string]string
		set     map[string]string
		removed []string // of the query
		gone    []string
	}{
		"none":   {nil, map[string]string{}, map[string]string{}, nil, gone},
		"bearer": {&credential{Key: "token", Type: v1alpha1.CredentialBearer}, map[string]string{"authorization": "Bearer " + fronttest.Secret}, map[string]string{}, nil, gone[1:]},
		"header": {
			&credential{Key: "token", Type: v1alpha1.CredentialHeader, Name: "X-Key"},
			map[string]string{"x-key": fronttest.Secret},
			map[string]string{},
			nil,
			append(slices.Clone(gone), "x_key"),
		},
		"query": {
			&credential{Key: "token", Type: v1alpha1.CredentialQuery, Name: "key"},
			map[string]string{},
			map[string]string{"key": fronttest.Secret},
			[]string{"KEY", "k%65y", "key[]"},
			gone,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			conn := serve(t, newJudge(t, test.spec))
			response := check(t, conn, request("GET", "/api/a?key=mine&KEY=mine&x=1&k%65y=mine&key[]=mine", slack, mine))
			ok := response.GetOkResponse()
			if ok == nil || response.GetStatus().GetCode() != int32(codes.OK) {
				t.Fatalf("got %v", response)
			}
			headers, set := map[string]string{}, map[string]string{}
			for _, option := range ok.GetHeaders() {
				if option.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
					t.Errorf("%s is appended", option.GetHeader().GetKey())
				}
				headers[option.GetHeader().GetKey()] = option.GetHeader().GetValue()
			}
			for _, parameter := range ok.GetQueryParametersToSet() {
				set[parameter.GetKey()] = parameter.GetValue()
			}
			for _, diff := range []string{
				cmp.Diff(test.headers, headers), cmp.Diff(test.set, set),
				cmp.Diff(test.removed, ok.GetQueryParametersToRemove()), cmp.Diff(test.gone, ok.GetHeadersToRemove()),
			} {
				if diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	two := request("GET", "/api/a", slack, nil)
	two.Attributes.Request.Http.Headers = nil
	two.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: "x-passport-token", RawValue: []byte(fronttest.Token)}, {Key: "X-Passport-Token", RawValue: []byte(fronttest.Token)},
	}}
	tests := map[string]struct {
		request *authv3.CheckRequest
		reason  string
	}{
		"nothing":                    {&authv3.CheckRequest{}, "bad_request"},
		"no service":                 {request("GET", "/api/a", nil, nil), "bad_request"},
		"two services":               {request("GET", "/api/a", nil, map[string]string{"x-passport-service": "slack,github"}), "bad_request"},
		"another service":            {request("GET", "/api/a", map[string]string{"service": "github"}, map[string]string{"x-passport-service": "slack"}), "credential_outside_scope"},
		"two tokens that are joined": {request("GET", "/api/a", slack, map[string]string{"x-passport-token": fronttest.Token + "," + fronttest.Token}), "token_repeated"},
		"two tokens":                 {two, "token_repeated"},
		"a path to rewrite":          {request("GET", "/api/%61", slack, nil), "bad_target"},
		"dot segments":               {request("GET", "/api/../admin", slack, nil), "bad_target"},
		"not below the base":         {request("GET", "/admin", slack, nil), "foreign_target"},
		"another scheme":             {request("GET", "/api/a", map[string]string{"service": "slack", "scheme": "https"}, nil), "foreign_target"},
		"upgrade":                    {request("GET", "/api/a", slack, map[string]string{"upgrade": "websocket"}), "bad_request"},
		"TE":                         {request("GET", "/api/a", slack, map[string]string{"te": "trailers"}), "bad_request"},
		"method override":            {request("POST", "/api/a", slack, map[string]string{"x-http-method-override": "DELETE"}), "bad_request"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := reason(t, check(t, serve(t, newJudge(t, nil)), test.request)); got != test.reason {
				t.Errorf("got %s, want %s", got, test.reason)
			}
		})
	}
}

func TestCheckTakesTheServiceOfAHeader(t *testing.T) {
	judges := newJudge(t, nil)
	response := check(t, serve(t, judges), request("GET", "/api/a", nil, map[string]string{"x-passport-service": "slack"}))
	if response.GetOkResponse() == nil {
		t.Fatalf("got %v", response)
	}
	if ask := judges.Asks()[0]; ask.Source != "10.1.1.1" || ask.Front != judge.FrontExtAuthz || judges.Open() != 0 {
		t.Errorf("asked %+v, %d open", ask, judges.Open())
	}
}

// A body counts where it is certain to be whole.
func TestCheckReadsBodies(t *testing.T) {
	whole := `{"channel":"C1"}`
	header := func(more ...string) map[string]string {
		all := map[string]string{"content-type": "application/json"}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	tests := map[string]struct {
		body    string
		headers map[string]string
		change  func(*authv3.AttributeContext_HttpRequest)
		allowed bool
	}{
		"whole":                          {whole, header("content-length", "16", "x-envoy-auth-partial-body", "false"), nil, true},
		"as text":                        {"", header("content-length", "16"), func(r *authv3.AttributeContext_HttpRequest) { r.Body = whole }, true},
		"in chunks, and whole":           {whole, header("transfer-encoding", "chunked", "x-envoy-auth-partial-body", "false"), nil, true},
		"in chunks, and nobody says":     {whole, header("transfer-encoding", "chunked"), nil, false},
		"partial":                        {whole, header("x-envoy-auth-partial-body", "true"), nil, false},
		"partial, and the caller denies": {whole, header("x-envoy-auth-partial-body", "false,true"), nil, false},
		"shorter than it is":             {whole, header("content-length", "17", "x-envoy-auth-partial-body", "false"), nil, false},
		"two lengths":                    {whole, header("content-length", "16,17"), nil, false},
		"HTTP/2, and nobody says":        {whole, header(), func(r *authv3.AttributeContext_HttpRequest) { r.Protocol = "HTTP/2" }, false},
		"none":                           {"", header("content-length", "0"), nil, false},
		"another value":                  {`{"channel":"C2"}`, header("content-length", "16"), nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			judges := newJudge(t, nil, v1alpha1.Constraint{Path: "body.channel", Op: v1alpha1.ConstraintEq, Value: new("C1")})
			sent := request("POST", "/api/a", slack, test.headers)
			sent.Attributes.Request.Http.RawBody = []byte(test.body)
			if test.change != nil {
				test.change(sent.Attributes.Request.Http)
			}
			response := check(t, serve(t, judges), sent)
			switch {
			case test.allowed && response.GetOkResponse() == nil:
				t.Errorf("got %v", response)
			case !test.allowed && reason(t, response) != "constraint_violation":
				t.Errorf("got %v", response)
			}
		})
	}
}

// A judge that breaks, or is late, denies: an error would open where failure_mode_allow is set.
func TestCheckNeverGivesAnError(t *testing.T) {
	conn := serve(t, broken{})
	response := check(t, conn, request("GET", "/api/a", slack, nil))
	reason(t, response)
	if response.GetDeniedResponse().GetStatus().GetCode() != 503 {
		t.Errorf("got %v", response)
	}
}

type broken struct{}

// Judge implements extauthz.Judge.
func (broken) Judge(context.Context, *judge.Ask) *judge.Verdict { panic("broken") }

func TestHealth(t *testing.T) {
	conn := serve(t, newJudge(t, nil))
	answer, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: "envoy.service.auth.v3.Authorization"})
	if err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("got %v, %v", answer, err)
	}
}

// Every call of the table, as Envoy would describe it in either way, against the real decision.
func TestTheTable(t *testing.T) {
	judges, err := fronttest.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	conn := serve(t, judges)
	calls := requeststest.At(requeststest.ExtAuthz)
	for i := range calls {
		call := &calls[i]
		for form, described := range map[string]*authv3.CheckRequest{"raw": raw(call), "joined": joined(call)} {
			t.Run(call.Name+"/"+form, func(t *testing.T) {
				response := check(t, conn, described)
				if call.WantCode != decision.Allowed {
					want := string(call.WantCode)
					if call.Token == requeststest.TokenList && form == "joined" {
						want = string(decision.CodeTokenRepeated) // Envoy has joined them, or the caller: nobody can tell
					}
					if got := reason(t, response); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					return
				}
				checkSent(t, call, response)
			})
		}
	}
}

func checkSent(t *testing.T, call *requeststest.Request, response *authv3.CheckResponse) {
	t.Helper()
	ok := response.GetOkResponse()
	if ok == nil {
		t.Fatalf("got %v", response)
	}
	if call.Target != call.WantSent {
		t.Errorf("%q would have to be %q", call.Target, call.WantSent)
	}
	header := http.Header{}
	for _, field := range fields(call) {
		header.Add(field.Name, field.Value)
	}
	for _, name := range ok.GetHeadersToRemove() {
		header.Del(name)
	}
	for _, option := range ok.GetHeaders() {
		header.Set(option.GetHeader().GetKey(), option.GetHeader().GetValue())
		if slices.Contains(ok.GetHeadersToRemove(), option.GetHeader().GetKey()) {
			t.Errorf("%s is set and removed", option.GetHeader().GetKey())
		}
	}
	for name, want := range call.WantHeader {
		if values := header.Values(name); !slices.Equal(values, want) {
			t.Errorf("the service gets %s %q, want %q", name, values, want)
		}
	}
}

// fields are all headers of a call of the table.
func fields(call *requeststest.Request) []requeststest.Field {
	all := slices.Clone(call.Header)
	for _, token := range fronttest.TokensOf(call.Token) {
		all = append(all, requeststest.Field{Name: "X-Passport-Token", Value: token})
	}
	if bearer := fronttest.BearerOf(call.Caller); bearer != "" {
		all = append(all, requeststest.Field{Name: "Authorization", Value: bearer})
	}
	return append(all, requeststest.Field{Name: "X-Envoy-Auth-Partial-Body", Value: "false"})
}

func describe(call *requeststest.Request) *authv3.CheckRequest {
	described := request(call.Method, call.Target, map[string]string{"service": call.Service}, nil)
	sent := described.Attributes.Request.Http
	sent.Scheme, sent.Host, sent.RawBody, sent.Headers = call.Scheme, call.Authority, []byte(call.Body), nil
	return described
}

func raw(call *requeststest.Request) *authv3.CheckRequest {
	described := describe(call)
	described.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{}
	for _, field := range fields(call) {
		all := &described.Attributes.Request.Http.HeaderMap.Headers
		*all = append(*all, &corev3.HeaderValue{Key: strings.ToLower(field.Name), RawValue: []byte(field.Value)})
	}
	return described
}

func joined(call *requeststest.Request) *authv3.CheckRequest {
	described := describe(call)
	all := map[string]string{}
	for _, field := range fields(call) {
		name := strings.ToLower(field.Name)
		if before, twice := all[name]; twice {
			field.Value = before + "," + field.Value
		}
		all[name] = field.Value
	}
	described.Attributes.Request.Http.Headers = all
	return described
}

func BenchmarkCheck(b *testing.B) {
	conn := serve(b, newJudge(b, &v1alpha1.ServiceCredential{Key: "token", Type: v1alpha1.CredentialBearer}))
	client := authv3.NewAuthorizationClient(conn)
	sent := request("GET", "/api/a?x=1", slack, map[string]string{"user-agent": "agent/1", "accept": "*/*"})
	for b.Loop() {
		if response, err := client.Check(context.Background(), sent); err != nil || response.GetOkResponse() == nil {
			b.Fatal(response, err)
		}
	}
}
