// Release makes a release of the commit that is checked out, in a directory: archives of the commands, the image as an
// OCI layout, the chart, manifests, a software bill of materials, the notes, and the checksums of all. It pushes nothing and signs
// nothing. The same commit gives the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const usage = `release VERSION --image REPOSITORY
release check

  VERSION      such as v0.1.0; CHANGELOG.md has a section for it
  REPOSITORY   where the image will be, without a tag, such as registry.example.com/agent-passport-operator
  check        makes nothing; says whether every command compiles for the platforms that it is released for
`

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is one release in the making.
type release struct {
	config
	version version
	// repository of the image; root of the source; out is where all goes.
	repository, root, out string
	// commit that is released.
	commit commit
	// said is where it tells what it does.
	said io.Writer
}

func (r *release) say(format string, args ...any) { _, _ = fmt.Fprintf(r.said, format+"\n", args...) }

// write puts a file into the release.
func (r *release) write(name string, content []byte) error {
	return os.WriteFile(filepath.Join(r.out, name), content, 0o644)
}

func run(args []string, said io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.Usage = func() { _, _ = fmt.Fprint(flags.Output(), usage) }
	repository := flags.String("image", "agent-passport-operator", "The repository of the image.")
	out := flags.String("out", "dist/release", "The directory that the release is made in; what was in it goes.")
	if len(args) == 0 {
		return errors.New("say which version, such as: make release VERSION=v0.1.0")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	r := &release{repository: *repository, root: ".", out: *out, said: said}
	var err error
	if r.config, err = readConfig(filepath.Join(r.root, "hack", "release", "release.yaml")); err != nil {
		return err
	}
	if args[0] == "check" {
		return r.check(ctx)
	}
	if r.version, err = parseVersion(args[0]); err != nil {
		return err
	}
	return r.make(ctx)
}

// make is the whole release, step by step.
func (r *release) make(ctx context.Context) (err error) {
	if r.commit, err = head(ctx, r.root); err != nil {
		return err
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"notes", r.notes},
		{"archives", r.archives},
		{"image", r.image},
		{"chart", r.chart},
		{"manifests", r.manifests},
		{"bill of materials", r.materials},
		{"checksums", r.checksums},
	} {
		r.say("release %s: %s", r.version, step.name)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	r.say("release %s: done, in %s", r.version, r.out)
	return nil
}
