package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// commit is what is released. Its time stands in for now, wherever a file wants one.
type commit struct {
	id   string
	time time.Time
	// changed says that the working tree is not what was committed.
	changed bool
}

func head(ctx context.Context, root string) (commit, error) {
	told, err := output(ctx, root, nil, "git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return commit{}, err
	}
	id, stamp, _ := strings.Cut(strings.TrimSpace(told), " ")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return commit{}, fmt.Errorf("the time of commit %s: %w", id, err)
	}
	status, err := output(ctx, root, nil, "git", "status", "--porcelain")
	return commit{id: id, time: time.Unix(seconds, 0).UTC(), changed: status != ""}, err
}

// environment is what makes tools that know it repeat themselves, and Go say which commit a binary is of, whatever the
// machine has in GOFLAGS.
func (c commit) environment() []string {
	return []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(c.time.Unix(), 10), "GOFLAGS=-buildvcs=true"}
}

// output runs a program in a directory and gives what it prints. What it says on standard error is in the error.
func output(ctx context.Context, dir string, environment []string, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, program, args...)
	command.Dir, command.Env = dir, append(os.Environ(), environment...)
	var said strings.Builder
	command.Stderr = &said
	told, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, said.String())
	}
	return string(told), nil
}
