//go:build linux

package docs

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// reader is somebody at a shell, in a directory that has what they find in the project.
type reader struct {
	dir   string
	shell *exec.Cmd
	stdin io.Writer
	lines chan string
}

// sits opens a shell until the spec ends. The first command that fails ends it.
func sits() *reader {
	GinkgoHelper()
	r := &reader{dir: desk(), lines: make(chan string, 1000)}
	r.shell = exec.Command("bash", "-eu", "-o", "pipefail")
	r.shell.Dir = r.dir
	r.shell.Env = append(os.Environ(), "KUBECONFIG="+server.AdminKubeconfig(), "VOLUMES="+server.Dir,
		"PATH="+strings.Join([]string{bin, os.Getenv("KUBEBUILDER_ASSETS"), os.Getenv("PATH")}, ":"))
	r.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, input, err := os.Pipe()
	Expect(err).NotTo(HaveOccurred())
	r.shell.Stdout, r.shell.Stderr = input, input
	r.stdin, err = r.shell.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(r.shell.Start()).To(Succeed())
	Expect(input.Close()).To(Succeed())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.shell.Wait()
		// What it left in the background goes too.
		_ = syscall.Kill(-r.shell.Process.Pid, syscall.SIGKILL)
	}()
	go func() {
		defer close(r.lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			r.lines <- scanner.Text()
		}
	}()
	DeferCleanup(func() {
		_ = r.shell.Process.Kill()
		<-ended
		_ = output.Close()
	})
	r.types(context.Background(), known)
	return r
}

// patience bounds one script, on a busy machine.
const patience = 4 * time.Minute

// done is what the shell says after each script.
const done = "--- done"

// types runs a script, and gives what it printed. Each of its commands has to succeed.
func (r *reader) types(ctx context.Context, script string) string {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	file := filepath.Join(GinkgoT().TempDir(), "script")
	Expect(os.WriteFile(file, []byte(script), 0o600)).To(Succeed())
	_, err := fmt.Fprintf(r.stdin, ". %s </dev/null\necho; echo '%s'\n", file, done)
	Expect(err).NotTo(HaveOccurred())
	var said strings.Builder
	for {
		select {
		case line, more := <-r.lines:
			if line == done {
				return said.String()
			}
			said.WriteString(line + "\n")
			GinkgoWriter.Println(line)
			Expect(more).To(BeTrue(), "%s\n\nfailed, and printed:\n%s", script, &said)
		case <-ctx.Done():
			Fail(fmt.Sprintf("%s\n\ndid not end, and printed:\n%s", script, &said))
		}
	}
}

// desk makes a directory with what a page may name of the project. What is written there is gone with the spec.
func desk() string {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	for _, name := range []string{"Makefile", "go.mod", "go.sum", "api", "cmd", "charts", "config", "docs", "hack", "internal", "pkg"} {
		Expect(os.Symlink(filepath.Join(root, name), filepath.Join(dir, name))).To(Succeed())
	}
	Expect(os.Symlink(bin, filepath.Join(dir, "bin"))).To(Succeed())
	return dir
}

// block is one of a page's commands. It may be indented, as in a list.
var block = regexp.MustCompile("(?ms)^( *)```sh(?: [a-z]+)?\n(.*?)\n *```$")

// part is a page, or a section of it.
func part(page, section string) string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
	Expect(err).NotTo(HaveOccurred())
	if section == "" {
		return string(text)
	}
	_, found, there := strings.Cut(string(text), "\n## "+section+"\n")
	Expect(there).To(BeTrue(), "%s has no section %q", page, section)
	found, _, _ = strings.Cut(found, "\n## ")
	return found
}

// blocks gives the commands of a page, or of one of its sections.
func blocks(page, section string) []string {
	GinkgoHelper()
	var found []string
	for _, one := range block.FindAllStringSubmatch(part(page, section), -1) {
		found = append(found, strings.TrimSpace(strings.ReplaceAll(one[2], "\n"+one[1], "\n")))
	}
	Expect(found).NotTo(BeEmpty(), "%s has no commands", page)
	return found
}
