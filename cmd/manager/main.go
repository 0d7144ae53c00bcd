// Command manager runs the controllers of the Agent Passport Operator, holds its signing keys, and
// serves the keys that verify its tokens.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // every way to authenticate that kubectl has
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/apiclock"
	"agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/configfile"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/flagvalue"
	"agentpassport.dev/operator/internal/review"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/internal/watched"
)

// shutdownTimeout is how long what runs may take to end.
const shutdownTimeout = 20 * time.Second

type flags struct {
	metricsAddress  string
	metricsSecure   bool
	probeAddress    string
	issuerAddress   string
	leaderElect     bool
	namespace       string
	serviceAccount  string
	issuer          string
	trustDomain     string
	gatewayAudience string
	channelAddress  string
	channelNames    []string
	gatewayURL      string
	gatewayNames    []string
	rotation        time.Duration
	passportWorkers int
	configFile      string
	works           watched.Namespaces
	auditLog        client.Options
	thresholds      review.Thresholds
	log             zap.Options
}

func parse(set *flag.FlagSet, args []string) (*flags, error) {
	var f flags
	set.StringVar(&f.metricsAddress, "metrics-bind-address", ":8443", "The address of the metrics endpoint; 0 switches it off.")
	set.BoolVar(&f.metricsSecure, "metrics-secure", true, "Serve metrics over HTTPS, to those whom RBAC lets get /metrics.")
	set.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "The address of /healthz and /readyz.")
	set.StringVar(&f.issuerAddress, "issuer-bind-address", ":8082", "The address that serves the JWKS, the OpenID configuration and the status lists over HTTP; 0 switches it off.")
	set.BoolVar(&f.leaderElect, "leader-elect", false, "Let one replica at a time run the controllers. Needed with more than one.")
	set.StringVar(&f.namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "agent-passport-system"), "The operator's own namespace: its keys, JWKS and lease are there.")
	set.StringVar(&f.serviceAccount, "service-account", "agent-passport-manager", "The operator's ServiceAccount in its namespace: whom namespaces consent to.")
	set.StringVar(&f.issuer, "issuer", "http://agent-passport-issuer.agent-passport-system.svc", "The issuer of the tokens (iss): the URL under which verifiers reach --issuer-bind-address, over https where TLS stands in front of it. Changing it ends no live token, but verifiers have to know both.")
	set.StringVar(&f.trustDomain, "trust-domain", "cluster.local", "The trust domain of the subjects (sub), as in SPIFFE IDs.")
	set.StringVar(&f.gatewayAudience, "gateway-audience", "agent-passport-gateway", "The gateway's audience, which every token is for.")
	set.StringVar(&f.channelAddress, "channel-bind-address", ":9443", "The address that serves tokens to gateways, which show a certificate of ours; 0 switches it off.")
	set.Func("channel-serving-names", "Names and addresses under which gateways reach --channel-bind-address, separated by commas; none: those of Service agent-passport-channel.", flagvalue.Names(&f.channelNames))
	set.StringVar(&f.gatewayURL, "gateway-url", "", "The URL of the gateway, for token Secrets; empty: they say nothing of it.")
	set.Func("gateway-serving-names", "Further names and addresses for the gateway's certificate, separated by commas, beside those of Service agent-passport-gateway.", flagvalue.Names(&f.gatewayNames))
	set.DurationVar(&f.rotation, "key-rotation-interval", 30*24*time.Hour, "How long a key signs; at least one hour.")
	set.IntVar(&f.passportWorkers, "passport-workers", 64, "How many passports are worked on at once.")
	set.StringVar(&f.configFile, "config-file", "", "The config file, YAML with the thresholds of the detectors; empty: the defaults. It is read at the start.")
	set.StringVar(&f.auditLog.URL, "audit-log-url", "https://agent-passport-auditlog.agent-passport-system.svc:8443", "The audit log, over https. Passports are issued while it takes their records.")
	set.StringVar(&f.auditLog.CAFile, "audit-log-ca-file", "", "The authorities that may sign the audit log's certificate, PEM, read for every connection; empty: those of the system.")
	set.StringVar(&f.auditLog.TokenFile, "audit-log-token-file", "", "The bearer token for the audit log, read for every request.")
	set.Func(watched.Flag, watched.Usage, f.works.Parse)
	f.log.BindFlags(set)
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if err := f.check(set); err != nil {
		return nil, err
	}
	var err error
	f.thresholds, err = configfile.Thresholds(f.configFile)
	return &f, err
}

func (f *flags) check(set *flag.FlagSet) error {
	switch {
	case set.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: every setting is a flag", set.Arg(0))
	case !isURL(f.issuer):
		return fmt.Errorf("--issuer %q: want a URL such as https://passports.example.com, without query or fragment", f.issuer)
	case f.rotation < time.Hour:
		return fmt.Errorf("--key-rotation-interval %s: at least 1h", f.rotation)
	case f.passportWorkers < 1 || f.passportWorkers > 1000:
		return fmt.Errorf("--passport-workers %d: 1 to 1000", f.passportWorkers)
	case f.gatewayURL != "" && f.channelAddress == "0":
		return errors.New("--gateway-url needs --channel-bind-address: gateways get their tokens there")
	case f.gatewayURL != "" && !isURL(f.gatewayURL):
		return fmt.Errorf("--gateway-url %q: want a URL such as https://gateway.example.com", f.gatewayURL)
	case f.namespace == "" || f.serviceAccount == "" || f.trustDomain == "" || f.gatewayAudience == "":
		return errors.New("--namespace, --service-account, --trust-domain and --gateway-audience must not be empty")
	}
	return nil
}

func isURL(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && parsed.Host != "" && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.RawQuery == "" && parsed.Fragment == ""
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == endMissionsCommand {
		f, err := parseEndMissions(flag.CommandLine, os.Args[2:])
		if err != nil {
			fmt.Fprintln(os.Stderr, "manager:", err)
			os.Exit(2)
		}
		ctrl.SetLogger(zap.New(zap.UseFlagOptions(&f.log)))
		if err := endMissions(ctrl.SetupSignalHandler(), f); err != nil {
			ctrl.Log.Error(err, "missions are left")
			os.Exit(1)
		}
		return
	}
	f, err := parse(flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(2)
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&f.log)))
	if err := run(ctrl.SetupSignalHandler(), f); err != nil {
		ctrl.Log.Error(err, "the manager ends")
		os.Exit(1)
	}
}

func run(ctx context.Context, f *flags) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	// The API server's own priority and fairness is the limit.
	config.QPS = -1
	now := apiclock.New(clock.RealClock{})
	config.Wrap(now.Wrap)

	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))

	metricsOptions := metricsserver.Options{BindAddress: f.metricsAddress, SecureServing: f.metricsSecure}
	if f.metricsSecure {
		metricsOptions.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	timeout := shutdownTimeout
	fresh, err := controller.NewFreshness(config, f.namespace, f.works, clock.RealClock{})
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		NewCache:                      fresh.NewCache,
		Cache:                         controller.CacheOptions(f.namespace, f.works),
		Client:                        controller.ClientOptions(),
		Metrics:                       metricsOptions,
		HealthProbeBindAddress:        f.probeAddress,
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              "agent-passport-manager",
		LeaderElectionNamespace:       f.namespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &timeout,
	})
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	auditLog, err := client.New(f.auditLog)
	if err != nil {
		return fmt.Errorf("--audit-log-url %s: %w", f.auditLog.URL, err)
	}
	keys := &controller.Keyring{}
	options := controller.Options{
		Clock:            now,
		Keys:             keys,
		Namespace:        f.namespace,
		ServiceAccount:   f.serviceAccount,
		Issuer:           f.issuer,
		TrustDomain:      f.trustDomain,
		GatewayAudience:  f.gatewayAudience,
		RotationInterval: f.rotation,
		Thresholds:       f.thresholds,
		PassportWorkers:  f.passportWorkers,
		GatewayURL:       f.gatewayURL,
		GatewayNames:     f.gatewayNames,
		Fresh:            fresh,
	}
	if err := mgr.Add(fresh); err != nil {
		return err
	}
	if f.channelAddress != "0" {
		options.Channel = &controller.ChannelAuthority{}
		options.Connections = controller.NewConnectionReports(mgr.GetClient(), mgr.GetAPIReader(), now)
		options.Reports = controller.NewReports(mgr.GetClient(), mgr.GetAPIReader())
		options.LiveGateways = controller.LiveGateways(mgr.GetClient(), f.namespace)
		options.Calls = auditLog.Calls
	}
	options.Trail = controller.NewAuditTrail(auditLog, options.Username())
	if err := controller.Setup(ctx, mgr, options); meta.IsNoMatchError(err) {
		return fmt.Errorf("%w: apply the CRDs of this version before the manager of this version (config/crd; the chart brings its own)", err)
	} else if err != nil {
		return fmt.Errorf("set up the controllers: %w", err)
	}
	lists := controller.NewStatusLists(mgr.GetCache(), mgr.GetClient(), options)
	if err := serveIssuer(ctx, mgr, f, keys, lists); err != nil {
		return fmt.Errorf("serve the JWKS: %w", err)
	}
	if err := serveChannel(ctx, mgr, f, options, lists); err != nil {
		return fmt.Errorf("serve the gateways: %w", err)
	}
	if err := addChecks(mgr, keys); err != nil {
		return fmt.Errorf("set up the probes: %w", err)
	}
	return mgr.Start(ctx)
}

// serveIssuer serves the JWKS, the OpenID configuration and the status lists, on every replica.
func serveIssuer(ctx context.Context, mgr ctrl.Manager, f *flags, keys *controller.Keyring, lists token.StatusLists) error {
	if f.issuerAddress == "0" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.issuerAddress)
	if err != nil {
		return err
	}
	handler := http.NewServeMux()
	handler.Handle("/", token.NewHandler(f.issuer, keys.Ring))
	handler.Handle(token.StatusListPattern, token.NewStatusListHandler(lists))
	timeout := shutdownTimeout
	return mgr.Add(&manager.Server{
		Name:            "issuer",
		Listener:        listener,
		ShutdownTimeout: &timeout,
		Server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      10 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    16 << 10,
		},
	})
}

// addChecks has /healthz say that the process answers, and /readyz that it can serve: its caches are
// filled and its keys are loaded.
func addChecks(mgr ctrl.Manager, keys *controller.Keyring) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	ready := controller.SyncCheck(mgr, keys)
	return mgr.AddReadyzCheck("synced", func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()
		return ready(ctx)
	})
}
