package trpcsession_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sessiond/sessiond/clients/go/internal/daemon"
	"github.com/sessiond/sessiond/clients/go/internal/readme"

	_ "trpc.group/trpc-go/trpc-agent-go/model/openai" // The program's, so that go.mod has it.
)

// A stand-in for OpenAI's Chat Completions: it says how many messages it was shown.
func countingModel(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Model    string            `json:"model"`
			Messages []json.RawMessage `json:"messages"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.URL.Path != "/v1/chat/completions" {
			http.Error(w, "not a chat", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"c","object":"chat.completion","created":1,"model":%q,"choices":[{"index":0,`+
			`"finish_reason":"stop","message":{"role":"assistant","content":"messages: %d"}}]}`,
			asked.Model, len(asked.Messages))
	}))
	t.Cleanup(server.Close)
	return server
}

// R92: run twice, and at the second time the model is shown the first question and its answer too.
func TestTheProgramOfTheReadme(t *testing.T) {
	d, program, model := daemon.Start(t, ""), readme.Read(t), countingModel(t)
	for _, want := range []string{"messages: 1\n", "messages: 3\n"} {
		said := program.Run(t, "SESSIOND_URL="+d.URL, "OPENAI_BASE_URL="+model.URL+"/v1", "OPENAI_API_KEY=k")
		if said != want {
			t.Fatalf("%q is not %q", said, want)
		}
	}
}
