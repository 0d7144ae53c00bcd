package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/apiclock"
	auditclient "agentpassport.dev/operator/internal/audit/client"
	channelclient "agentpassport.dev/operator/internal/channel/client"
	"agentpassport.dev/operator/internal/gateway/api"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/dial"
	"agentpassport.dev/operator/internal/gateway/extauthz"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/presence"
	"agentpassport.dev/operator/internal/gateway/proxy"
	"agentpassport.dev/operator/internal/gateway/signals"
	"agentpassport.dev/operator/internal/gateway/spool"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/internal/gateway/tokens"
	"agentpassport.dev/operator/internal/gateway/trail"
	"agentpassport.dev/operator/internal/servingcert"
)

const (
	// drainTimeout is how long the records that are left may take to the audit log once calls have ended. What
	// is left after it stays in the spool.
	drainTimeout = 20 * time.Second
	// markedWithin is how long after its end a mission that ended before the start is still marked as seen: no
	// verdict waits for longer.
	markedWithin = time.Minute
)

// serverClock tells the API server's time, and waits by the local one.
type serverClock struct {
	clock.RealClock
	server *apiclock.Clock
}

// Now implements clock.PassiveClock.
func (c serverClock) Now() time.Time { return c.server.Now() }

// Since implements clock.PassiveClock.
func (c serverClock) Since(t time.Time) time.Duration { return c.server.Since(t) }

// gateway is everything that runs.
type gateway struct {
	*flags
	log      logr.Logger
	now      serverClock
	local    clock.RealClock
	leases   coordination.LeaseInterface
	view     *state.View
	spool    *spool.Spool
	trail    *trail.Trail
	pending  *signals.Pending
	reporter *signals.Reporter
	channel  *channelclient.Client
	extAuthz *extauthz.Server
	handler  http.Handler
	upstream *dial.Transports
	// credentials is told that what is known of a credential has changed.
	credentials chan struct{}
	stopping    atomic.Bool
}

// newGateway puts everything together. It starts nothing but the spool.
func newGateway(
	ctx context.Context, f *flags, config *rest.Config, scheme *runtime.Scheme, server *apiclock.Clock,
) (g *gateway, err error) {
	g = &gateway{flags: f, log: ctrl.Log.WithName("gateway"), now: serverClock{server: server}, credentials: make(chan struct{}, 1)}
	leases, err := coordination.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	g.leases = leases.Leases(f.namespace)
	g.view, err = state.New(ctx, state.Options{
		Config: config, Clock: g.now, Local: g.local, Namespace: f.namespace, Works: f.works, Issuer: f.issuer, Audience: f.audience,
		WatchSilence: f.watchSilence, ServerSilence: f.serverSilence, Log: g.log.WithName("state"),
	})
	if err != nil {
		return nil, err
	}
	callers, err := access.New(access.Options{Config: config, Audience: f.audience, Log: g.log.WithName("access")})
	if err != nil {
		return nil, err
	}
	auditLog, err := auditclient.New(f.auditLog)
	if err != nil {
		return nil, fmt.Errorf("--audit-log-url %s: %w", f.auditLog.URL, err)
	}
	g.channel, err = channelclient.New(channelclient.Options{
		URL: f.channelURL, Clock: g.now, CAFile: filepath.Join(f.tlsDir, servingcert.ConfigMapKey),
		CertFile: filepath.Join(f.tlsDir, servingcert.ClientCertKey), KeyFile: filepath.Join(f.tlsDir, servingcert.ClientKeyKey),
	})
	if err != nil {
		return nil, fmt.Errorf("--channel-url %s: %w", f.channelURL, err)
	}
	if err := g.remember(auditLog); err != nil { //nolint:contextcheck // the spool writes until it is closed
		return nil, err
	}
	judges, err := g.newJudge(callers)
	if err != nil {
		return nil, errors.Join(err, g.spool.Close())
	}
	g.handler, err = g.newHandler(config, scheme, callers, auditLog, judges) //nolint:contextcheck // keys are read when a token asks for them
	if err != nil {
		return nil, errors.Join(err, g.spool.Close())
	}
	g.extAuthz = extauthz.New(judges)
	g.view.Register(metrics.Registry)
	g.pending.Register(metrics.Registry)
	return g, nil
}

// remember opens what outlives the gateway: the spool, and the signals that the manager does not have yet.
func (g *gateway) remember(auditLog *auditclient.Client) (err error) {
	g.spool, err = spool.Open(spool.Options{
		Dir: filepath.Join(g.spoolDir, "records"), MaxBytes: g.spoolMaxMiB << 20, Log: auditLog, Clock: g.local,
		Logger: g.log.WithName("spool"), Metrics: metrics.Registry,
	})
	if err != nil {
		return fmt.Errorf("--spool-dir %s: %w", g.spoolDir, err)
	}
	kept := signals.File{Path: filepath.Join(g.spoolDir, "signals.json")}
	left, err := kept.Load()
	if err != nil {
		// What is not readable is lost, and must not keep the gateway from its work.
		g.log.Error(err, "signals that were not sent yet are lost")
		left = signals.Left{}
	}
	g.pending = signals.NewPending(g.name, left)
	g.reporter = &signals.Reporter{Pending: g.pending, Manager: g.channel, Store: kept, Clock: g.now, Log: g.log.WithName("signals")}
	g.trail = trail.New(trail.Options{
		Gateway: trail.Gateway{
			Name: g.name, Namespace: g.namespace, Username: servingcert.GatewayName(g.namespace), Boot: trail.NewBoot(),
		},
		Spool: g.spool, Clock: g.now, Logger: g.log.WithName("trail"),
	})
	return nil
}

func (g *gateway) newJudge(callers *access.Access) (*judge.Judge, error) {
	limits, err := judge.NewRateLimits(g.limits, g.local)
	if err != nil {
		return nil, err
	}
	use, err := judge.NewKubernetesCallers(callers, g.local)
	if err != nil {
		return nil, err
	}
	tracker, err := signals.NewTracker(g.pending, g.thresholds, g.baseline)
	if err != nil {
		return nil, err
	}
	return &judge.Judge{
		View: g.view, Callers: use, Trail: g.trail, Signals: tracker, Limits: limits,
		Metrics: judge.NewMetrics(metrics.Registry), Clock: g.now, Log: g.log.WithName("judge"),
	}, nil
}

// baseline is that of an agent as it is known.
func (g *gateway) baseline(namespace, agent string, uid types.UID) *v1alpha1.Baseline {
	var known v1alpha1.AgentPassport
	err := g.view.Reader().Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: agent}, &known)
	if err != nil || known.UID != uid {
		return nil
	}
	return known.Status.Baseline
}

func (g *gateway) newHandler(
	config *rest.Config, scheme *runtime.Scheme, callers *access.Access, auditLog *auditclient.Client, judges *judge.Judge,
) (http.Handler, error) {
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	kept, err := tokens.New(g.channel, func(token string) bool {
		_, state := g.view.Token(token)
		return state == decision.TokenValid
	})
	if err != nil {
		return nil, err
	}
	g.view.OnEnd(func(standing *decision.Standing) {
		kept.Forget(string(standing.UID))
		g.pending.Flush(standing.UID)
		// Of what ended before the start, nobody waits for a mark. What is seen ending is marked, however late
		// the manager was to say so: a verdict waits.
		if g.view.Synced() || g.now.Since(standing.EndTime) < markedWithin {
			g.trail.Ended(standing)
		}
	})
	g.view.OnCredential(func(state.CredentialState) { wake(g.credentials) })
	g.upstream = dial.NewTransports(&dial.Dialer{Clock: g.local}, nil)
	front := proxy.New(judges, g.upstream, g.local)
	return traced(front.Before(api.New(api.Options{
		Client: direct, Access: callers, Works: g.works, Tokens: kept, View: g.view, Keys: g.view, StatusLists: statusLists{g.channel},
		AuditLog: auditLog, Recorded: g.spool.Drain, Issuer: g.issuer, Clock: g.now, Local: g.local, Log: g.log.WithName("api"),
		Limits: api.Limits{PerSecond: g.limits.ClientRate, Burst: g.limits.ClientBurst},
	}))), nil
}

// ready says that calls are taken, and can be judged.
func (g *gateway) ready(*http.Request) error {
	switch {
	case g.stopping.Load():
		return errors.New("the gateway is stopping")
	case !g.view.Synced():
		return errors.New("the gateway has not read everything yet")
	}
	if lost := g.view.Lost(); lost != "" {
		return errors.New(lost)
	}
	return nil
}

// run serves until the context ends. Then, in this order: it is not ready any more, calls end, what they left is
// recorded, the records go to the audit log, and the gateway gives up its Lease.
func (g *gateway) run(ctx context.Context) (err error) {
	stopTracing, err := startTracing(ctx, g.name)
	if err != nil {
		return fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	// What calls rest on lasts until they have ended.
	resting, restEnd := context.WithCancelCause(context.WithoutCancel(ctx))
	serving, stopServing := context.WithCancelCause(resting)
	defer stopServing(nil)
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := g.view.Start(resting); err != nil {
			stopServing(fmt.Errorf("the watches: %w", err))
		}
	})
	beside.Go(func() { presence.Keep(resting, g.presence()) })
	beside.Go(func() { g.reportCredentials(resting) })
	var recording sync.WaitGroup
	records, lastRecord := context.WithCancel(resting)
	defer lastRecord()
	recording.Go(func() { g.trail.Run(records) })
	recording.Go(func() { _ = g.reporter.Run(records) })

	go g.stopLater(ctx, serving, stopServing)
	err = g.serve(serving)
	g.stopping.Store(true)
	if cause := context.Cause(serving); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}

	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	// Missions that end meanwhile are marked: their verdicts wait for this gateway while it has its Lease.
	_ = g.spool.Drain(ending)
	lastRecord()
	recording.Wait()
	if drained := g.spool.Drain(ending); drained != nil {
		left, _ := g.spool.Pending()
		g.log.Error(drained, "records are left in the spool; they go on when the gateway is back", "records", left)
	}
	restEnd(nil)
	beside.Wait()
	g.upstream.Close()
	return errors.Join(err, g.spool.Close(), stopTracing(ending))
}

// stopLater ends serving some time after the context, when nobody is sent here any more.
func (g *gateway) stopLater(ctx, serving context.Context, stop context.CancelCauseFunc) {
	select {
	case <-serving.Done():
		return
	case <-ctx.Done():
	}
	g.stopping.Store(true)
	g.extAuthz.SetServing(false)
	timer := g.local.NewTimer(g.shutdownDelay)
	defer timer.Stop()
	select {
	case <-serving.Done():
	case <-timer.C():
		stop(nil)
	}
}

// serve serves both listeners until the context ends, or one of them fails.
func (g *gateway) serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	certificate, err := g.certificate(ctx, g.log)
	if err != nil {
		return err
	}
	served := make(chan error, 2)
	listeners := 1
	go func() { served <- serveHTTP(ctx, g.address, certificate, g.handler, g.log) }()
	if g.extAuthzAddress != "0" {
		listeners++
		server := g.extAuthz.GRPC(append(tracedGRPC(), g.proxyCredentials(certificate))...)
		go func() { served <- serveGRPC(ctx, g.extAuthzAddress, server, g.log) }()
	}
	var errs []error
	for range listeners {
		errs = append(errs, <-served)
		stop()
	}
	return errors.Join(errs...)
}

func (g *gateway) presence() presence.Options {
	return presence.Options{
		Leases: g.leases, Pod: g.name, PodUID: types.UID(g.uid), Now: g.now, Timer: g.local, Log: g.log.WithName("presence"),
	}
}

func wake(waiting chan struct{}) {
	select {
	case waiting <- struct{}{}:
	default:
	}
}
