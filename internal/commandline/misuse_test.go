package commandline_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/commandline"
)

// tool has one command below it, with a flag that it needs.
func tool(ran *int) *cobra.Command {
	root := &cobra.Command{Use: "tool", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return nil }}
	below := &cobra.Command{
		Use: "pack", Args: cobra.ExactArgs(1),
		PreRunE: func(*cobra.Command, []string) error { *ran++; return nil },
		RunE:    func(*cobra.Command, []string) error { *ran++; return errors.New("the disk is full") },
	}
	below.Flags().String("key", "", "")
	if err := below.MarkFlagRequired("key"); err != nil {
		panic(err)
	}
	root.AddCommand(below)
	root.SetOut(io.Discard)
	commandline.Strict(root)
	return root
}

func TestStrict(t *testing.T) {
	for line, is := range map[string]struct {
		misused bool
		says    string
	}{
		"pack FILE":               {true, `required flag(s) "key" not set: see tool pack --help`},
		"pack --key=k":            {true, "accepts 1 arg(s), received 0: see tool pack --help"},
		"pack FILE --key=k --all": {true, "unknown flag: --all: see tool pack --help"},
		"pack FILE --key=k":       {false, "the disk is full"},
	} {
		ran := 0
		root := tool(&ran)
		root.SetArgs(strings.Fields(line))
		err := root.Execute()
		if err == nil || err.Error() != is.says || errors.Is(err, commandline.ErrMisuse) != is.misused {
			t.Errorf("%s: %v", line, err)
		}
		if want := map[bool]int{true: 0, false: 2}[is.misused]; ran != want {
			t.Errorf("%s: %d steps ran, want %d", line, ran, want)
		}
	}
}

func TestMisuse(t *testing.T) {
	why := errors.New("why")
	if err := commandline.Misuse(why); !errors.Is(err, why) || !errors.Is(err, commandline.ErrMisuse) || err.Error() != "why" {
		t.Error(err)
	}
	if commandline.Misuse(nil) != nil || errors.Is(why, commandline.ErrMisuse) {
		t.Error("what is no misuse is one")
	}
}
