// Command kubectl-passport is `kubectl passport`: what people do with the Agent Passport Operator.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/internal/plugin"
)

// version is set by the linker where a release is built.
var version = ""

func main() {
	os.Exit(run())
}

func run() int {
	// What libraries log is not for a person at a terminal: what matters to them is in the errors.
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return plugin.Run(ctx, plugin.Options{
		Streams:  genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Clock:    clock.RealClock{},
		Terminal: printers.IsTerminal(os.Stdout),
		Version:  builtVersion(),
	}, os.Args[1:])
}

// builtVersion is what was built: a release, or the revision.
func builtVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
