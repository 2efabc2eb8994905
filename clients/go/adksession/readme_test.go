package adksession_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sessiond/sessiond/clients/go/internal/daemon"
	"github.com/sessiond/sessiond/clients/go/internal/readme"

	// The program's, so that go.mod has them.
	_ "google.golang.org/adk/agent/llmagent"
	_ "google.golang.org/adk/model/gemini"
	_ "google.golang.org/adk/runner"
)

// A stand-in for Gemini: it says how many contents it was shown.
func countingModel(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Contents []json.RawMessage `json:"contents"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || !strings.HasSuffix(r.URL.Path, ":generateContent") {
			http.Error(w, "not a question: "+r.URL.Path, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"candidates":[{"index":0,"finishReason":"STOP","content":{"role":"model",`+
			`"parts":[{"text":"contents: %d"}]}}]}`, len(asked.Contents))
	}))
	t.Cleanup(server.Close)
	return server
}

// R92: run twice, and at the second time the model is shown the first question and its answer too.
func TestTheProgramOfTheReadme(t *testing.T) {
	d, program, model := daemon.Start(t, ""), readme.Read(t), countingModel(t)
	for _, want := range []string{"contents: 1\n", "contents: 3\n"} {
		said := program.Run(t, "SESSIOND_URL="+d.URL, "GOOGLE_GEMINI_BASE_URL="+model.URL, "GOOGLE_API_KEY=k")
		if said != want {
			t.Fatalf("%q is not %q", said, want)
		}
	}
}
