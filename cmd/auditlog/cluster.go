package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/keysecret"
	"agentpassport.dev/operator/internal/audit/mirror"
)

// defaultLogName is the name of the log, unless one is given.
const defaultLogName = "agent-passport-auditlog"

// place is where the private keys and the mirrored head are: in the cluster, or in files.
type place struct {
	namespace, secret, name string
	keyFile, head           string
}

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.namespace, "namespace", "", "The namespace with the Secret of the private keys and the ConfigMap of the mirrored head. Without it, files are read.")
	cmd.Flags().StringVar(&p.secret, "key-secret", keysecret.Name, "The Secret with the private keys.")
	cmd.Flags().StringVar(&p.name, "name", defaultLogName, "The name of the log.")
	cmd.Flags().StringVar(&p.keyFile, "key-file", "", "A file with the private keys, one a line, the newest last; instead of --namespace.")
}

func (p *place) check() error {
	if (p.namespace == "") == (p.keyFile == "") {
		return errors.New("one of --namespace and --key-file is required")
	}
	return nil
}

func (p *place) at() client.ObjectKey {
	return client.ObjectKey{Namespace: p.namespace, Name: p.secret}
}

// connect is a client that reads no cache.
func connect() (client.Client, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	return client.New(config, client.Options{})
}

// load reads the private keys and the mirrored head.
func (p *place) load(ctx context.Context) ([]keys.Private, *epoch.State, error) {
	if err := p.check(); err != nil {
		return nil, nil, err
	}
	if p.keyFile != "" {
		return p.loadFiles()
	}
	if p.head != "" {
		return nil, nil, errors.New("--head goes with --key-file: with --namespace the ConfigMap itself is read")
	}
	c, err := connect()
	if err != nil {
		return nil, nil, err
	}
	privates, err := keysecret.Read(ctx, c, p.at(), p.name)
	if err != nil {
		return nil, nil, err
	}
	mirrored, err := mirror.Read(ctx, c, p.namespace)
	return privates, mirrored, err
}

func (p *place) loadFiles() ([]keys.Private, *epoch.State, error) {
	privates, err := keys.ReadFile(p.keyFile)
	if err != nil || p.head == "" {
		return privates, nil, err
	}
	raw, err := os.ReadFile(p.head)
	if err != nil {
		return nil, nil, fmt.Errorf("--head: %w", err)
	}
	state, err := mirror.ParseManifest(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("--head %s: %w", p.head, err)
	}
	return privates, &state, nil
}
