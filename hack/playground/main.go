// Playground is the operator on a control plane of its own: `make run`, `make demo`, and the
// binaries that the test suites need.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"agentpassport.dev/operator/internal/playground"
)

const usage = `playground COMMAND

  assets [--controller-manager]  print a directory with etcd, kube-apiserver and kubectl; get or
                                 build what is missing
  run [--cluster=current]        the operator with missions, one of them alive, until Ctrl-C
  demo                           missions to their ends, every step checked
  verify JWKS-URL                verify a token from standard input, and print what it says
`

// errStopped is how a run is told to end.
var errStopped = errors.New("stopped")

func main() {
	ctrl.SetLogger(logr.Discard()) // what envtest logs, the screen says better
	ctx, stop := context.WithCancelCause(context.Background())
	go stopOnSignal(stop)
	go stopWithParent(stop)
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "\nplayground: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return errors.New("which command?")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	controllerManager := flags.Bool("controller-manager", false, "assets: build kube-controller-manager too")
	cluster := flags.String("cluster", "", "run: `current` for the cluster of the current kubeconfig")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}

	if args[0] == "verify" {
		return verify(ctx, flags.Arg(0))
	}
	root, err := playground.Root()
	if err != nil {
		return err
	}
	switch args[0] {
	case "assets":
		provider := &playground.Provider{
			Root: root, Screen: playground.NewScreen(os.Stderr), Clock: clock.RealClock{},
			ControllerManager: *controllerManager,
		}
		dir, err := provider.Provide(ctx)
		if err != nil {
			return err
		}
		fmt.Println(dir)
		return nil
	case "run", "demo":
		if *cluster != "" && *cluster != playground.CurrentCluster {
			return fmt.Errorf("--cluster=%s: only %q is known", *cluster, playground.CurrentCluster)
		}
		session := &playground.Session{
			Root: root, Screen: playground.NewScreen(os.Stdout), Clock: clock.RealClock{}, Cluster: *cluster,
		}
		if args[0] == "run" {
			return session.Run(ctx)
		}
		if err := session.Demo(ctx); err != nil {
			return fmt.Errorf("demo FAILED at: %w", err)
		}
		fmt.Println("\ndemo passed: every step was checked against the API server")
		return nil
	default:
		fmt.Fprint(os.Stderr, usage)
		return fmt.Errorf("unknown command %q", args[0])
	}
}

// verify prints what a token says, once its signature and times are checked; never the token.
func verify(ctx context.Context, jwksURL string) error {
	token, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	if err != nil {
		return err
	}
	header, claims, err := playground.Verify(ctx, strings.TrimSpace(string(token)), jwksURL, time.Now())
	if err != nil {
		return fmt.Errorf("the token is NOT valid: %w", err)
	}
	fmt.Printf("%s\n%s\nvalid: signed by a key of %s\n", header, claims, jwksURL)
	return nil
}

// stopOnSignal ends a run gracefully at the first signal, and at once at the second.
func stopOnSignal(stop context.CancelCauseFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	<-signals
	signal.Stop(signals)
	stop(errStopped)
}

// stopWithParent ends a run whose make or shell was killed: nobody else could.
func stopWithParent(stop context.CancelCauseFunc) {
	parent := os.Getppid()
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			stop(errStopped)
			return
		}
	}
}
