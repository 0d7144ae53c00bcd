package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/apiclock"
	auditclient "agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/gateway/api"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/internal/gateway/tokens"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/auditlog"
)

const (
	root     = "../../.."
	audience = "agent-passport-gateway"
	issuer   = "https://passports.example.org"
	gateway  = "system:serviceaccount:" + apiserver.OperatorNamespace + ":agent-passport-gateway"
	soon     = 30 * time.Second
)

var (
	server *apiserver.Server
	// options that a gateway's API is made with; a test changes its own copy.
	options api.Options
	// front is the API that most tests ask.
	front *httptest.Server
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "gateway-api-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	var stops []func()
	defer func() {
		stop()
		for i := range stops {
			stops[len(stops)-1-i]()
		}
		_ = os.RemoveAll(dir)
	}()
	if err := build(ctx, dir, &stops); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build starts all that there is of the operator: an API server with its policies and roles, the audit log,
// the controllers, and a gateway's view.
func build(ctx context.Context, dir string, stops *[]func()) (err error) {
	if server, err = apiserver.Start(ctx, root, apiserver.AllPolicies); err != nil {
		return err
	}
	*stops = append(*stops, func() { _ = server.Stop() })
	binary, err := auditlog.Build(ctx, root, dir)
	if err != nil {
		return err
	}
	log, err := auditlog.Start(ctx, binary, dir, server, io.Discard)
	if err != nil {
		return err
	}
	*stops = append(*stops, log.Kill)
	keys := &controller.Keyring{}
	now := apiclock.New(clock.RealClock{})
	mgr, err := manage(ctx, keys, now, log)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	*stops = append(*stops, func() {
		if err := <-ended; err != nil {
			fmt.Fprintln(os.Stderr, "the manager ended:", err)
		}
	})
	if options, err = connect(ctx, dir, keys, now, mgr, log); err != nil {
		return err
	}
	front = httptest.NewServer(api.New(options))
	*stops = append(*stops, front.Close)
	return nil
}

// manage makes a manager with the real controllers.
func manage(ctx context.Context, keys *controller.Keyring, now *apiclock.Clock, log *auditlog.AuditLog) (ctrl.Manager, error) {
	config := server.Config(apiserver.Manager)
	config.Wrap(now.Wrap)
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: server.Admin().Scheme(), Cache: controller.CacheOptions(apiserver.OperatorNamespace, nil), Client: controller.ClientOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return nil, err
	}
	trail, err := auditclient.New(log.ClientOptions())
	if err != nil {
		return nil, err
	}
	o := controller.Options{
		Clock: now, Keys: keys, Namespace: apiserver.OperatorNamespace, ServiceAccount: apiserver.ManagerServiceAccount,
		Issuer: issuer, TrustDomain: "example.org", GatewayAudience: audience,
		RotationInterval: 24 * time.Hour, PassportWorkers: 8, Registry: prometheus.NewRegistry(),
	}
	o.Trail = controller.NewAuditTrail(trail, o.Username())
	return mgr, controller.Setup(ctx, mgr, o)
}

// connect makes what a gateway has: its view, its client, and who may.
func connect(
	ctx context.Context, dir string, keys *controller.Keyring, now *apiclock.Clock, mgr ctrl.Manager, log *auditlog.AuditLog,
) (api.Options, error) {
	config := func() *rest.Config {
		config := server.Config(gateway)
		config.Wrap(now.Wrap)
		return config
	}
	view, err := state.New(ctx, state.Options{
		Config: config(), Clock: now, Local: clock.RealClock{}, Namespace: apiserver.OperatorNamespace,
		Issuer: issuer, Audience: audience, Log: logr.Discard(),
	})
	if err != nil {
		return api.Options{}, err
	}
	go func() { _ = view.Start(ctx) }()
	who, err := access.New(access.Options{Config: config(), Audience: audience, Log: logr.Discard()})
	if err != nil {
		return api.Options{}, err
	}
	shown, err := server.Token(ctx, apiserver.OperatorNamespace, "agent-passport-gateway", wire.Audience)
	if err != nil {
		return api.Options{}, err
	}
	tokenFile := filepath.Join(dir, "gateway-token")
	if err := os.WriteFile(tokenFile, []byte(shown), 0o600); err != nil {
		return api.Options{}, err
	}
	trail, err := auditclient.New(auditclient.Options{URL: log.URL, CAFile: log.ClientOptions().CAFile, TokenFile: tokenFile})
	if err != nil {
		return api.Options{}, err
	}
	signed, err := tokens.New(&controller.TokenService{Cached: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: now, Keys: keys}, func(raw string) bool { //nolint:contextcheck // as in the gateway
		_, how := view.Token(raw)
		return how == decision.TokenValid
	})
	if err != nil {
		return api.Options{}, err
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		_, loaded := keys.Ring()
		return loaded && view.Synced() && view.Lost() == "", nil
	})
	if err != nil {
		return api.Options{}, fmt.Errorf("the gateway's view: %w: %s", err, view.Lost())
	}
	plain, err := client.New(config(), client.Options{Scheme: server.Admin().Scheme()})
	return api.Options{
		Client: plain, Access: who, Tokens: signed, View: view, Keys: published{keys}, StatusLists: lists{},
		AuditLog: trail, Issuer: issuer, Clock: now, Log: logr.Discard(),
	}, err
}

// published are the keys of a ring.
type published struct{ keys *controller.Keyring }

func (p published) JWKS() ([]byte, bool) {
	ring, loaded := p.keys.Ring()
	if !loaded {
		return nil, false
	}
	return token.JWKS(ring), true
}

// lists has one status list, the first of the first epoch.
type lists struct{}

func (lists) List(_ context.Context, epoch, list int64) (string, error) {
	if epoch != 1 || list != 0 {
		return "", token.ErrNoStatusList
	}
	return "signed.status.list", nil
}

// place is a namespace with an agent and people, each with the rights of one role.
type place struct {
	t         *testing.T
	namespace string
	// url of the API that is asked.
	url string
}

// The people of a place, and the roles that they hold there.
var people = map[string][]string{
	"runner":    {"agent-passport-agent", "use-agents"},
	"other":     {"agent-passport-agent"},
	"reviewer":  {"agent-passport-reviewer"},
	"responder": {"agent-passport-responder"},
	"auditor":   {"agent-passport-auditor"},
	"nobody":    nil,
}

// asks are a right of every role, to see that it is in force.
var asks = map[string]authorizationv1.ResourceAttributes{
	"agent-passport-agent":     {Verb: "create", Resource: "passports"},
	"use-agents":               {Verb: "use", Resource: "agentpassports"},
	"agent-passport-reviewer":  {Verb: "review", Resource: "checkouts"},
	"agent-passport-responder": {Verb: "revoke", Resource: "passports"},
	"agent-passport-auditor":   {Verb: "list", Resource: "auditrecords"},
}

// newPlace makes a namespace with agent support-bot, granted slack, github and notion.
func newPlace(t *testing.T, changes ...func(*v1alpha1.AgentPassport)) *place {
	t.Helper()
	namespace, err := server.Namespace(t.Context(), "api")
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, namespace: namespace, url: front.URL}
	p.create(&rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "use-agents"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"agentpassport.dev"}, Resources: []string{"agentpassports"}, Verbs: []string{"use", "get"}}},
	})
	for person, roles := range people {
		p.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: person}})
		for _, role := range roles {
			kind := "ClusterRole"
			if role == "use-agents" {
				kind = "Role"
			}
			p.bind(person, kind, role)
		}
	}
	for person, roles := range people {
		for _, role := range roles {
			p.inForce(person, asks[role])
		}
	}
	p.agent("support-bot", changes...)
	return p
}

func (p *place) agent(name string, changes ...func(*v1alpha1.AgentPassport)) {
	p.t.Helper()
	agent := &v1alpha1.AgentPassport{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AgentPassportSpec{Grants: []v1alpha1.ServiceGrant{
			{Service: "slack", Scopes: []v1alpha1.Scope{"chat:write"}},
			{Service: "github", Scopes: []v1alpha1.Scope{"repo:read", "issues:write"}},
			{Service: "notion", Scopes: []v1alpha1.Scope{"pages:read"}},
		}},
	}
	for _, change := range changes {
		change(agent)
	}
	p.create(agent)
}

func in(mode v1alpha1.AccountabilityMode) func(*v1alpha1.AgentPassport) {
	return func(agent *v1alpha1.AgentPassport) { agent.Spec.Accountability.Mode = mode }
}

func (p *place) create(object client.Object) {
	p.t.Helper()
	object.SetNamespace(p.namespace)
	if err := server.Admin().Create(p.t.Context(), object); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) bind(person, kind, role string) {
	p.t.Helper()
	p.create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role + "-" + person},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: p.namespace, Name: person}},
	})
}

// inForce waits until the API server grants a right: a refusal would be believed for ten seconds.
func (p *place) inForce(person string, right authorizationv1.ResourceAttributes) {
	p.t.Helper()
	right.Namespace, right.Group = p.namespace, "agentpassport.dev"
	err := wait.PollUntilContextTimeout(p.t.Context(), 10*time.Millisecond, soon, true, func(ctx context.Context) (bool, error) {
		user := p.user(person)
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user, Groups: apiserver.GroupsOf(user), ResourceAttributes: &right,
		}}
		err := server.Admin().Create(ctx, review)
		return review.Status.Allowed, err
	})
	if err != nil {
		p.t.Fatalf("%s of %s: %v", right.Verb, person, err)
	}
}

func (p *place) user(person string) string {
	return "system:serviceaccount:" + p.namespace + ":" + person
}

var bearers sync.Map

// bearer is a person's token for the gateway; empty for nobody at all.
func (p *place) bearer(person string) string {
	p.t.Helper()
	if person == "" {
		return ""
	}
	if known, found := bearers.Load(p.user(person)); found {
		text, _ := known.(string)
		return text
	}
	text, err := server.Token(context.Background(), p.namespace, person, audience)
	if err != nil {
		p.t.Fatal(err)
	}
	bearers.Store(p.user(person), text)
	return text
}

// answer is what came back.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// ask sends a request as a person, and holds request and answer against the OpenAPI document.
func (p *place) ask(person, method, path, body string, headers ...string) *answer {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if bearer := p.bearer(person); bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	got := &answer{t: p.t, status: response.StatusCode, header: response.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &got.body)
	conforms(p.t, request, body, got)
	return got
}

func (p *place) post(person, path, body string, headers ...string) *answer {
	p.t.Helper()
	return p.ask(person, http.MethodPost, path, body, headers...)
}

func (p *place) get(person, path string) *answer {
	p.t.Helper()
	return p.ask(person, http.MethodGet, path, "")
}

// specification finds the operation of a request in the OpenAPI document.
var specification = sync.OnceValues(func() (routers.Router, error) {
	text := func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
		raw, err := io.ReadAll(body)
		return string(raw), err
	}
	for _, kind := range []string{"application/x-ndjson", "application/statuslist+jwt", "text/csv"} {
		openapi3filter.RegisterBodyDecoder(kind, text)
	}
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI())
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// conforms holds an answer, and the request where it was taken, against the document.
func conforms(t *testing.T, request *http.Request, body string, got *answer) {
	t.Helper()
	router, err := specification()
	if err != nil {
		t.Fatal(err)
	}
	plain := request.Clone(context.Background())
	plain.Body, plain.Host = io.NopCloser(strings.NewReader(body)), ""
	plain.URL.Scheme, plain.URL.Host = "", ""
	route, parameters, err := router.FindRoute(plain)
	if err != nil {
		if got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s is not in the document, and is answered with %d", request.Method, request.URL.Path, got.status)
		}
		return
	}
	input := &openapi3filter.RequestValidationInput{
		Request: plain, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if got.status < http.StatusBadRequest {
		if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
			t.Errorf("%s %s was taken, and is not as the document says: %v", request.Method, request.URL.Path, err)
		}
	}
	output := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: got.status, Header: got.header, Options: input.Options,
		Body: io.NopCloser(bytes.NewReader([]byte(got.raw))),
	}
	if err := openapi3filter.ValidateResponse(context.Background(), output); err != nil {
		t.Errorf("the answer of %s %s is not as the document says: %v\n%s", request.Method, request.URL.Path, err, got.raw)
	}
}

// ok demands success.
func (a *answer) ok() *answer {
	a.t.Helper()
	if a.status != http.StatusOK {
		a.t.Fatalf("%d: %s", a.status, a.raw)
	}
	return a
}

// refused demands an error with this code, and its status.
func (a *answer) refused(code api.Code) *answer {
	a.t.Helper()
	if told := a.text("error", "code"); told != string(code) || a.status != api.Codes()[code] {
		a.t.Fatalf("want %d %s, got %d: %s", api.Codes()[code], code, a.status, a.raw)
	}
	return a
}

// at follows names, and numbers as places in arrays, into the body.
func (a *answer) at(path ...any) any {
	a.t.Helper()
	var at any = a.body
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := at.(map[string]any)
			at = object[step]
		case int:
			list, _ := at.([]any)
			if step >= len(list) {
				return nil
			}
			at = list[step]
		}
	}
	return at
}

func (a *answer) text(path ...any) string {
	a.t.Helper()
	text, _ := a.at(path...).(string)
	return text
}

func (a *answer) list(path ...any) []any {
	a.t.Helper()
	list, _ := a.at(path...).([]any)
	return list
}

// guide is a request body of the lifecycle guide, byte for byte.
func guide(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "guide", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// issue gets a passport by the guide's request.
func (p *place) issue() *answer {
	p.t.Helper()
	return p.post("runner", "/v1/passports/issue", guide(p.t, "issue")).ok()
}

// eventually asks again until it holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, soon, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("%s: %v", what, err)
	}
}

func inNamespace(p *place) client.InNamespace { return client.InNamespace(p.namespace) }
