package lifecycle

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"agentpassport.dev/operator/api/v1alpha1"
)

func TestBlocking(t *testing.T) {
	blocks := []v1alpha1.AgentBlock{
		block(30, "third", "bot"),
		block(10, "b-first", "bot"),
		block(10, "a-first", ""),
		block(0, "lifted", "bot", lifted),
		block(0, "other", "other-bot"),
		block(0, "prefix", "bo"),
		block(20, "second", ""),
		block(0, "lifted-for-all", "", lifted),
	}
	for range 20 {
		rand.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
		var got []string
		for _, block := range Blocking(blocks, "bot") {
			got = append(got, block.Name)
		}
		if diff := cmp.Diff([]string{"a-first", "b-first", "second", "third"}, got); diff != "" {
			t.Fatal(diff)
		}
	}
	if got := Blocking(nil, "bot"); got != nil {
		t.Errorf("%v", got)
	}
}

func TestBlockForHasANameThatTheAPITakes(t *testing.T) {
	for _, agent := range []string{"a", "bot", "support.bot", strings.Repeat("a", 63), strings.Repeat("a.", 31) + "a"} {
		passport := requested(func(p *v1alpha1.Passport) { p.Spec.AgentRef.Name = agent })
		for _, finding := range []string{"checkpoint_silence", "credential_outside_scope", strings.Repeat("x", 63)} {
			made := blockFor(passport, finding, "message")
			if errs := validation.IsDNS1123Subdomain(made.Name); len(errs) > 0 {
				t.Errorf("%s: %v", made.Name, errs)
			}
			if !strings.HasPrefix(made.Name, agent+"-") {
				t.Errorf("%s does not tell its agent, %s", made.Name, agent)
			}
		}
	}
}

func TestBlockForIsTheSameForTheSameFinding(t *testing.T) {
	first := requested()
	second := requested(func(p *v1alpha1.Passport) { p.UID = "another" })
	made := blockFor(first, "credential_outside_scope", "stripe was used")
	if again := blockFor(first, "credential_outside_scope", "aws was used"); again.Name != made.Name {
		t.Errorf("%s and %s", made.Name, again.Name)
	}
	for _, other := range []v1alpha1.AgentBlock{
		blockFor(second, "credential_outside_scope", "stripe was used"), blockFor(first, "checkpoint_silence", "stripe was used"),
	} {
		if other.Name == made.Name {
			t.Errorf("%s twice", made.Name)
		}
	}
	want := v1alpha1.AgentBlock{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: made.Name},
		Spec: v1alpha1.AgentBlockSpec{
			AgentRef: &v1alpha1.AgentReference{Name: "bot"},
			Reason:   "credential_outside_scope on passport mission: stripe was used",
			Cause:    &v1alpha1.BlockCause{Kind: "Passport", Name: "mission", UID: types.UID("passport-uid")},
		},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
}

func TestBlockForKeepsItsReasonInTheLimit(t *testing.T) {
	passport := requested(func(p *v1alpha1.Passport) { p.Name = strings.Repeat("p", 200) })
	reason := blockFor(passport, strings.Repeat("x", 63), strings.Repeat("ü", 512)).Spec.Reason
	if n := utf8.RuneCountInString(reason); n != 500 || !utf8.ValidString(reason) {
		t.Errorf("%d characters, valid %v", n, utf8.ValidString(reason))
	}
}
