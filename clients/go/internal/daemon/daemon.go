// Package daemon runs sessiond over a Redis, for tests.
package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Daemon is sessiond and the Redis behind it, both processes.
type Daemon struct {
	URL    string
	folder string
	run    *exec.Cmd
}

// Start starts both; they end with the test. The configuration is added to what they need.
func Start(t testing.TB, config string) *Daemon {
	t.Helper()
	return start(t, "", config)
}

// StartGuarded starts a daemon with a token for each of these users of the app "shop", and returns
// the tokens beside it.
func StartGuarded(t testing.TB, users ...string) (*Daemon, map[string]string) {
	t.Helper()
	tokens, lines := map[string]string{}, []string{}
	for _, user := range users {
		said, err := exec.Command(program(), "token", "new", user, "--app", "shop", "--user", user).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.Fields(string(said)) {
			if strings.HasPrefix(word, "sd_") {
				tokens[user] = word
			}
		}
		for _, line := range strings.Split(string(said), "\n") {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "tokens.toml")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, fmt.Sprintf("tokens_file = %q\n", file), ""), tokens
}

func start(t testing.TB, access, config string) *Daemon {
	t.Helper()
	d := &Daemon{folder: t.TempDir()}
	listen, redis := freeAddress(t), freeAddress(t)
	d.URL = "http://" + listen
	_, port, _ := net.SplitHostPort(redis)
	server := exec.Command("redis-server", "--port", port, "--save", "", "--appendonly", "no")
	server.Dir = d.folder
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	eventually(t, "Redis", func() bool {
		connection, err := net.Dial("tcp", redis)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	})
	text := fmt.Sprintf("[server]\nlisten = %q\n%s[redis]\nurl = \"redis://%s\"\n%s", listen, access, redis, config)
	if err := os.WriteFile(filepath.Join(d.folder, "sessiond.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.stop() })
	d.start(t)
	return d
}

// Restart kills the daemon, and starts it again. Redis goes on.
func (d *Daemon) Restart(t testing.TB) {
	t.Helper()
	d.stop()
	d.start(t)
}

func (d *Daemon) start(t testing.TB) {
	t.Helper()
	d.run = exec.Command(program(), "serve", "--config", filepath.Join(d.folder, "sessiond.toml"))
	if err := d.run.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "sessiond", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, d.URL+"/readyz", nil)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	})
}

func (d *Daemon) stop() {
	_ = d.run.Process.Kill()
	_ = d.run.Wait()
}

func program() string {
	if path := os.Getenv("SESSIOND_PROGRAM"); path != "" {
		return path
	}
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../../../target/debug/sessiond")
}

// Guest is the component of an example, which `scripts/guests NAME` builds.
func Guest(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(program()), "../guests", name+".wasm")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("%s does not start", what)
}
