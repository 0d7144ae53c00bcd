//go:build linux

package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// The addresses of a cluster. A Pod has one of its own, which the node has a route to; the node answers for all Services.
var (
	nodeAddress  = netip.MustParseAddr("10.244.0.1")
	serviceRange = netip.MustParsePrefix("10.0.0.0/24")
	// gateway is what Pods send to. The node has it on its end of each Pod's wire.
	gateway = netip.MustParseAddr("169.254.1.1")
)

// setUpNetwork gives the node its addresses.
func setUpNetwork() error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	for _, address := range []netip.Prefix{netip.PrefixFrom(nodeAddress, 32), serviceRange} {
		if err := netlink.AddrAdd(loopback, &netlink.Addr{IPNet: ipNet(address)}); err != nil {
			return fmt.Errorf("give the node %s: %w", address, err)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600); err != nil {
		return fmt.Errorf("let the node forward: %w", err)
	}
	return nil
}

// wire is the network namespace of a Pod, with a pair of interfaces to the node.
type wire struct {
	namespace netns.NsHandle
	address   netip.Addr
}

// newWire makes the network of a Pod whose address is the nth after the node's.
func newWire(n int) (*wire, error) {
	bytes := nodeAddress.As4()
	bytes[2], bytes[3] = byte((n+1)>>8), byte(n+1)
	w := &wire{address: netip.AddrFrom4(bytes)}
	name := fmt.Sprintf("pod%d", n)
	err := onThread(func() error {
		home, err := netns.Get()
		if err != nil {
			return err
		}
		defer func() { _ = home.Close() }()
		// A new namespace is entered at once; the thread goes back to the node's for the node's end of the wire.
		if w.namespace, err = netns.New(); err != nil {
			return err
		}
		if err := netns.Set(home); err != nil {
			return err
		}
		if err := w.plug(name); err != nil {
			return err
		}
		if err := netns.Set(w.namespace); err != nil {
			return err
		}
		err = w.configure(name)
		if back := netns.Set(home); back != nil {
			return back
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the network of a Pod: %w", err)
	}
	return w, nil
}

// plug makes the wire, and a route to the Pod.
func (w *wire) plug(name string) error {
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "i"}); err != nil {
		return err
	}
	ours, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	theirs, err := netlink.LinkByName(name + "i")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetNsFd(theirs, int(w.namespace)); err != nil {
		return err
	}
	if err := netlink.AddrAdd(ours, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(gateway, 32))}); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(ours); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{
		LinkIndex: ours.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: ipNet(netip.PrefixFrom(w.address, 32)), Src: nodeAddress.AsSlice(),
	})
}

// configure gives the Pod its address, and sends all else to the node.
func (w *wire) configure(name string) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name + "i")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(w.address, 32))}); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{
		LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: ipNet(netip.PrefixFrom(gateway, 32)),
	}); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()})
}

// within runs a function on a thread that is in the Pod's network, as are the processes that it starts.
func (w *wire) within(do func() error) error {
	return onThread(func() error {
		home, err := netns.Get()
		if err != nil {
			return err
		}
		defer func() { _ = home.Close() }()
		if err := netns.Set(w.namespace); err != nil {
			return err
		}
		err = do()
		if back := netns.Set(home); back != nil {
			return back
		}
		return err
	})
}

// unplug ends the network. The wire goes with its namespace once no process is in it.
func (w *wire) unplug() { _ = w.namespace.Close() }

// onThread runs a function on a thread that is its own meanwhile. Where it fails, the thread is given up: nobody knows
// which namespace it is in.
func onThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := do()
		if err == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}
