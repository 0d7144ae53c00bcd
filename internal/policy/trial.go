package policy

import (
	"cmp"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// NamedInstall is an Install, with the CompatibilityCheck that it is of.
type NamedInstall struct {
	// Name of the CompatibilityCheck.
	Name string
	Install
}

// NamedIssue is an Issue, with the Passport that it is of.
type NamedIssue struct {
	// Name of the Passport.
	Name string
	Issue
}

// Trial is what the rules of a pack match, whether or not they count.
type Trial struct {
	// Refused and Warned count objects: what a rule refuses is not counted among the warned of.
	Refused, Warned int32
	// Hits are the objects with the rules that match them: what is refused before what is warned of, then by kind,
	// name and rule.
	Hits []v1alpha1.PolicyHit
}

// Try holds a pack against installs and issues, in force or not.
func Try(pack *v1alpha1.PolicyPack, installs []NamedInstall, issues []NamedIssue) Trial {
	inForce := pack.DeepCopy()
	inForce.Spec.Mode = v1alpha1.PolicyEnforce
	packs := []v1alpha1.PolicyPack{*inForce}
	var trial Trial
	for i := range installs {
		trial.add("CompatibilityCheck", installs[i].Name, AtInstall(packs, installs[i].Install))
	}
	for i := range issues {
		trial.add("Passport", issues[i].Name, AtIssue(packs, issues[i].Issue))
	}
	slices.SortFunc(trial.Hits, func(a, b v1alpha1.PolicyHit) int {
		return cmp.Or(strictFirst(a.Action, b.Action), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Rule, b.Rule))
	})
	return trial
}

func (t *Trial) add(kind, name string, findings []v1alpha1.PolicyFinding) {
	switch {
	case len(Of(v1alpha1.PolicyBlock, findings)) > 0:
		t.Refused++
	case len(findings) > 0:
		t.Warned++
	}
	for _, finding := range findings {
		t.Hits = append(t.Hits, v1alpha1.PolicyHit{Kind: kind, Name: name, Rule: finding.Rule, Action: finding.Action})
	}
}
