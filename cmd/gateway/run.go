package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/apiclock"
	auditclient "agentpassport.dev/operator/internal/audit/client"
	channelclient "agentpassport.dev/operator/internal/channel/client"
	"agentpassport.dev/operator/internal/gateway/api"
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
)

// drainTimeout is how long the records that are left may take to the audit log once calls have ended. What is
// left after it stays in the spool.
const drainTimeout = 20 * time.Second

// run runs the gateway until the context ends.
func run(ctx context.Context, f *flags) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	// The API server's own priority and fairness is the limit.
	config.QPS = -1
	now := apiclock.New(clock.RealClock{})
	config.Wrap(now.Wrap)

	metricsOptions := metricsserver.Options{BindAddress: f.metricsAddress, SecureServing: f.metricsSecure}
	if f.metricsSecure {
		metricsOptions.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	timeout := f.shutdownDelay + callsTimeout + drainTimeout + 10*time.Second
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 metricsOptions,
		HealthProbeBindAddress:  f.probeAddress,
		GracefulShutdownTimeout: &timeout,
	})
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	g, err := newGateway(f, config, scheme, now)
	if err != nil {
		return err
	}
	if err := errors.Join(
		mgr.Add(manager.RunnableFunc(g.run)),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("gateway", g.ready),
	); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
