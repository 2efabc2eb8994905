package sessiond_test

import (
	"strings"
	"testing"

	"github.com/sessiond/sessiond/clients/go/internal/daemon"
	"github.com/sessiond/sessiond/clients/go/internal/readme"
)

// Run twice: the session is there at the second time.
func TestTheProgramOfTheReadme(t *testing.T) {
	d, program := daemon.Start(t, ""), readme.Read(t)
	lines := []string{`1 {"role":"user","content":"hello"}`, `2 {"role":"user","content":"hello"}`}
	for run := 1; run <= 2; run++ {
		want := strings.Join(lines[:run], "\n") + "\n"
		if said := program.Run(t, "SESSIOND_URL="+d.URL); said != want {
			t.Fatalf("%s\nis not\n%s", said, want)
		}
	}
}
