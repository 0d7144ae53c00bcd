// Package dial connects to the services behind ServiceConnections, and to no address that a connection
// does not allow.
package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"k8s.io/utils/clock"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/target"
)

const (
	// connectTimeout bounds resolving and connecting together.
	connectTimeout = 10 * time.Second
	// headStart of one attempt before the next address is tried beside it (RFC 8305, section 5).
	headStart = 250 * time.Millisecond
	// maxAddresses of one name that are tried.
	maxAddresses = 8
	// keepAlive finds dead peers under connections that are kept.
	keepAlive = 30 * time.Second
)

// Resolver finds the addresses of a name. net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Refused is an address that the gateway does not connect to.
type Refused struct {
	// Host that resolves to it.
	Host string
	// Cause says which address, and why not.
	Cause error
}

// Error implements error.
func (r *Refused) Error() string {
	return fmt.Sprintf("%s is not connected to: %v", r.Host, r.Cause)
}

// Unwrap gives the cause.
func (r *Refused) Unwrap() error { return r.Cause }

// Dialer resolves a name once, judges every address that it has, and connects to those very addresses:
// no name is resolved between check and connect.
type Dialer struct {
	// Resolver of names; nil: the system's.
	Resolver Resolver
	// Connect to an address, which is an IP address and a port; nil: TCP.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
	// Clock by which attempts are staggered.
	Clock clock.WithTicker
}

// Dial connects to host, a DNS name or an IP address. One refused address refuses them all: a name that
// has an inner address beside an outer one is not to be trusted with either. The error is a *Refused, or
// says why no connection came about.
func (d *Dialer) Dial(ctx context.Context, host string, port uint16, allowed []v1alpha1.AddressRange) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		if err := target.CheckAddress(address, allowed); err != nil {
			return nil, &Refused{Host: host, Cause: err}
		}
	}
	return d.race(ctx, inTurn(addresses), port)
}

func (d *Dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address.Unmap()}, nil
	}
	var resolver Resolver = net.DefaultResolver
	if d.Resolver != nil {
		resolver = d.Resolver
	}
	// The dot keeps search domains out of it: example.com is never example.com.svc.cluster.local.
	found, err := resolver.LookupNetIP(ctx, "ip", host+".")
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", host, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("resolve %s: it has no address", host)
	}
	addresses := make([]netip.Addr, len(found))
	for i, address := range found {
		addresses[i] = address.Unmap()
	}
	return addresses, nil
}

// inTurn puts the two families in turn, in the order of the resolver's first (RFC 8305, section 4).
func inTurn(addresses []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, address := range addresses {
		if address.Is4() == addresses[0].Is4() {
			first = append(first, address)
		} else {
			second = append(second, address)
		}
	}
	turns := make([]netip.Addr, 0, len(addresses))
	for i := range max(len(first), len(second)) {
		turns = append(turns, first[min(i, len(first)):min(i+1, len(first))]...)
		turns = append(turns, second[min(i, len(second)):min(i+1, len(second))]...)
	}
	return turns[:min(len(turns), maxAddresses)]
}

// attempt is what became of connecting to one address.
type attempt struct {
	conn net.Conn
	err  error
}

// race begins an attempt at each address, every one a head start after the one before or as soon as that
// failed, and takes the first connection.
func (d *Dialer) race(ctx context.Context, addresses []netip.Addr, port uint16) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	attempts := make(chan attempt, len(addresses))
	begin := func(address netip.Addr) {
		conn, err := d.connect(ctx, netip.AddrPortFrom(address, port).String())
		attempts <- attempt{conn, err}
	}
	var failures []error
	next, running := 0, 0
	timer := d.Clock.NewTimer(headStart)
	defer timer.Stop()
	for next < len(addresses) || running > 0 {
		var late <-chan time.Time
		if next < len(addresses) {
			go begin(addresses[next])
			next, running = next+1, running+1
		}
		if next < len(addresses) {
			timer.Reset(headStart)
			late = timer.C()
		}
		for waiting := true; waiting; {
			select {
			case <-late:
				waiting = false
			case done := <-attempts:
				running--
				if done.err == nil {
					go closeRest(attempts, running)
					return done.conn, nil
				}
				failures = append(failures, done.err)
				waiting = next == len(addresses) && running > 0
			}
		}
	}
	return nil, errors.Join(slices.Compact(failures)...)
}

// closeRest closes connections that came after the first.
func closeRest(attempts <-chan attempt, running int) {
	for range running {
		if rest := <-attempts; rest.err == nil {
			_ = rest.conn.Close()
		}
	}
}

func (d *Dialer) connect(ctx context.Context, address string) (net.Conn, error) {
	if d.Connect != nil {
		return d.Connect(ctx, "tcp", address)
	}
	return (&net.Dialer{KeepAlive: keepAlive}).DialContext(ctx, "tcp", address)
}

// split reads an address as http.Transport gives it: host and port of the URL.
func split(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 {
		return "", 0, fmt.Errorf("port %q is no number from 1 to 65535", text)
	}
	return host, uint16(number), nil
}
