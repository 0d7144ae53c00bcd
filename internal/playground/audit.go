package playground

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/mirror"
	"agentpassport.dev/operator/internal/audit/wire"
)

// auditorName is who reads the trail, with ClusterRole agent-passport-auditor in the agent's namespace.
const (
	auditorName = "auditor"
	auditorRole = "agent-passport-auditor"
)

// auditor reads the trail of the agent's namespace.
type auditor struct {
	*auditLog
	admin client.Client
	// root of the operator's module, and the playground's state directory.
	root, state string
}

// audited is the end of a mission's story: its trail is read, and proven.
func (a *auditor) audited(of *mission, want ...string) chapter {
	return chapter{"The auditor", []step{
		{"read the trail", func(ctx context.Context) (string, error) { return a.read(ctx, of, want) }},
		{"prove the trail", a.prove},
	}}
}

// read exports the trail of a mission as one who may read that of the namespace alone.
func (a *auditor) read(ctx context.Context, of *mission, want []string) (string, error) {
	if err := hire(ctx, a.admin, auditorName, auditorRole); err != nil {
		return "", err
	}
	token, _, err := requestToken(ctx, a.admin, agentNamespace, auditorName, time.Hour, wire.Audience)
	if err != nil {
		return "", err
	}
	query := url.Values{"namespace": {agentNamespace}, "jti": {of.passport.Status.JTI}}
	var told []string
	err = eventually(ctx, patience, "the trail of the mission", func(ctx context.Context) (string, error) {
		body, err := a.get(ctx, wire.RecordsPath+"?"+query.Encode(), token)
		if err != nil {
			return err.Error(), nil //nolint:nilerr // the API server loads a right in its own time
		}
		var export struct {
			Rows []struct{ Action, Outcome string }
		}
		if err := json.Unmarshal(body, &export); err != nil {
			return "", err
		}
		told = nil
		for _, row := range export.Rows {
			told = append(told, row.Action+" ("+row.Outcome+")")
		}
		if !slices.Equal(told, want) {
			return fmt.Sprintf("it has %q", told), nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s exports the trail of %s: %s", auditorName, of.passport.Status.JTI, strings.Join(told, ", ")), nil
}

func (a *auditor) get(ctx context.Context, path, token string) ([]byte, error) {
	status, body, err := ask(ctx, a.caFile, http.MethodGet, a.url+path, bearer(token), "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s: %s", status, http.StatusText(status), body)
	}
	return body, err
}

// prove copies the log and checks the copy offline, by the public key and a head that were kept in the
// cluster.
func (a *auditor) prove(ctx context.Context) (string, error) {
	folder := filepath.Join(a.state, "auditlog", "copy")
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	state, err := mirror.Read(ctx, a.admin, operatorNamespace)
	if err != nil {
		return "", err
	}
	if state == nil {
		return "", errors.New("no head of the log is mirrored")
	}
	ring, err := keys.Parse(state.Keys)
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(folder, os.DirFS(a.dir)); err != nil {
		return "", err
	}
	head := filepath.Join(a.state, "auditlog", "head")
	if err := os.WriteFile(head, state.Checkpoint, 0o600); err != nil {
		return "", err
	}
	verify := exec.CommandContext(ctx, filepath.Join(a.root, "bin", "auditlog"), "verify", folder,
		"--key", ring.Active().String(), "--head", head, "--output", "json")
	out, err := verify.Output()
	if err != nil {
		return "", fmt.Errorf("auditlog verify: %w: %s", err, out)
	}
	var found struct {
		Report struct {
			Epochs []struct{ Records, Missions uint64 }
		}
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return "", fmt.Errorf("auditlog verify prints %q: %w", out, err)
	}
	if len(found.Report.Epochs) == 0 {
		return "", fmt.Errorf("auditlog verify prints %q: no epoch", out)
	}
	last := found.Report.Epochs[len(found.Report.Epochs)-1]
	return fmt.Sprintf("a copy of the log holds, offline, by its public key and a head that the cluster kept: %d records of %d missions",
		last.Records, last.Missions), nil
}
