package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// check has every command compiled for each platform that it is released for. An export compiles and links nothing, so that
// it costs seconds where the compiler has seen the packages before. The error says of each platform that fails why.
func (r *release) check(ctx context.Context) error {
	var errs []error
	for _, platform := range r.platforms() {
		var commands []string
		for _, one := range r.Archives {
			if slices.Contains(one.Platforms, platform) && r.hasSource(one.Command) {
				commands = append(commands, "./cmd/"+one.Command)
			}
		}
		if len(commands) == 0 {
			continue
		}
		r.say("  %s: %s", platform, strings.Join(commands, " "))
		system, processor, _ := strings.Cut(platform, "/")
		_, err := output(ctx, r.root, target(system, processor), "go", append([]string{"list", "-export", "-f={{.Name}}"}, commands...)...)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", platform, err))
		}
	}
	return errors.Join(errs...)
}
