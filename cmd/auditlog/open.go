package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/keysecret"
	"agentpassport.dev/operator/internal/audit/mirror"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/writer"
)

// tree is the newest epoch of a log, which is read without waiting for its writer.
type tree struct {
	*writer.Log
	tlog.Reader
}

// Heads implements service.Tree. A new key joins while the log is open.
func (t tree) Heads() tlog.Keys { return t.Ring().Heads(t.Epoch()) }

// options are what the log is opened with: its keys, and what is kept of it elsewhere.
func (f *serveFlags) options(ctx context.Context, c client.Client, now clock.PassiveClock) (writer.Options, error) {
	options := writer.Options{Dir: f.dataDir, Clock: now}
	var err error
	if options.Keys, err = f.privateKeys(ctx, c); err != nil {
		return options, err
	}
	if f.mirror {
		options.Mirrored, err = mirror.Read(ctx, c, f.namespace)
	}
	return options, err
}

// privateKeys reads the keys that sign the log's heads: from a file where one is named, and else from the
// Secret, which is made where it is not there.
func (f *serveFlags) privateKeys(ctx context.Context, c client.Client) ([]keys.Private, error) {
	if f.keyFile == "" {
		at := client.ObjectKey{Namespace: f.namespace, Name: f.keySecret}
		privates, err := keysecret.Load(ctx, c, at, rand.Reader, f.origin)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", at, err)
		}
		return privates, nil
	}
	text, err := os.ReadFile(f.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	privates, err := keys.ParsePrivates(text)
	if err != nil {
		return nil, fmt.Errorf("--key-file %s: %w", f.keyFile, err)
	}
	if len(privates) > 0 && privates[0].Name() != f.origin {
		return nil, fmt.Errorf("--key-file %s: the key is of log %q, and --origin is %q", f.keyFile, privates[0].Name(), f.origin)
	}
	return privates, nil
}
