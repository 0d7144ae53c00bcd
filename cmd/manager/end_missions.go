package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/uninstall"
	"agentpassport.dev/operator/internal/watched"
)

// endMissionsCommand is the command that an uninstall runs first. Everything else that the manager is told is a flag.
const endMissionsCommand = "end-missions"

type endMissionsFlags struct {
	patience time.Duration
	timeout  time.Duration
	works    watched.Namespaces
	log      zap.Options
}

func parseEndMissions(set *flag.FlagSet, args []string) (*endMissionsFlags, error) {
	var f endMissionsFlags
	set.DurationVar(&f.patience, "patience", 90*time.Second, "How long the operator may take for one Passport or Checkout, before its finalizer is taken off for it.")
	set.DurationVar(&f.timeout, "timeout", 10*time.Minute, "How long all of it may take.")
	set.Func(watched.Flag, watched.Usage, f.works.Parse)
	f.log.BindFlags(set)
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case set.NArg() > 0:
		return nil, fmt.Errorf("%s: unexpected argument %q: every setting is a flag", endMissionsCommand, set.Arg(0))
	case f.patience < 0:
		return nil, fmt.Errorf("%s: --patience %s: 0s or more", endMissionsCommand, f.patience)
	case f.timeout <= f.patience:
		return nil, fmt.Errorf("%s: --timeout %s: more than --patience, which is %s", endMissionsCommand, f.timeout, f.patience)
	}
	return &f, nil
}

// endMissions ends every mission of the cluster, or of the namespaces that are named.
func endMissions(ctx context.Context, f *endMissionsFlags) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	// The API server's own priority and fairness is the limit.
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	missions := &uninstall.Missions{Client: c, Clock: clock.RealClock{}, Namespaces: f.works, Patience: f.patience, Log: ctrl.Log.WithName(endMissionsCommand)}
	return missions.End(ctx)
}
