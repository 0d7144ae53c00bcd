//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// The variables of the environment that Enter knows.
const (
	// inside is set in the process that has entered, to the directory that is its own.
	inside = "AGENT_PASSPORT_TEST_CLUSTER"
	// required is set where a machine that gives no namespaces is an error, as in CI.
	required = "REQUIRE_TEST_CLUSTER"
)

// Enter runs the test binary that calls it again, as the first process of a PID, network and mount namespace of its
// own, and returns there alone: all ports are free, no file that is mounted is seen elsewhere, and no process and no file
// of the cluster outlives it. It needs root, or a kernel that gives unprivileged users namespaces; where there is neither it says so and ends
// the process, as a success unless REQUIRE_TEST_CLUSTER is set. It is for TestMain.
func Enter() {
	if dir := os.Getenv(inside); dir != "" {
		if err := settle(dir); err != nil {
			fmt.Fprintln(os.Stderr, "the namespaces of a test cluster:", err)
			os.Exit(1)
		}
		return
	}
	// Its files are in memory, and seen by it alone: nobody who tidies up finds what is mounted there.
	dir, err := os.MkdirTemp("", "test-cluster-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "the directory of a test cluster:", err)
		os.Exit(1)
	}
	code := again(dir)
	_ = os.Remove(dir)
	os.Exit(code)
}

// again runs the test binary in the namespaces, and gives its exit code.
func again(dir string) int {
	runtime.LockOSThread() // its end would be taken for this process's
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "SKIPPED: a test cluster needs namespaces of its own (unprivileged user namespaces, or root): %v\n", err)
		if os.Getenv(required) != "" {
			return 1
		}
		return 0
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for received := range signals {
			_ = cmd.Process.Signal(received)
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the process in the namespaces of a test cluster:", err)
		return 1
	}
	return 0
}

// settle keeps what is mounted from now on to this process and those that it starts, and shows it their /proc.
func settle(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount a directory in memory: %w", err)
	}
	return setUpNetwork()
}
