package sessiond_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sessiond/sessiond/clients/go/internal/daemon"
)

// The program of the README, word for word, run twice: the session is there at the second time.
func TestTheProgramOfTheReadme(t *testing.T) {
	d := daemon.Start(t, "")
	text, err := os.ReadFile("README.md")
	check(t, err)
	_, rest, _ := strings.Cut(string(text), "```go\n")
	program, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("there is no program")
	}
	// Inside of the module, so that it finds the client.
	folder, err := os.MkdirTemp(".", "readme-program-")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	check(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(program), 0o600))
	lines := []string{`1 {"role":"user","content":"hello"}`, `2 {"role":"user","content":"hello"}`}
	for run := 1; run <= 2; run++ {
		command := exec.Command("go", "run", "./"+folder)
		command.Env = append(os.Environ(), "SESSIOND_URL="+d.URL)
		said, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		if want := strings.Join(lines[:run], "\n") + "\n"; string(said) != want {
			t.Fatalf("%s\nis not\n%s", said, want)
		}
	}
}
