package playground

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// gracePeriod is how long a process may take to end when asked to.
	gracePeriod = 15 * time.Second
	// lockPatience is how long a run waits for one that is about to end.
	lockPatience = 10 * time.Second
	pollInterval = 200 * time.Millisecond
)

// stopOrder is what a playground starts, in the order in which it is to be ended.
var stopOrder = []string{"manager", "auditlog", "kube-apiserver", "etcd"}

// lockState makes sure that one playground at a time uses the directory. The lock goes with the
// process, however that ends.
func lockState(ctx context.Context, dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = wait.PollUntilContextTimeout(ctx, pollInterval, lockPatience, true, func(context.Context) (bool, error) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		_ = file.Close()
		if wait.Interrupted(err) && ctx.Err() == nil {
			return nil, fmt.Errorf("another playground is running in %s: end it first (Ctrl-C)", dir)
		}
		return nil, err
	}
	return file, nil
}

// endLeftovers ends what a playground that was killed left running on dir, and says how many
// processes that were.
func endLeftovers(ctx context.Context, dir string) (int, error) {
	ended := 0
	for _, name := range stopOrder {
		for _, pid := range leftovers(name, dir) {
			ended++
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
				return ended, fmt.Errorf("ending %s (process %d) of an earlier run: %w", name, pid, err)
			}
		}
		err := wait.PollUntilContextTimeout(ctx, pollInterval, gracePeriod, true, func(context.Context) (bool, error) {
			return len(leftovers(name, dir)) == 0, nil
		})
		if ctx.Err() != nil {
			return ended, ctx.Err()
		}
		if err != nil {
			for _, pid := range leftovers(name, dir) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	return ended, nil
}

// leftovers lists the processes of a program that work on dir: neither a pager on its logs nor
// anybody's kubectl is one.
func leftovers(name, dir string) []int {
	var found []int
	for pid, command := range processes() {
		program, arguments, _ := strings.Cut(command, " ")
		if pid != os.Getpid() && filepath.Base(program) == name && strings.Contains(arguments, dir+string(filepath.Separator)) {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	return found
}

// processes maps the id of each process to its command line.
func processes() map[int]string {
	commands := map[int]string{}
	// Linux tells without a program of its own; everywhere else there is ps.
	if files, _ := filepath.Glob("/proc/[0-9]*/cmdline"); len(files) > 0 {
		for _, file := range files {
			command, err := os.ReadFile(file)
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err == nil && len(command) > 0 {
				commands[pid] = strings.ReplaceAll(strings.TrimRight(string(command), "\x00"), "\x00", " ")
			}
		}
		return commands
	}
	//nolint:noctx // answers at once, and is asked while a context may be over
	out, _ := exec.Command("ps", "-axo", "pid=,command=").Output()
	for line := range strings.Lines(string(out)) {
		id, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(id); err == nil {
			commands[pid] = strings.TrimSpace(command)
		}
	}
	return commands
}
