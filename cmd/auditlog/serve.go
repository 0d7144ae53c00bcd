package main

import (
	"cmp"
	"context"
	"errors"
	goflag "flag"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // every way to authenticate that kubectl has
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientconfig "sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"agentpassport.dev/operator/internal/audit/forward"
	"agentpassport.dev/operator/internal/audit/keysecret"
	"agentpassport.dev/operator/internal/audit/mirror"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/commandline"
	"agentpassport.dev/operator/internal/servingcert"
)

type serveFlags struct {
	dataDir        string
	origin         string
	namespace      string
	keyFile        string
	keySecret      string
	mirror         bool
	witnesses      string
	address        string
	probeAddress   string
	metricsAddress string
	metricsSecure  bool
	certFile       string
	privateKeyFile string
	servingNames   []string
	clientCAFile   string
	audience       string
	forward        forward.Options
	log            zap.Options
}

func newServeCommand() *cobra.Command {
	var f serveFlags
	command := &cobra.Command{
		Use:   "serve",
		Short: "Take records, answer queries and prove both, over HTTPS",
		Args:  noArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return commandline.Misuse(err)
			}
			ctrl.SetLogger(zap.New(zap.UseFlagOptions(&f.log)))
			// Tessera and the API machinery log there.
			klog.SetLogger(ctrl.Log)
			return serve(command.Context(), &f)
		},
	}
	set := command.Flags()
	set.StringVar(&f.dataDir, "data-dir", "/var/lib/agent-passport-auditlog", "Where the log is, on a local file system such as ext4 or XFS, and its index.")
	set.StringVar(&f.origin, "origin", defaultLogName, "The name of the log, which its checkpoints and events bear. It never changes.")
	set.StringVar(&f.namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "agent-passport-system"), "The operator's own namespace: the keys, the authority and the mirrored head are there.")
	set.StringVar(&f.keySecret, "key-secret", keysecret.Name, "The Secret of the private keys that sign checkpoints. It is made where it is not there, and a key that is added signs from then on.")
	set.StringVar(&f.keyFile, "key-file", "", "The private keys in a file instead, one a line, the newest last, as golang.org/x/mod/sumdb/note writes them.")
	set.BoolVar(&f.mirror, "mirror", true, "Mirror the newest head to ConfigMap "+mirror.Name+", and refuse to start with less than it shows.")
	set.StringVar(&f.witnesses, "witness-policy-file", "", "The witnesses that are asked to cosign the head, and how many have to; empty: none.")
	set.StringVar(&f.address, "bind-address", ":8443", "The address of the service, over HTTPS.")
	set.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "The address of /healthz and /readyz.")
	set.StringVar(&f.metricsAddress, "metrics-bind-address", ":8080", "The address of the metrics endpoint; 0 switches it off.")
	set.BoolVar(&f.metricsSecure, "metrics-secure", true, "Serve metrics over HTTPS, to those whom RBAC lets get /metrics.")
	set.StringVar(&f.certFile, "tls-cert-file", "", "The certificate of the service, PEM. A new one is taken up while it runs. Empty: one of its own making, whose authority is published in ConfigMap "+servingcert.AuditLogName+".")
	set.StringVar(&f.privateKeyFile, "tls-private-key-file", "", "The private key of that certificate, PEM.")
	set.StringSliceVar(&f.servingNames, "serving-names", nil, "The DNS names and IP addresses in a certificate of its own making; empty: that of the Service in --namespace.")
	set.StringVar(&f.clientCAFile, "client-ca-file", "", "The authorities that may sign certificates of clients, PEM; their common name is the user, their organizations the groups. Empty: clients need a token.")
	set.StringVar(&f.audience, "audience", wire.Audience, "The audience that a token has to be for.")
	set.StringVar(&f.forward.URL, "forward-to", "", "A URL that every record is sent to as a CloudEvent; empty: none.")
	set.StringVar(&f.forward.TokenFile, "forward-token-file", "", "The bearer token for --forward-to; it is read for every request. Empty: none is sent.")
	set.StringVar(&f.forward.CAFile, "forward-ca-file", "", "The authorities that may sign the certificate of --forward-to, PEM; empty: those of the system.")
	set.IntVar(&f.forward.Batch, "forward-batch", 1, "How many events a request has: 1 in structured mode, more, up to 256, in batched mode.")
	goflags := goflag.NewFlagSet("", goflag.ContinueOnError)
	f.log.BindFlags(goflags)
	clientconfig.RegisterFlags(goflags)
	set.AddGoFlagSet(goflags)
	return command
}

func (f *serveFlags) check() error {
	switch {
	case f.dataDir == "" || f.origin == "" || f.audience == "" || f.namespace == "" || f.keySecret == "":
		return errors.New("--data-dir, --origin, --audience, --namespace and --key-secret must not be empty")
	case (f.certFile == "") != (f.privateKeyFile == ""):
		return errors.New("--tls-cert-file and --tls-private-key-file go together")
	case f.certFile != "" && len(f.servingNames) > 0:
		return errors.New("--serving-names are those of a certificate of its own making: leave them out with --tls-cert-file")
	case f.forward.URL == "" && (f.forward.TokenFile != "" || f.forward.CAFile != "" || f.forward.Batch != 1):
		return errors.New("--forward-token-file, --forward-ca-file and --forward-batch need --forward-to")
	}
	return nil
}

func serve(ctx context.Context, f *serveFlags) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	// The API server's own priority and fairness is the limit.
	config.QPS = -1
	metricsOptions := metricsserver.Options{BindAddress: f.metricsAddress, SecureServing: f.metricsSecure}
	if f.metricsSecure {
		metricsOptions.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	// Requests end first, then the log.
	timeout := shutdownTimeout + 10*time.Second
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metricsOptions,
		HealthProbeBindAddress:  f.probeAddress,
		GracefulShutdownTimeout: &timeout,
	})
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	s := &server{serveFlags: f, config: config, client: c, clock: clock.RealClock{}, logger: ctrl.Log.WithName("auditlog")}
	if err := mgr.Add(manager.RunnableFunc(s.run)); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("log", s.ready); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
