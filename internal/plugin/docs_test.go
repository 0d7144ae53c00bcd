package plugin

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/apiclock"
)

// test/plugin runs every command of the document; so every command has to be there.
func TestEveryCommandIsDocumented(t *testing.T) {
	document, err := os.ReadFile("../../docs/kubectl-plugin.md")
	if err != nil {
		t.Fatal(err)
	}
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	s := &session{IOStreams: streams, local: clock.RealClock{}, clock: apiclock.New(clock.RealClock{})}
	leaves := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() {
			return
		}
		leaves++
		if !strings.Contains(string(document), cmd.CommandPath()+" ") && !strings.Contains(string(document), cmd.CommandPath()+"\n") {
			t.Errorf("%s is not in docs/kubectl-plugin.md", cmd.CommandPath())
		}
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no short help or no example", cmd.CommandPath())
		}
	}
	walk(s.root())
	if leaves < 20 {
		t.Errorf("only %d commands", leaves)
	}
}
