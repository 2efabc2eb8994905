package adksession_test

import (
	"context"
	"sync"
	"testing"

	"google.golang.org/adk/session"
	"google.golang.org/adk/session/session_test"

	sessiond "github.com/sessiond/sessiond/clients/go"
	"github.com/sessiond/sessiond/clients/go/adksession"
	"github.com/sessiond/sessiond/clients/go/internal/daemon"
)

// knowing is the service with the one thing that the daemon does not do: it lists the sessions of all
// users that were created through it, which a case of ADK's suite asks for.
type knowing struct {
	*adksession.Service
	mu    sync.Mutex
	users []string
}

func (k *knowing) Create(ctx context.Context, request *session.CreateRequest) (*session.CreateResponse, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := false
	for _, user := range k.users {
		known = known || user == request.UserID
	}
	if !known {
		k.users = append(k.users, request.UserID)
	}
	return k.Service.Create(ctx, request)
}

func (k *knowing) List(ctx context.Context, request *session.ListRequest) (*session.ListResponse, error) {
	if request.UserID != "" {
		return k.Service.List(ctx, request)
	}
	all := &session.ListResponse{}
	for _, user := range k.users {
		some, err := k.Service.List(ctx, &session.ListRequest{AppName: request.AppName, UserID: user})
		if err != nil {
			return nil, err
		}
		all.Sessions = append(all.Sessions, some.Sessions...)
	}
	return all, nil
}

// The suite that ADK publishes for session services, each case with a daemon of its own.
func TestTheSuiteOfADK(t *testing.T) {
	options := session_test.SuiteOptions{SupportsUserProvidedSessionID: true}
	session_test.RunServiceTests(t, options, func(t *testing.T) session.Service {
		return &knowing{Service: adksession.New(daemon.Start(t, "").URL)}
	})
}

func TestAllUsersAreNotListed(t *testing.T) {
	if _, err := adksession.New("").List(context.Background(), &session.ListRequest{AppName: "a"}); err == nil {
		t.Fatal("it lists")
	}
}

// R31: a session that was deleted and created again is another one. Temporary state is not stored.
func TestAStaleSessionAndTemporaryState(t *testing.T) {
	s, ctx := adksession.New(daemon.Start(t, "").URL), context.Background()
	create := func() session.Session {
		t.Helper()
		created, err := s.Create(ctx, &session.CreateRequest{AppName: "a", UserID: "u", SessionID: "s"})
		if err != nil {
			t.Fatal(err)
		}
		return created.Session
	}
	first := create()
	event := session.NewEvent("i")
	event.Actions.StateDelta = map[string]any{"temp:t": 1.0, "k": nil}
	if err := s.AppendEvent(ctx, first, event); err != nil {
		t.Fatal(err)
	}
	if value, err := first.State().Get("temp:t"); err != nil || value != 1.0 {
		t.Fatal(value, err)
	}
	read, err := s.Get(ctx, &session.GetRequest{AppName: "a", UserID: "u", SessionID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read.Session.State().Get("temp:t"); err == nil {
		t.Fatal("it is stored")
	}
	if value, err := read.Session.State().Get("k"); err != nil || value != nil {
		t.Fatal(value, err)
	}
	if err := s.Delete(ctx, &session.DeleteRequest{AppName: "a", UserID: "u", SessionID: "s"}); err != nil {
		t.Fatal(err)
	}
	create()
	if err := s.AppendEvent(ctx, first, session.NewEvent("i")); err == nil {
		t.Fatal("it is another session")
	}
}

// R84, R85: a token is taken from the options or the environment, and another user's session is not there.
func TestTokens(t *testing.T) {
	d, tokens := daemon.StartGuarded(t, "ann", "bob")
	ctx := context.Background()
	owner := adksession.New(d.URL, sessiond.WithToken(tokens["ann"]))
	create := &session.CreateRequest{AppName: "shop", UserID: "ann", SessionID: "s"}
	created, err := owner.Create(ctx, create)
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.AppendEvent(ctx, created.Session, session.NewEvent("i")); err != nil {
		t.Fatal(err)
	}
	get := &session.GetRequest{AppName: "shop", UserID: "ann", SessionID: "s"}
	for token, code := range map[string]string{
		tokens["bob"]: "session_not_found", "sd_old": "token_unknown", "": "token_missing",
	} {
		t.Setenv("SESSIOND_TOKEN", token)
		stranger := adksession.New(d.URL)
		if _, err := stranger.Get(ctx, get); !sessiond.IsCode(err, code) {
			t.Fatal(code, err)
		}
		if err := stranger.AppendEvent(ctx, created.Session, session.NewEvent("i")); !sessiond.IsCode(err, code) {
			t.Fatal(code, err)
		}
	}
	t.Setenv("SESSIOND_TOKEN", tokens["ann"])
	if read, err := adksession.New(d.URL).Get(ctx, get); err != nil || read.Session.Events().Len() != 1 {
		t.Fatal(read, err)
	}
}
