//go:build unix

package chromium

import (
	"context"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const versionOutputLimit = 4 << 10

// versionText runs binary --version in a process group of its own, which is
// killed as a whole when ctx ends: binary may be a script.
func versionText(ctx context.Context, binary string) (string, error) {
	cmd := exec.CommandContext(ctx, binary, "--version")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	output := &headWriter{limit: versionOutputLimit}
	cmd.Stdout, cmd.Stderr = output, output
	err := cmd.Run()
	return strings.TrimSpace(output.String()), err
}

// headWriter keeps the beginning of what is written to it and swallows the rest.
type headWriter struct {
	strings.Builder
	limit int
}

var _ io.Writer = (*headWriter)(nil)

func (w *headWriter) Write(b []byte) (int, error) {
	w.Builder.Write(b[:min(len(b), w.limit-w.Len())])
	return len(b), nil
}
