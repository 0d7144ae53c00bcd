package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit/forward"
	"agentpassport.dev/operator/internal/audit/index"
	"agentpassport.dev/operator/internal/audit/keysecret"
	"agentpassport.dev/operator/internal/audit/mirror"
	"agentpassport.dev/operator/internal/audit/recovery"
	"agentpassport.dev/operator/internal/audit/service"
	"agentpassport.dev/operator/internal/audit/witness"
	"agentpassport.dev/operator/internal/audit/writer"
)

// keyInterval is how often it is looked whether a new key was added.
const keyInterval = time.Minute

// server runs the service.
type server struct {
	*serveFlags
	config *rest.Config
	client client.Client
	clock  clock.WithTicker
	logger logr.Logger

	gate atomic.Pointer[recovery.Gate]
	door door
	// listening says that requests get through, and that clients can know the certificate.
	listening atomic.Bool
}

// door is what requests come to: the service once the log is open, and until then what begins a new epoch.
type door struct {
	epochs http.Handler
	open   atomic.Pointer[http.Handler]
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if open := d.open.Load(); open != nil && r.URL.Path != service.EpochsPath {
		(*open).ServeHTTP(w, r)
		return
	}
	d.epochs.ServeHTTP(w, r)
}

// ready says that the log was read, and takes records.
func (s *server) ready(*http.Request) error {
	if s.door.open.Load() != nil && s.listening.Load() {
		return nil
	}
	if gate := s.gate.Load(); gate != nil {
		if lost := gate.Lost(); lost != nil {
			return lost
		}
	}
	if s.door.open.Load() != nil {
		return errors.New("the service does not listen yet")
	}
	return errors.New("the log is being read from its first record")
}

// run serves until the context ends or the log fails. A log that lost records waits for a new epoch.
func (s *server) run(ctx context.Context) error {
	options, err := s.options(ctx, s.client, s.clock)
	if err != nil {
		return err
	}
	allowed, err := s.access(ctx)
	if err != nil {
		return err
	}
	gate := recovery.NewGate(s.client, s.namespace, options)
	s.gate.Store(gate)
	s.door.epochs = service.Epochs(gate, allowed, s.clock, s.logger)

	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	served := make(chan struct{})
	go func() {
		defer close(served)
		fail(s.listen(running, &s.door))
	}()
	kept := s.keep(running, gate, fail, served, allowed)
	fail(kept)
	<-served
	if cause := context.Cause(running); ctx.Err() == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return kept
}

// keep opens the log and has everything work on it until the context ends, and all requests with it.
func (s *server) keep(ctx context.Context, gate *recovery.Gate, fail func(error), served <-chan struct{}, allowed *access.Access) (err error) {
	began := s.clock.Now()
	log, err := gate.Open(logr.NewContext(ctx, s.logger))
	if err != nil {
		return err
	}
	s.logger.Info("the log is open", "epoch", log.Epoch(), "size", log.Head().Size, "took", s.clock.Since(began).String())
	unmirror := s.mirrorHead(ctx, log)
	// The last head of all is mirrored too.
	defer func() { err = errors.Join(err, log.Close(), unmirror()) }()

	open := tree{Log: log, Reader: log.Reader(log.Epoch())}
	records, err := index.Open(ctx, filepath.Join(s.dataDir, "index.db"), open, index.Options{
		Origin: s.origin, Epoch: log.Epoch(), Clock: s.clock, Log: s.logger.WithName("index"),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()

	var beside sync.WaitGroup
	defer beside.Wait()
	start := func(what string, run func(context.Context) error) {
		beside.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				fail(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	start("the index", records.Run)
	start("the keys", func(ctx context.Context) error { return s.followKeys(ctx, log) })
	appended := []func(){records.Appended}
	if s.forward.URL != "" {
		forwarder, err := s.newForwarder(open)
		if err != nil {
			return fmt.Errorf("--forward-to: %w", err)
		}
		start("the forwarder", forwarder.Run)
		appended = append(appended, forwarder.Appended)
	}
	if s.witnesses != "" {
		cosigner, err := s.newCosigner(log)
		if err != nil {
			return fmt.Errorf("--witness-policy-file: %w", err)
		}
		start("the witnesses", func(ctx context.Context) error {
			return cosigner.Run(logr.NewContext(ctx, s.logger.WithName("witness")))
		})
	}
	handler := service.New(service.Options{
		Tree: open, Index: records, Access: allowed, Clock: s.clock, Log: s.logger, Appended: appended, Failed: fail,
		Metrics: service.NewMetrics(metrics.Registry,
			func() float64 { return float64(log.Head().Size) },
			func() float64 {
				has := records.Size()
				return float64(max(log.Head().Size, has) - has)
			}),
	})
	s.door.open.Store(&handler)
	<-ctx.Done()
	s.door.open.Store(nil)
	<-served
	return nil
}

// mirrorHead mirrors the newest head until what it returns is called, which mirrors the last one.
func (s *server) mirrorHead(ctx context.Context, log *writer.Log) (stop func() error) {
	if !s.mirror {
		return func() error { return nil }
	}
	mirroring, end := context.WithCancel(logr.NewContext(context.WithoutCancel(ctx), s.logger.WithName("mirror")))
	ended := make(chan error, 1)
	go func() {
		ended <- (&mirror.Mirror{Client: s.client, Namespace: s.namespace, Log: log, Clock: s.clock}).Run(mirroring)
	}()
	return func() error {
		end()
		return <-ended
	}
}

// followKeys has a key that was added sign from then on, and takes those away that no longer do.
func (s *server) followKeys(ctx context.Context, log *writer.Log) error {
	ticker := s.clock.NewTicker(keyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		if err := s.adoptKeys(ctx, log); err != nil && ctx.Err() == nil {
			s.logger.Error(err, "the keys of the audit log could not be followed; it signs with the one that it has")
		}
	}
}

func (s *server) adoptKeys(ctx context.Context, log *writer.Log) error {
	privates, err := s.privateKeys(ctx, s.client)
	if err != nil {
		return err
	}
	if err := log.AdoptKeys(ctx, privates); err != nil || s.keyFile != "" {
		return err
	}
	at := client.ObjectKey{Namespace: s.namespace, Name: s.keySecret}
	return keysecret.Retire(ctx, s.client, at, s.origin, log.Ring().Active())
}

func (s *server) newForwarder(open tree) (*forward.Forwarder, error) {
	options := s.forward
	options.File = filepath.Join(s.dataDir, "forward.json")
	options.Origin, options.Epoch = s.origin, open.Epoch()
	options.Clock, options.Log, options.Registry = s.clock, s.logger.WithName("forward"), metrics.Registry
	return forward.New(open, options)
}

func (s *server) newCosigner(log *writer.Log) (*witness.Cosigner, error) {
	raw, err := os.ReadFile(s.witnesses)
	if err != nil {
		return nil, err
	}
	policy, err := witness.ParsePolicy(raw)
	if err != nil {
		return nil, err
	}
	return &witness.Cosigner{Policy: policy, Log: log, Clock: s.clock, Client: &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// access asks the API server who calls and what they may.
func (s *server) access(ctx context.Context) (*access.Access, error) {
	options := access.Options{Config: s.config, Audience: s.audience, Log: s.logger.WithName("access")}
	if s.clientCAFile != "" {
		authorities, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", s.clientCAFile)
		if err != nil {
			return nil, fmt.Errorf("--client-ca-file: %w", err)
		}
		go authorities.Run(ctx, 1)
		options.ClientCA = authorities
	}
	return access.New(options)
}
