package main

import (
	"context"
	"crypto/tls"
	"errors"
	goflag "flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // every way to authenticate that kubectl has
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	clientconfig "sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"agentpassport.dev/operator/internal/audit/access"
	"agentpassport.dev/operator/internal/audit/forward"
	"agentpassport.dev/operator/internal/audit/index"
	"agentpassport.dev/operator/internal/audit/service"
	"agentpassport.dev/operator/internal/audit/wire"
)

// shutdownTimeout is how long requests may take to end.
const shutdownTimeout = 20 * time.Second

type serveFlags struct {
	dataDir        string
	origin         string
	keyFile        string
	address        string
	probeAddress   string
	metricsAddress string
	metricsSecure  bool
	certFile       string
	privateKeyFile string
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
				return usageError{err}
			}
			ctrl.SetLogger(zap.New(zap.UseFlagOptions(&f.log)))
			// Tessera and the API machinery log there.
			klog.SetLogger(ctrl.Log)
			return serve(command.Context(), &f)
		},
	}
	set := command.Flags()
	set.StringVar(&f.dataDir, "data-dir", "/var/lib/agent-passport-auditlog", "Where the log is, on a local file system such as ext4 or XFS, and its index.")
	set.StringVar(&f.origin, "origin", "agent-passport-auditlog", "The name of the log, which its checkpoints and events bear. It never changes.")
	set.StringVar(&f.keyFile, "key-file", "", "The private key that signs checkpoints, as golang.org/x/mod/sumdb/note writes it.")
	set.StringVar(&f.address, "bind-address", ":8443", "The address of the service, over HTTPS.")
	set.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "The address of /healthz and /readyz.")
	set.StringVar(&f.metricsAddress, "metrics-bind-address", ":8080", "The address of the metrics endpoint; 0 switches it off.")
	set.BoolVar(&f.metricsSecure, "metrics-secure", true, "Serve metrics over HTTPS, to those whom RBAC lets get /metrics.")
	set.StringVar(&f.certFile, "tls-cert-file", "", "The certificate of the service, PEM. A new one is taken up while it runs.")
	set.StringVar(&f.privateKeyFile, "tls-private-key-file", "", "The private key of that certificate, PEM.")
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
	case f.dataDir == "" || f.origin == "" || f.audience == "":
		return errors.New("--data-dir, --origin and --audience must not be empty")
	case f.keyFile == "":
		return errors.New("--key-file is required")
	case f.certFile == "" || f.privateKeyFile == "":
		return errors.New("--tls-cert-file and --tls-private-key-file are required: callers send tokens")
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
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                  runtime.NewScheme(),
		Metrics:                 metricsOptions,
		HealthProbeBindAddress:  f.probeAddress,
		GracefulShutdownTimeout: &timeout,
	})
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	s := &server{serveFlags: f, config: config, clock: clock.RealClock{}, logger: ctrl.Log.WithName("auditlog")}
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

// server runs the service.
type server struct {
	*serveFlags
	config *rest.Config
	clock  clock.WithTicker
	logger logr.Logger
	open   atomic.Bool
}

// ready says that the log was read, and takes records.
func (s *server) ready(*http.Request) error {
	if !s.open.Load() {
		return errors.New("the log is being read from its first record")
	}
	return nil
}

// run opens the log and serves it until the context ends or the log fails.
func (s *server) run(ctx context.Context) (err error) {
	began := s.clock.Now()
	tree, err := openLog(ctx, s.dataDir, s.origin, s.keyFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	s.logger.Info("the log is open", "epoch", tree.Epoch(), "size", tree.Head().Size, "took", s.clock.Since(began).String())

	records, err := index.Open(ctx, filepath.Join(s.dataDir, "index.db"), tree, index.Options{
		Origin: s.origin, Epoch: tree.Epoch(), Clock: s.clock, Log: s.logger.WithName("index"),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()

	running, fail := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer fail(nil)
	start := func(what string, run func(context.Context) error) {
		beside.Go(func() {
			if err := run(running); err != nil {
				fail(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	start("the index", records.Run)
	appended := []func(){records.Appended}
	if s.forward.URL != "" {
		forwarder, err := s.newForwarder(tree)
		if err != nil {
			return fmt.Errorf("--forward-to: %w", err)
		}
		start("the forwarder", forwarder.Run)
		appended = append(appended, forwarder.Appended)
	}
	handler, err := s.handler(running, tree, records, appended, fail)
	if err != nil {
		return err
	}
	if err := s.listen(running, handler); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running)
}

func (s *server) newForwarder(tree service.Tree) (*forward.Forwarder, error) {
	options := s.forward
	options.File = filepath.Join(s.dataDir, "forward.json")
	options.Origin, options.Epoch = s.origin, tree.Epoch()
	options.Clock, options.Log, options.Registry = s.clock, s.logger.WithName("forward"), metrics.Registry
	return forward.New(tree, options)
}

func (s *server) handler(ctx context.Context, tree service.Tree, records *index.Index, appended []func(), failed func(error)) (http.Handler, error) {
	options := access.Options{Config: s.config, Audience: s.audience, Log: s.logger.WithName("access")}
	if s.clientCAFile != "" {
		authorities, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", s.clientCAFile)
		if err != nil {
			return nil, fmt.Errorf("--client-ca-file: %w", err)
		}
		go authorities.Run(ctx, 1)
		options.ClientCA = authorities
	}
	allowed, err := access.New(options)
	if err != nil {
		return nil, err
	}
	return service.New(service.Options{
		Tree: tree, Index: records, Access: allowed, Clock: s.clock, Log: s.logger, Appended: appended, Failed: failed,
		Metrics: service.NewMetrics(metrics.Registry,
			func() float64 { return float64(tree.Head().Size) },
			func() float64 {
				has := records.Size()
				return float64(max(tree.Head().Size, has) - has)
			}),
	}), nil
}

// listen serves HTTPS until the context ends, and lets requests end.
func (s *server) listen(ctx context.Context, handler http.Handler) error {
	certificate, err := certwatcher.New(s.certFile, s.privateKeyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert-file and --tls-private-key-file: %w", err)
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watching.Go(func() {
		if err := certificate.Start(ctx); err != nil {
			stop(fmt.Errorf("watch the certificate: %w", err))
		}
	})
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.GetCertificate}
	if s.clientCAFile != "" {
		// Asked for here, and held against the authorities by the one who decides on access.
		config.ClientAuth = tls.RequestClientCert
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(s.logger.V(1)), slog.LevelInfo),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	s.open.Store(true)
	s.logger.Info("serving", "address", listener.Addr().String())
	select {
	case err = <-served:
	case <-ctx.Done():
		s.open.Store(false)
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(ending) != nil {
			// A stream goes on: its reader sees that it is not whole.
			err = server.Close()
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
