package main

import (
	"context"
	"net"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"agentpassport.dev/operator/internal/channel/server"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/servingcert"
)

// channelService is the headless Service by which gateways find every manager.
const channelService = "agent-passport-channel"

// serveChannel serves the gateways, on every replica; what they report is for the one that leads.
func serveChannel(ctx context.Context, mgr ctrl.Manager, f *flags, options controller.Options, lists server.StatusLists) error {
	if options.Channel == nil {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.channelAddress)
	if err != nil {
		return err
	}
	served := f.channelNames
	if len(served) == 0 {
		service := channelService + "." + f.namespace
		served = []string{service + ".svc", service, service + ".svc.cluster.local"}
	}
	secured := &server.TLS{Authority: options.Channel.Authority, Names: served, Clock: options.Clock}
	handler := server.New(server.Options{
		Gateway:     servingcert.GatewayName(f.namespace),
		Leading:     leading(mgr),
		Tokens:      &controller.TokenService{Cached: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: options.Clock, Keys: options.Keys},
		Connections: options.Connections,
		Signals:     options.Reports,
		StatusLists: lists,
		Metrics:     server.NewMetrics(metrics.Registry),
	})
	timeout := shutdownTimeout
	return mgr.Add(&manager.Server{
		Name:            "channel",
		Listener:        secured.Listener(listener),
		ShutdownTimeout: &timeout,
		Server:          server.HTTP(handler, mgr.GetLogger().WithName("channel")),
	})
}

// leading tells whether this replica leads.
func leading(mgr ctrl.Manager) func() bool {
	return func() bool {
		select {
		case <-mgr.Elected():
			return true
		default:
			return false
		}
	}
}
