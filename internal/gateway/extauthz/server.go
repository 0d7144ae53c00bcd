// Package extauthz lets calls out through Envoy: it answers Envoy's external authorization
// (envoy.service.auth.v3) by the gateway's one decision.
//
// Envoy resolves and connects by itself, so that the addresses behind a name cannot be judged here.
package extauthz

import (
	"context"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/problem"
)

const (
	// MaxMessage of a check, in bytes: a body of 10 MiB, and the headers.
	MaxMessage = 11 << 20
	// maxStreams at once on one connection of an Envoy.
	maxStreams = 1000
	// checkTimeout bounds one check. Envoy has a limit of its own, which is shorter by default.
	checkTimeout = 10 * time.Second
	// idle and quiet connections: how long they are kept, and when a peer is asked whether it is there.
	maxIdle, pingAfter, pingWait = 10 * time.Minute, time.Minute, 20 * time.Second
	// pingsApart is how often an Envoy may ask at most.
	pingsApart = 10 * time.Second
	// helloTimeout bounds the handshake of a connection.
	helloTimeout = 10 * time.Second
)

// Judge decides on calls.
type Judge interface {
	// Judge decides, and records what it decided.
	Judge(ctx context.Context, ask *judge.Ask) *judge.Verdict
}

// Server answers checks.
type Server struct {
	authv3.UnimplementedAuthorizationServer

	judge  Judge
	health *health.Server
}

// New makes a server. It tells its health as serving.
func New(judges Judge) *Server {
	s := &Server{judge: judges, health: health.NewServer()}
	s.SetServing(true)
	return s
}

// SetServing tells those who ask for the health whether checks are answered well.
func (s *Server) SetServing(serving bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(authv3.Authorization_ServiceDesc.ServiceName, status)
}

// GRPC makes a gRPC server with limits that has this one and its health registered. The options add to
// the limits: the credentials of the transport, and tracing.
func (s *Server) GRPC(options ...grpc.ServerOption) *grpc.Server {
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(helloTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: maxIdle, Time: pingAfter, Timeout: pingWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsApart, PermitWithoutStream: true}),
	}, options...)...)
	authv3.RegisterAuthorizationServer(server, s)
	healthv1.RegisterHealthServer(server, s.health)
	return server
}

// Check implements envoy.service.auth.v3.Authorization. It never returns an error: failure_mode_allow,
// set by mistake, opens on errors and never on an answer.
func (s *Server) Check(ctx context.Context, request *authv3.CheckRequest) (response *authv3.CheckResponse, _ error) {
	defer func() {
		if recover() != nil {
			response = denied(problem.Unavailable("the gateway failed to judge the call; nothing was sent"))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	call, refusal := read(request)
	if refusal != nil {
		return denied(problem.Of(refusal.Code, refusal.Reason)), nil
	}
	verdict := s.judge.Judge(ctx, call.ask)
	if verdict.Done != nil {
		defer verdict.Done() // Envoy does not tell when the call is over
	}
	if !verdict.Allow {
		return denied(problem.Of(verdict.Code, verdict.Reason)), nil
	}
	if refusal := call.unchanged(); refusal != nil {
		return denied(problem.Of(refusal.Code, refusal.Reason)), nil
	}
	return call.allowed(verdict), nil
}
