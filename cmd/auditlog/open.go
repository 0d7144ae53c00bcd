package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/service"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// firstEpoch is the number of the first tree.
const firstEpoch = 1

// openTree is a tree that is open for writing, and what closes it.
type openTree interface {
	service.Tree
	Close() error
}

// openLog opens the tree under a directory, with the key in a file.
func openLog(ctx context.Context, dataDir, origin, keyFile string) (openTree, error) {
	text, err := os.ReadFile(keyFile) //nolint:gosec // G304: the caller says where the key is
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	signer, key, err := parseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("--key-file %s: %w", keyFile, err)
	}
	if signer.Name() != origin {
		return nil, fmt.Errorf("--key-file %s: the key is of log %q, and --origin is %q", keyFile, signer.Name(), origin)
	}
	folder := filepath.Join(dataDir, fmt.Sprintf("epoch-%d", firstEpoch))
	storage, err := tlog.OpenFolder(folder, signer)
	if err != nil {
		return nil, fmt.Errorf("the audit log: %w", err)
	}
	opened, err := tlog.Open(ctx, storage, signer, key)
	if err != nil {
		return nil, fmt.Errorf("the audit log in %s: %w", folder, err)
	}
	return &tree{Log: opened, FileFetcher: client.FileFetcher{Root: folder}, epoch: firstEpoch, key: key}, nil
}

// tree is a log in a folder, which is read without waiting for its writer.
type tree struct {
	*tlog.Log
	client.FileFetcher
	epoch uint64
	key   note.Verifier
}

// Append implements service.Tree.
func (t *tree) Append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error) {
	entries, err := t.Log.Append(ctx, records...)
	for i := range entries {
		entries[i].Epoch = t.epoch
	}
	return entries, err
}

// Epoch implements service.Tree.
func (t *tree) Epoch() uint64 { return t.epoch }

// Key implements service.Tree.
func (t *tree) Key() note.Verifier { return t.key }

// errKey quotes nothing: the text is a private key, or was meant to be.
var errKey = errors.New("want the private key of a signed note, PRIVATE+KEY+<name>+<id>+<key>, with Ed25519")

// parseKey reads a key as note.GenerateKey makes it, and the public key that follows from it.
func parseKey(text string) (note.Signer, note.Verifier, error) {
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, nil, errKey
	}
	// Base64 has a plus sign of its own: the key is all that follows the fourth.
	parts := strings.SplitN(text, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, nil, errKey
	}
	public := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	published, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return nil, nil, err
	}
	key, err := note.NewVerifier(published)
	return signer, key, err
}
