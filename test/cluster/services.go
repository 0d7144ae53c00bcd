//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// services stand for kube-proxy and the cluster's DNS: the address of a Service leads to its Pods that are ready, and
// the names of Services are in a file of hosts.
type services struct {
	client client.Client
	// hosts is the file, and own what it begins with.
	hosts, own string
	log        func(format string, args ...any)

	mu        sync.Mutex
	listeners map[string]net.Listener
	// targets are those of each address that is listened on.
	targets map[string][]string
	next    atomic.Uint64
}

func newServices(c client.Client, hosts, outside string, log func(string, ...any)) (*services, error) {
	own, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return nil, err
	}
	s := &services{
		client: c, hosts: hosts, own: string(own) + "\n" + outside, log: log,
		listeners: map[string]net.Listener{}, targets: map[string][]string{},
	}
	if err := os.WriteFile(hosts, []byte(s.own), 0o644); err != nil {
		return nil, err
	}
	// What runs beside the Pods has the same names.
	return s, mount(hosts, "/etc/hosts", false)
}

// run follows the Services until ctx ends.
func (s *services) run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := s.sync(ctx); err != nil && ctx.Err() == nil {
			s.log("services: %v", err)
		}
	}, pace)
	for _, listener := range s.listeners {
		_ = listener.Close()
	}
}

// sync listens for each Service, and writes the names anew where they have changed.
func (s *services) sync(ctx context.Context) error {
	var all corev1.ServiceList
	var endpoints discoveryv1.EndpointSliceList
	if err := errors.Join(s.client.List(ctx, &all), s.client.List(ctx, &endpoints)); err != nil {
		return err
	}
	var names []string
	targets := map[string][]string{}
	for i := range all.Items {
		service := &all.Items[i]
		of := endpointsOf(service, endpoints.Items)
		if service.Spec.ClusterIP == corev1.ClusterIPNone {
			for _, one := range of {
				names = append(names, line(one.address, service, ""))
				if one.hostname != "" {
					names = append(names, line(one.address, service, one.hostname+"."))
				}
			}
			continue
		}
		names = append(names, line(service.Spec.ClusterIP, service, ""))
		for _, port := range service.Spec.Ports {
			address := net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(int(port.Port)))
			targets[address] = nil
			for _, one := range of {
				if to, there := one.ports[port.Name]; there {
					targets[address] = append(targets[address], net.JoinHostPort(one.address, strconv.Itoa(int(to))))
				}
			}
		}
	}
	if err := s.listen(targets); err != nil {
		return err
	}
	return s.name(names)
}

// listen listens on each address, and on no other.
func (s *services) listen(targets map[string][]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = targets
	for address, listener := range s.listeners {
		if _, still := targets[address]; !still {
			_ = listener.Close()
			delete(s.listeners, address)
		}
	}
	for address := range targets {
		if s.listeners[address] != nil {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		s.listeners[address] = listener
		go s.accept(address, listener)
	}
	return nil
}

func (s *services) accept(address string, listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return // it is closed
		}
		go s.forward(address, connection)
	}
}

// forward carries a connection to one of the Pods in turn. Where there is none, it is closed.
func (s *services) forward(address string, connection net.Conn) {
	s.mu.Lock()
	targets := s.targets[address]
	s.mu.Unlock()
	if len(targets) == 0 {
		_ = connection.Close()
		return
	}
	to, err := net.DialTimeout("tcp", targets[s.next.Add(1)%uint64(len(targets))], time.Second)
	if err != nil {
		_ = connection.Close()
		return
	}
	carry(to, connection)
}

// name writes the file of hosts in place: it is mounted.
func (s *services) name(names []string) error {
	slices.Sort(names)
	text := s.own + strings.Join(names, "")
	if held, err := os.ReadFile(s.hosts); err == nil && string(held) == text {
		return nil
	}
	return os.WriteFile(s.hosts, []byte(text), 0o644)
}

// line is one of the file of hosts.
func line(address string, service *corev1.Service, host string) string {
	name := host + service.Name + "." + service.Namespace
	return fmt.Sprintf("%s %s.svc %s.svc.cluster.local %s\n", address, name, name, name)
}

// endpoint is a Pod of a Service.
type endpoint struct {
	address, hostname string
	ports             map[string]int32
}

// endpointsOf gives the Pods of a Service that are ready, all of them where the Service publishes those too that are
// not.
func endpointsOf(service *corev1.Service, all []discoveryv1.EndpointSlice) []endpoint {
	var found []endpoint
	for i := range all {
		slice := &all[i]
		if slice.Namespace != service.Namespace || slice.Labels[discoveryv1.LabelServiceName] != service.Name {
			continue
		}
		ports := map[string]int32{}
		for _, port := range slice.Ports {
			if port.Port != nil && port.Name != nil {
				ports[*port.Name] = *port.Port
			}
		}
		for _, one := range slice.Endpoints {
			ready := one.Conditions.Ready == nil || *one.Conditions.Ready
			if !ready && !service.Spec.PublishNotReadyAddresses || len(one.Addresses) == 0 {
				continue
			}
			made := endpoint{address: one.Addresses[0], ports: ports}
			if one.Hostname != nil {
				made.hostname = *one.Hostname
			}
			found = append(found, made)
		}
	}
	return found
}
