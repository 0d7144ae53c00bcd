package dial_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/dial"
	"agentpassport.dev/operator/internal/gateway/target"
)

const (
	public4 = "93.184.216.34"
	other4  = "1.1.1.1"
	public6 = "2606:4700:4700::1111"
	other6  = "2606:4700:4700::1001"
)

// resolver gives the same addresses for every name, and keeps the names.
type resolver struct {
	addresses []string
	asked     []string
}

func (r *resolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.asked = append(r.asked, host)
	var found []netip.Addr
	for _, address := range r.addresses {
		found = append(found, netip.MustParseAddr(address))
	}
	return found, nil
}

// network answers for addresses: an error, silence until the end of the attempt, or a connection.
type network struct {
	mu     sync.Mutex
	tried  []string
	began  chan string
	broken map[string]error
	silent map[string]bool
}

func (n *network) connect(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.tried = append(n.tried, address)
	n.mu.Unlock()
	if n.began != nil {
		n.began <- address
	}
	if n.silent[address] {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := n.broken[address]; err != nil {
		return nil, err
	}
	ours, _ := net.Pipe()
	return &named{ours, address}, nil
}

type named struct {
	net.Conn
	address string
}

func TestDialConnectsToNothingThatIsRefused(t *testing.T) {
	tests := map[string]struct {
		host      string
		addresses []string
		allowed   []v1alpha1.AddressRange
		want      target.Reason // empty: connected
	}{
		"public":                           {"a.example", []string{public4}, nil, ""},
		"loopback":                         {"a.example", []string{"127.0.0.1"}, nil, target.LoopbackAddress},
		"loopback that is allowed":         {"a.example", []string{"127.0.0.1"}, []v1alpha1.AddressRange{v1alpha1.RangeLoopback}, ""},
		"public first, loopback second":    {"a.example", []string{public4, "127.0.0.1"}, nil, target.LoopbackAddress},
		"mapped":                           {"a.example", []string{"::ffff:10.0.0.1"}, nil, target.PrivateAddress},
		"NAT64 of a metadata address":      {"a.example", []string{"64:ff9b::a9fe:a9fe"}, nil, target.MetadataAddress},
		"metadata, with all that there is": {"a.example", []string{"169.254.169.254"}, []v1alpha1.AddressRange{v1alpha1.RangeLinkLocal}, target.MetadataAddress},
		"a literal":                        {"127.0.0.1", nil, nil, target.LoopbackAddress},
		"a literal in IPv6":                {"::1", nil, nil, target.LoopbackAddress},
		"unspecified":                      {"a.example", []string{"0.0.0.0"}, []v1alpha1.AddressRange{v1alpha1.RangeLoopback}, target.SpecialAddress},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			names, wire := &resolver{addresses: test.addresses}, &network{}
			dialer := &dial.Dialer{Resolver: names, Connect: wire.connect, Clock: clocktesting.NewFakeClock(time.Unix(0, 0))}
			conn, err := dialer.Dial(t.Context(), test.host, 443, test.allowed)
			var refused *dial.Refused
			var cause *target.Error
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want == "":
				_ = conn.Close()
			case !errors.As(err, &refused) || !errors.As(err, &cause) || cause.Reason != test.want || len(wire.tried) > 0:
				t.Errorf("got %v, and tried %v; want %s", err, wire.tried, test.want)
			}
			for _, asked := range names.asked {
				if asked != test.host+"." {
					t.Errorf("asked for %q", asked)
				}
			}
		})
	}
}

func TestDialRaces(t *testing.T) {
	four, six := public4+":443", "["+public6+"]:443"
	broken := errors.New("refused")
	tests := map[string]struct {
		addresses []string
		broken    map[string]error
		silent    map[string]bool
		tried     []string
		want      string
	}{
		"the first":              {[]string{public6, public4}, nil, nil, []string{six}, six},
		"families in turn":       {[]string{public6, other6, public4}, map[string]error{six: broken}, nil, []string{six, four}, four},
		"the first is silent":    {[]string{public6, public4}, nil, map[string]bool{six: true}, []string{six, four}, four},
		"none":                   {[]string{public6, public4}, map[string]error{six: broken, four: broken}, nil, []string{six, four}, ""},
		"silence, then an error": {[]string{public4, other4}, map[string]error{other4 + ":443": broken}, map[string]bool{four: true}, []string{four, other4 + ":443"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			clk := clocktesting.NewFakeClock(time.Unix(0, 0))
			wire := &network{broken: test.broken, silent: test.silent, began: make(chan string, 8)}
			dialer := &dial.Dialer{Resolver: &resolver{addresses: test.addresses}, Connect: wire.connect, Clock: clk}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for i := range test.tried {
					if address := <-wire.began; !test.silent[address] {
						continue
					}
					if i+1 < len(test.tried) {
						for !clk.HasWaiters() {
							runtime.Gosched()
						}
						clk.Step(250 * time.Millisecond)
					}
				}
				if test.want == "" && len(test.silent) > 0 {
					cancel()
				}
			}()
			conn, err := dialer.Dial(ctx, "a.example", 443, nil)
			switch {
			case test.want == "" && err == nil:
				t.Error("connected")
			case test.want != "" && err != nil:
				t.Error(err)
			case test.want != "" && conn.(*named).address != test.want:
				t.Errorf("connected to %s, want %s", conn.(*named).address, test.want)
			}
			wire.mu.Lock()
			defer wire.mu.Unlock()
			if !slices.Equal(wire.tried, test.tried) {
				t.Errorf("tried %v, want %v", wire.tried, test.tried)
			}
		})
	}
}

func TestTransportsAreOfOneConnection(t *testing.T) {
	transports := dial.NewTransports(&dial.Dialer{}, nil)
	defer transports.Close()
	of := func(namespace, name, uid string, generation int64) *decision.Connection {
		return &decision.Connection{Namespace: namespace, Name: name, UID: types.UID(uid), Generation: generation, Timeout: time.Second}
	}
	first := transports.Of(of("a", "slack", "1", 1))
	if transports.Of(of("a", "slack", "1", 1)) != first {
		t.Error("another transport for the same connection")
	}
	if transports.Of(of("b", "slack", "1", 1)) == first || transports.Of(of("a", "github", "1", 1)) == first {
		t.Error("two connections share a transport")
	}
	if transports.Of(of("a", "slack", "1", 2)) == first || transports.Of(of("a", "slack", "2", 1)) == first {
		t.Error("two generations, or an older namesake, share a transport")
	}
	younger := transports.Of(of("a", "slack", "1", 2))
	transports.Forget("a", "slack")
	if transports.Of(of("a", "slack", "1", 2)) == younger {
		t.Error("a transport outlives its connection")
	}
}

func TestTransportsTakeNoProxy(t *testing.T) {
	transport := dial.NewTransports(&dial.Dialer{}, nil).Of(&decision.Connection{Name: "slack"})
	switch {
	case transport.Proxy != nil:
		t.Error("it asks the environment for a proxy")
	case !transport.DisableCompression:
		t.Error("it asks for a coding of its own")
	case transport.TLSClientConfig.MinVersion < 0x0303 || transport.TLSClientConfig.InsecureSkipVerify:
		t.Error("it is lax with TLS")
	}
}
