// Package readme runs the program of a README, for tests.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Program is the first program of a README.md, in a folder of the module that it stands in.
type Program struct{ folder string }

// Read reads the program of the README.md of the current folder, word for word.
func Read(t testing.TB) Program {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```go\n")
	program, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("there is no program")
	}
	// Inside of the module, so that it finds what it imports.
	folder, err := os.MkdirTemp(".", "readme-program-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.WriteFile(filepath.Join(folder, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return Program{folder}
}

// Run runs it with these variables besides, and returns what it says.
func (p Program) Run(t testing.TB, environment ...string) string {
	t.Helper()
	command := exec.Command("go", "run", "./"+p.folder)
	command.Env = append(os.Environ(), environment...)
	said, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return string(said)
}
