package main

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"
)

func TestParseEndMissions(t *testing.T) {
	for _, is := range []struct {
		args     []string
		patience time.Duration
		says     string
	}{
		{nil, 90 * time.Second, ""},
		{[]string{"--patience=1s", "--timeout=2s"}, time.Second, ""},
		{[]string{"--patience=0s"}, 0, ""},
		{[]string{"--watch-namespaces=a,b"}, 90 * time.Second, ""},
		{[]string{"--watch-namespaces=A"}, 0, `"A" is no name of a namespace`},
		{[]string{"--patience=-1s"}, 0, "--patience -1s: 0s or more"},
		{[]string{"--patience=10m"}, 0, "--timeout 10m0s: more than --patience"},
		{[]string{"now"}, 0, `unexpected argument "now"`},
	} {
		set := flag.NewFlagSet("manager", flag.ContinueOnError)
		set.SetOutput(io.Discard)
		f, err := parseEndMissions(set, is.args)
		switch {
		case is.says == "" && (err != nil || f.patience != is.patience):
			t.Errorf("%q: %+v, %v", is.args, f, err)
		case is.says != "" && (err == nil || !strings.Contains(err.Error(), is.says)):
			t.Errorf("%q: want %q, got %v", is.args, is.says, err)
		}
	}
}
