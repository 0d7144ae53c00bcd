package capability_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

const (
	local  = v1alpha1.InstallLocalTool
	cloud  = v1alpha1.InstallCloudSandbox
	remote = v1alpha1.InstallRemoteConnector
)

// document reads a document with the members given added to its root, which is a plain local tool.
func document(t testing.TB, members string) *v1alpha1.AgentDocument {
	t.Helper()
	var document v1alpha1.AgentDocument
	if err := json.Unmarshal([]byte(`{"schema":"apai.agent-passport.v0.1","agent":{"name":"Bot","version":"1","vendor":"Example"},
		"identity_key_fingerprint":"unverified-v0.1","sandboxed":false,"install_modes_supported":["local-tool"],"verified":false,
		"capabilities":{"can_read":[],"can_write":[],"can_access":[],"can_spend":[],"can_expose":[],"will_request_approval_for":[]},
		"generated_at":"2026-05-14T00:00:00Z"`+members+`}`), &document); err != nil {
		t.Fatal(err)
	}
	return &document
}

// found gives the one finding of a condition, nil where there is none.
func found(document *v1alpha1.AgentDocument, condition v1alpha1.ConditionType) *capability.Finding {
	for _, finding := range capability.Findings(document) {
		if finding.Condition == condition {
			return &finding
		}
	}
	return nil
}

func TestAPlainDocumentHasNoFindings(t *testing.T) {
	if got := capability.Findings(document(t, "")); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestUnknownFields(t *testing.T) {
	for name, tc := range map[string]struct{ members, want string }{
		"none":                    {``, ""},
		"at the root":             {`,"homepage":"x"`, "homepage"},
		"of the agent":            {`,"agent":{"name":"Bot","version":"1","vendor":"Example","url":"x"}`, "agent.url"},
		"of the capabilities":     {`,"capabilities":{"can_read":[],"can_delete":["x"]}`, "capabilities.can_delete"},
		"at every level, by name": {`,"zeta":1,"agent":{"url":"x"},"capabilities":{"can_delete":[]},"alpha":null`, "agent.url, alpha, capabilities.can_delete, zeta"},
		"in another case":         {`,"Schema":"x"`, "Schema"},
		"a name of another level": {`,"can_read":[],"vendor":"x"`, "can_read, vendor"},
		"of a lower level, which have no meaning to begin with": {`,"agent":{"vendor":"x","name":"Bot","extra":{"deep":1}}`, "agent.extra"},
		"five are named": {`,"a":1,"b":1,"c":1,"d":1,"e":1`, "a, b, c, d, e"},
		"of six, five":   {`,"a":1,"b":1,"c":1,"d":1,"e":1,"f":1`, "a, b, c, d, e and 1 more"},
		"of nine, five":  {`,"i":1,"h":1,"g":1,"f":1,"e":1,"d":1,"c":1,"b":1,"a":1`, "a, b, c, d, e and 4 more"},
		"an empty name":  {`,"":1`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := found(document(t, tc.members), v1alpha1.ConditionUnknownFields)
			if tc.members == "" {
				if got != nil {
					t.Errorf("%+v", got)
				}
				return
			}
			want := &capability.Finding{
				Condition: v1alpha1.ConditionUnknownFields, Reason: v1alpha1.ReasonFieldsNotInSchema,
				Message: "apai.agent-passport.v0.1 does not know " + tc.want + "; kept as they are, and given no meaning",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUnknownFieldsOfADocumentMadeInGo(t *testing.T) {
	if got := capability.Findings(&v1alpha1.AgentDocument{}); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestSandboxContradiction(t *testing.T) {
	for _, tc := range []struct {
		sandboxed bool
		modes     []v1alpha1.InstallMode
		want      v1alpha1.Reason
	}{
		{false, []v1alpha1.InstallMode{local}, ""},
		{false, []v1alpha1.InstallMode{remote}, ""},
		{false, []v1alpha1.InstallMode{local, remote}, ""},
		{false, []v1alpha1.InstallMode{cloud}, v1alpha1.ReasonCloudModeNotSandboxed},
		{false, []v1alpha1.InstallMode{cloud, local}, ""},
		{false, []v1alpha1.InstallMode{cloud, remote}, ""},
		{false, []v1alpha1.InstallMode{local, cloud, remote}, ""},
		{true, []v1alpha1.InstallMode{cloud}, ""},
		{true, []v1alpha1.InstallMode{cloud, remote}, ""},
		{true, []v1alpha1.InstallMode{local}, v1alpha1.ReasonSandboxedWithoutCloudMode},
		{true, []v1alpha1.InstallMode{remote}, v1alpha1.ReasonSandboxedWithoutCloudMode},
		{true, []v1alpha1.InstallMode{local, remote}, v1alpha1.ReasonSandboxedWithoutCloudMode},
		{true, []v1alpha1.InstallMode{local, cloud}, v1alpha1.ReasonSandboxedLocalTool},
		{true, []v1alpha1.InstallMode{cloud, remote, local}, v1alpha1.ReasonSandboxedLocalTool},
	} {
		t.Run(fmt.Sprintf("%v %v", tc.sandboxed, tc.modes), func(t *testing.T) {
			subject := document(t, "")
			subject.Sandboxed, subject.InstallModesSupported = tc.sandboxed, tc.modes
			got := found(subject, v1alpha1.ConditionSandboxContradiction)
			if (got == nil) != (tc.want == "") || (got != nil && got.Reason != tc.want) {
				t.Errorf("%+v, want %q", got, tc.want)
			}
		})
	}
}

func TestWritesBeyondSandbox(t *testing.T) {
	for statement, within := range map[string]bool{
		"session sandbox":                          true,
		"Session Sandbox":                          true,
		"session sandbox only":                     true,
		"Session sandbox only.":                    true,
		"the session sandbox":                      true,
		"  session   sandbox\tonly ":               true,
		"session sandbox (artifacts, code output)": true,
		"Session sandbox only (scratch space).":    true,
		"None":                                     true,
		"None.":                                    true,
		"none outside the session":                 true,
		"No local files":                           true,

		"":                                       false,
		"session":                                false,
		"sandbox":                                false,
		"session sandboxes of others":            false,
		"session sandbox and Workspace docs":     false,
		"session sandbox (scratch) and git":      false,
		"session sandbox only, and git":          false,
		"session sandbox (a) (b)":                false,
		"session sandbox (unclosed":              false,
		"Workspace docs and the session sandbox": false,
		"Files in current working directory":     false,
		"Notion pages":                           false,
		"Nonexistent files":                      false,
		"North America region":                   false,
	} {
		t.Run(statement, func(t *testing.T) {
			subject := document(t, "")
			subject.Sandboxed = true
			subject.Capabilities.CanWrite = []v1alpha1.Statement{"session sandbox", v1alpha1.Statement(statement)}
			got := found(subject, v1alpha1.ConditionWritesBeyondSandbox)
			if within {
				if got != nil {
					t.Errorf("%+v", got)
				}
				return
			}
			want := &capability.Finding{
				Condition: v1alpha1.ConditionWritesBeyondSandbox, Reason: v1alpha1.ReasonClaimsOutsideWrites,
				Message: fmt.Sprintf("a cloud-sandbox agent writes to its session sandbox only, but can_write has %q", statement),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWritesBeyondSandboxConcernsSandboxedAgentsAlone(t *testing.T) {
	for _, tc := range []struct {
		sandboxed bool
		modes     []v1alpha1.InstallMode
		want      bool
	}{
		{false, []v1alpha1.InstallMode{local}, false},
		{false, []v1alpha1.InstallMode{local, cloud}, false},
		{false, []v1alpha1.InstallMode{cloud}, true},
		{true, []v1alpha1.InstallMode{local}, true},
		{true, []v1alpha1.InstallMode{cloud, remote}, true},
	} {
		subject := document(t, "")
		subject.Sandboxed, subject.InstallModesSupported = tc.sandboxed, tc.modes
		subject.Capabilities.CanWrite = []v1alpha1.Statement{"git"}
		if got := found(subject, v1alpha1.ConditionWritesBeyondSandbox); (got != nil) != tc.want {
			t.Errorf("sandboxed %v, modes %v: %+v", tc.sandboxed, tc.modes, got)
		}
	}
}

func TestWritesBeyondSandboxShortensWhatItQuotes(t *testing.T) {
	subject := document(t, "")
	subject.Sandboxed = true
	for i := range 7 {
		subject.Capabilities.CanWrite = append(subject.Capabilities.CanWrite, v1alpha1.Statement(fmt.Sprintf("%d%s", i, strings.Repeat("ü", 80))))
	}
	got := found(subject, v1alpha1.ConditionWritesBeyondSandbox).Message
	quoted := fmt.Sprintf("%q, ", "0"+strings.Repeat("ü", 78)+"…")
	if !strings.Contains(got, quoted) || !strings.HasSuffix(got, " and 2 more") || strings.Count(got, "…") != 5 {
		t.Error(got)
	}
}

func TestUnprovenClaim(t *testing.T) {
	subject := document(t, "")
	subject.Verified = true
	got := found(subject, v1alpha1.ConditionUnprovenClaim)
	if got == nil || got.Reason != v1alpha1.ReasonNoProof || !strings.Contains(got.Message, "verified: true") {
		t.Errorf("%+v", got)
	}
}

func TestFindingsComeInAFixedOrderOncePerCondition(t *testing.T) {
	subject := document(t, `,"b":1,"a":1`)
	subject.Sandboxed, subject.Verified = true, true
	subject.Capabilities.CanWrite = []v1alpha1.Statement{"git", "disk"}
	subject.Raw = bytes.Replace(subject.Raw, []byte("Example"), []byte("Ex\u202Eample"), 1)
	for range 20 {
		var got []v1alpha1.ConditionType
		for _, finding := range capability.Findings(subject) {
			got = append(got, finding.Condition)
		}
		if diff := cmp.Diff(capability.FindingConditions(), got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	}
}
