package trpcsession_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"trpc.group/trpc-go/trpc-agent-go/agent/llmagent"
	"trpc.group/trpc-go/trpc-agent-go/event"
	"trpc.group/trpc-go/trpc-agent-go/model"
	"trpc.group/trpc-go/trpc-agent-go/runner"
	"trpc.group/trpc-go/trpc-agent-go/session"
	"trpc.group/trpc-go/trpc-agent-go/tool"
	"trpc.group/trpc-go/trpc-agent-go/tool/function"

	sessiond "github.com/sessiond/sessiond/clients/go"
	"github.com/sessiond/sessiond/clients/go/internal/daemon"
	"github.com/sessiond/sessiond/clients/go/trpcsession"
)

var ctx = context.Background()

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func said(id string, role model.Role, text string) *event.Event {
	e := event.NewResponseEvent("inv", string(role), &model.Response{
		ID: "r-" + id, Done: true, Choices: []model.Choice{{Message: model.Message{Role: role, Content: text}}},
	})
	e.ID = id
	return e
}

func ids(sess *session.Session) string {
	var all []string
	for _, e := range sess.Events {
		all = append(all, e.ID)
	}
	return strings.Join(all, " ")
}

// The names are those of the cases of the framework's own test-suite.
func TestTheBehavioursOfItsOwnSuite(t *testing.T) {
	s := trpcsession.New(daemon.Start(t, "").URL)
	defer s.Close()
	create := func(t *testing.T, key session.Key, state session.StateMap) *session.Session {
		t.Helper()
		sess, err := s.CreateSession(ctx, key, state)
		check(t, err)
		return sess
	}
	get := func(t *testing.T, key session.Key, options ...session.Option) *session.Session {
		t.Helper()
		sess, err := s.GetSession(ctx, key, options...)
		check(t, err)
		return sess
	}
	add := func(t *testing.T, sess *session.Session, events ...*event.Event) {
		t.Helper()
		for _, e := range events {
			check(t, s.AppendEvent(ctx, sess, e))
		}
	}
	key := func(user string) session.Key {
		return session.Key{AppName: "app", UserID: user, SessionID: "s1"}
	}
	userKey := func(user string) session.UserKey { return session.UserKey{AppName: "app", UserID: user} }

	t.Run("C-01 to C-04, C-06, C-10: create", func(t *testing.T) {
		if sess := create(t, session.Key{AppName: "app", UserID: "c"}, nil); sess.ID == "" || len(sess.State) != 0 {
			t.Fatal(sess)
		}
		state := session.StateMap{"k": []byte(`"v"`), "null": nil}
		create(t, key("c"), state)
		state["k"][1] = 'x'
		again := create(t, key("c"), session.StateMap{"other": []byte("1")})
		if want := (session.StateMap{"k": []byte(`"v"`), "null": nil}); !reflect.DeepEqual(again.State, want) {
			t.Fatal(again.State)
		}
		_, err := s.CreateSession(ctx, session.Key{UserID: "u"}, nil)
		if !errors.Is(err, session.ErrAppNameRequired) {
			t.Fatal(err)
		}
		_, err = s.CreateSession(ctx, session.Key{AppName: "a"}, nil)
		if !errors.Is(err, session.ErrUserIDRequired) {
			t.Fatal(err)
		}
	})
	t.Run("C-12: concurrent creates", func(t *testing.T) {
		var wait sync.WaitGroup
		for n := 0; n < 10; n++ {
			wait.Add(1)
			go func(n int) {
				defer wait.Done()
				_, err := s.CreateSession(ctx, key(fmt.Sprint("c12-", n)), nil)
				if got, e := s.GetSession(ctx, key(fmt.Sprint("c12-", n))); err != nil || e != nil || got == nil {
					t.Error(err, e, got)
				}
			}(n)
		}
		wait.Wait()
	})
	t.Run("G-01 to G-04, G-07, S-01, S-03: get and state of all scopes, R80", func(t *testing.T) {
		if sess := get(t, key("g")); sess != nil {
			t.Fatal(sess)
		}
		_, err := s.GetSession(ctx, session.Key{AppName: "a", UserID: "u"})
		if !errors.Is(err, session.ErrSessionIDRequired) {
			t.Fatal(err)
		}
		values := session.StateMap{
			"bytes": {0xff, 0xfe, 0xfd}, "empty": {}, "nil": nil, "text": []byte("plain"), "spaced": []byte(`{ "a":  1.0 }`),
			"twice": []byte(`{"a":1,"a":2}`), "big": []byte("123456789012345678901234567890"),
		}
		check(t, s.UpdateAppState(ctx, "g-app", values))
		u := session.UserKey{AppName: "g-app", UserID: "u"}
		check(t, s.UpdateUserState(ctx, u, session.StateMap{"user:x": []byte("1"), "y": []byte("2")}))
		for _, list := range []func() (session.StateMap, error){
			func() (session.StateMap, error) { return s.ListAppStates(ctx, "g-app") },
		} {
			got, err := list()
			check(t, err)
			if !reflect.DeepEqual(got, values) {
				t.Fatalf("%q", got)
			}
		}
		sess := create(t, session.Key{AppName: "g-app", UserID: "u", SessionID: "s"}, session.StateMap{"x": []byte("0")})
		if string(sess.State["user:x"]) != "1" || string(sess.State["x"]) != "0" || string(sess.State["app:text"]) != "plain" {
			t.Fatalf("%q", sess.State)
		}
		check(t, s.DeleteUserState(ctx, u, "x"))
		check(t, s.DeleteUserState(ctx, u, "never"))
		check(t, s.DeleteAppState(ctx, "g-app", "bytes"))
		users, err := s.ListUserStates(ctx, u)
		check(t, err)
		if !reflect.DeepEqual(users, session.StateMap{"y": []byte("2")}) {
			t.Fatal(users)
		}
		none, err := s.ListUserStates(ctx, userKey("nobody"))
		if err != nil || none == nil || len(none) != 0 {
			t.Fatal(none, err)
		}
	})
	t.Run("G-06, E-01, E-07 to E-09, F-02 to F-05: windows", func(t *testing.T) {
		sess := create(t, key("w"), nil)
		at := time.Now().Add(-time.Hour)
		for n := 0; n < 6; n++ {
			role := model.RoleAssistant
			if n == 1 {
				role = model.RoleUser
			}
			e := said(fmt.Sprint("e", n), role, "x")
			e.Timestamp = at.Add(time.Duration(n) * time.Minute)
			add(t, sess, e)
		}
		for _, c := range []struct {
			want    string
			options []session.Option
		}{
			{"e1 e2 e3 e4 e5", nil},
			{"e1 e4 e5", []session.Option{session.WithEventNum(2)}},
			{"e1 e2 e3 e4 e5", []session.Option{session.WithEventNum(5)}},
			{"e1 e3 e4 e5", []session.Option{session.WithEventTime(at.Add(3 * time.Minute))}},
			{"e1", []session.Option{session.WithEventTime(time.Now())}},
			{"e1 e5", []session.Option{session.WithEventTime(at.Add(3 * time.Minute)), session.WithEventNum(1)}},
			{"e3 e4", []session.Option{session.WithGetSessionEventPage(1, 2)}},
		} {
			if got := ids(get(t, key("w"), c.options...)); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		}
	})
	t.Run("E-10 to E-14, E-16, E-20: append", func(t *testing.T) {
		initial := session.StateMap{"k": []byte("0")}
		sess := create(t, key("e"), initial)
		first := said("e1", model.RoleUser, "hi")
		first.StateDelta = map[string][]byte{"k": []byte("1"), "n": nil, "b": {0, 0xff}, "user:u": []byte(`"U"`), "temp:t": []byte("2")}
		add(t, sess, first)
		partial := said("e2", model.RoleAssistant, "he")
		partial.IsPartial, partial.StateDelta = true, map[string][]byte{"p": []byte("3")}
		bare := event.New("inv", "author")
		bare.StateDelta = map[string][]byte{"q": []byte("4")}
		add(t, sess, partial, bare, said("e3", model.RoleAssistant, ""))
		read := get(t, key("e"))
		want := session.StateMap{
			"k": []byte("1"), "n": nil, "b": {0, 0xff}, "user:u": []byte(`"U"`), "p": []byte("3"), "q": []byte("4"),
		}
		if ids(read) != "e1" || !reflect.DeepEqual(read.State, want) || string(initial["k"]) != "0" {
			t.Fatalf("%s %q", ids(read), read.State)
		}
		if ids(sess) != "e1" || string(sess.State["temp:t"]) != "2" {
			t.Fatalf("%s %q", ids(sess), sess.State)
		}
		var wait sync.WaitGroup
		for n := 0; n < 10; n++ {
			wait.Add(1)
			go func(n int) {
				defer wait.Done()
				own, _ := s.GetSession(ctx, key("e"))
				e := said(fmt.Sprint("c", n), model.RoleUser, "x")
				e.StateDelta = map[string][]byte{fmt.Sprint("c", n): []byte("1")}
				if err := s.AppendEvent(ctx, own, e); err != nil {
					t.Error(err)
				}
			}(n)
		}
		wait.Wait()
		for n := 0; n < 10; n++ {
			if _, ok := get(t, key("e")).State[fmt.Sprint("c", n)]; !ok {
				t.Fatal(n)
			}
		}
		gone := session.NewSession("app", "e", "missing")
		if err := s.AppendEvent(ctx, gone, said("x", model.RoleUser, "x")); err == nil || !strings.Contains(err.Error(), "session not found") {
			t.Fatal(err)
		}
		if err := s.AppendEvent(ctx, session.NewSession("", "", ""), said("x", model.RoleUser, "x")); !errors.Is(err, session.ErrAppNameRequired) {
			t.Fatal(err)
		}
		if err := s.AppendEvent(ctx, sess, nil); err == nil {
			t.Fatal("null event")
		}
	})
	t.Run("R10, R12: a repeated event is one", func(t *testing.T) {
		sess := create(t, key("r"), nil)
		e := said("e1", model.RoleUser, "hi")
		add(t, sess, e)
		add(t, get(t, key("r")), e)
		if got := ids(get(t, key("r"))); got != "e1" {
			t.Fatal(got)
		}
		if err := s.AppendEvent(ctx, sess, said("e1", model.RoleUser, "other")); err == nil {
			t.Fatal("another event of that id")
		}
	})
	t.Run("R13, R76, J-08: events come back equal", func(t *testing.T) {
		sess := create(t, key("f"), nil)
		e := said("e1", model.RoleUser, "a\x00<b>&👩‍🚀 \u2028")
		e.Timestamp = time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.FixedZone("", 8*3600))
		e.Response.Timestamp = e.Timestamp
		e.Branch, e.FilterKey, e.Tag, e.RequestID, e.ParentInvocationID = "a/b", "a/b", "t1;t2", "req", "parent"
		e.Extensions = map[string]json.RawMessage{"x": json.RawMessage(`{"big":123456789012345678901234567890}`)}
		e.LongRunningToolIDs = map[string]struct{}{"c1": {}}
		e.Actions = &event.EventActions{SkipSummarization: true}
		e.Response.Usage = &model.Usage{PromptTokens: 1, TotalTokens: 2}
		e.Response.Choices[0].Message.ToolCalls = []model.ToolCall{{ID: "c1", Type: "function",
			Function: model.FunctionDefinitionParam{Name: "f", Arguments: []byte(`{"n": 1e3}`)}}}
		add(t, sess, e)
		want, err := json.Marshal(e)
		check(t, err)
		got, err := json.Marshal(get(t, key("f")).Events[0])
		check(t, err)
		if string(got) != string(want) {
			t.Fatalf("%s\n%s", got, want)
		}
	})
	t.Run("S-02, S-04, S-05: state operations", func(t *testing.T) {
		sess := create(t, key("s"), session.StateMap{"keep": []byte("1")})
		check(t, s.UpdateSessionState(ctx, key("s"), session.StateMap{"k": []byte("2"), "n": nil}))
		check(t, s.AppendTrackEvent(ctx, sess, &session.TrackEvent{Track: "t", Payload: json.RawMessage(`{"a":1}`), Timestamp: time.Now()}))
		check(t, s.UpdateSessionState(ctx, key("s"), session.StateMap{"k": []byte("3")}))
		read := get(t, key("s"))
		if string(read.State["k"]) != "3" || string(read.State["keep"]) != "1" || string(read.State["tracks"]) != `["t"]` {
			t.Fatalf("%q", read.State)
		}
		if value, ok := read.State["n"]; !ok || value != nil {
			t.Fatal(value, ok)
		}
		for _, bad := range []string{"app:x", "user:x"} {
			if err := s.UpdateSessionState(ctx, key("s"), session.StateMap{bad: nil}); err == nil {
				t.Error(bad)
			}
		}
		if err := s.UpdateSessionState(ctx, key("s-missing"), session.StateMap{"k": nil}); err == nil {
			t.Error("missing session")
		}
		if err := s.UpdateAppState(ctx, "", nil); !errors.Is(err, session.ErrAppNameRequired) {
			t.Error(err)
		}
		if err := s.DeleteUserState(ctx, userKey("s"), ""); err == nil {
			t.Error("empty key")
		}
	})
	t.Run("K-01 to K-03, K-07, K-08: tracks", func(t *testing.T) {
		sess := create(t, key("k"), nil)
		at := time.Now().Add(-time.Hour).UTC()
		for n := 0; n < 3; n++ {
			e := &session.TrackEvent{Track: "a", Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)), Timestamp: at.Add(time.Duration(n) * time.Minute)}
			check(t, s.AppendTrackEvent(ctx, sess, e))
		}
		check(t, s.AppendTrackEvent(ctx, get(t, key("k")), &session.TrackEvent{Track: "b", Payload: json.RawMessage(`1`), Timestamp: at}))
		add(t, sess, said("e", model.RoleUser, "hi"))
		read := get(t, key("k"))
		if len(read.Tracks) != 2 || len(read.Tracks["a"].Events) != 3 || string(read.Tracks["a"].Events[2].Payload) != `{"n":2}` {
			t.Fatal(read.Tracks)
		}
		newest := get(t, key("k"), session.WithEventNum(1)).Tracks["a"].Events
		late := get(t, key("k"), session.WithEventTime(at.Add(time.Minute))).Tracks["a"].Events
		if len(newest) != 1 || string(newest[0].Payload) != `{"n":2}` || len(late) != 2 {
			t.Fatal(newest, late)
		}
	})
	t.Run("L-01 to L-05: list", func(t *testing.T) {
		none, err := s.ListSessions(ctx, userKey("l"))
		if err != nil || none == nil || len(none) != 0 {
			t.Fatal(none, err)
		}
		for n := 0; n < 3; n++ {
			k := key("l")
			k.SessionID = fmt.Sprint("s", n)
			sess := create(t, k, session.StateMap{"k": []byte("1")})
			add(t, sess, said("e1", model.RoleUser, "x"), said("e2", model.RoleUser, "x"))
		}
		list, err := s.ListSessions(ctx, userKey("l"), session.WithEventNum(1))
		check(t, err)
		meta, err := s.ListSessions(ctx, userKey("l"), session.WithListSessionOnlyMeta())
		check(t, err)
		if len(list) != 3 || list[0].ID != "s2" || ids(list[0]) != "e2" || string(list[0].State["k"]) != "1" {
			t.Fatal(list)
		}
		if len(meta) != 3 || meta[2].ID != "s0" || len(meta[0].Events) != 0 || string(meta[0].State["k"]) != "1" {
			t.Fatal(meta)
		}
		_, err = s.ListSessions(ctx, userKey("l"), session.WithGetSessionEventPage(0, 1))
		if !errors.Is(err, session.ErrEventPageOnlyForGetSession) {
			t.Fatal(err)
		}
	})
	t.Run("D-01, D-02, D-05: delete", func(t *testing.T) {
		check(t, s.DeleteSession(ctx, key("d")))
		sess := create(t, key("d"), nil)
		add(t, sess, said("e1", model.RoleUser, "x"))
		check(t, s.AppendTrackEvent(ctx, sess, &session.TrackEvent{Track: "t", Payload: json.RawMessage(`1`)}))
		check(t, s.DeleteSession(ctx, key("d")))
		if got := get(t, key("d")); got != nil {
			t.Fatal(got)
		}
		if again := create(t, key("d"), nil); len(get(t, key("d")).Events) != 0 || len(again.State) != 0 {
			t.Fatal(again.State)
		}
	})
	t.Run("windows around an event", func(t *testing.T) {
		sess := create(t, key("v"), nil)
		for n := 0; n < 5; n++ {
			add(t, sess, said(fmt.Sprint("e", n), model.RoleUser, "x"))
		}
		window, err := s.GetEventWindow(ctx, session.EventWindowRequest{Key: key("v"), AnchorEventID: "e2", Before: 1, After: 9})
		check(t, err)
		if len(window.Entries) != 4 || window.Entries[0].Event.ID != "e1" {
			t.Fatal(window)
		}
	})
	t.Run("SM-02, SM-11: no summarizer", func(t *testing.T) {
		sess := create(t, key("sm"), nil)
		check(t, s.EnqueueSummaryJob(ctx, sess, "", true))
		check(t, s.CreateSessionSummary(ctx, sess, "", true))
		if text, ok := s.GetSessionSummaryText(ctx, sess); ok || text != "" {
			t.Fatal(text)
		}
		if err := s.EnqueueSummaryJob(ctx, nil, "", false); !errors.Is(err, session.ErrNilSession) {
			t.Fatal(err)
		}
	})
}

// E-05, T-01: the limit and the time to live are the daemon's.
func TestTheLimitOfTheDaemon(t *testing.T) {
	s := trpcsession.New(daemon.Start(t, "[session]\nevent_limit = 3\nttl = \"1h\"\n").URL)
	key := session.Key{AppName: "a", UserID: "u", SessionID: "s"}
	sess, err := s.CreateSession(ctx, key, nil)
	check(t, err)
	for n := 0; n < 5; n++ {
		check(t, s.AppendEvent(ctx, sess, said(fmt.Sprint("e", n), model.RoleUser, "x")))
	}
	read, err := s.GetSession(ctx, key)
	check(t, err)
	if ids(read) != "e2 e3 e4" {
		t.Fatal(ids(read))
	}
}

// scripted calls the tool once for each turn of the user, and then tells what it was shown.
type scripted struct{}

func (scripted) Info() model.Info { return model.Info{Name: "scripted"} }

func (scripted) GenerateContent(_ context.Context, request *model.Request) (<-chan *model.Response, error) {
	calls := 0
	for _, message := range request.Messages {
		calls += len(message.ToolCalls)
	}
	message := model.NewAssistantMessage(fmt.Sprintf("messages: %d; calls: %d", len(request.Messages), calls))
	if last := request.Messages[len(request.Messages)-1]; last.Role == model.RoleUser {
		message = model.Message{Role: model.RoleAssistant, ToolCalls: []model.ToolCall{{
			ID: fmt.Sprint("call", calls), Type: "function",
			Function: model.FunctionDefinitionParam{Name: "look", Arguments: []byte(`{"word":"it"}`)},
		}}}
	}
	answer := make(chan *model.Response, 1)
	answer <- &model.Response{ID: "r", Done: true, Choices: []model.Choice{{Message: message}}}
	close(answer)
	return answer, nil
}

type word struct {
	Word string `json:"word"`
}

// TestMain is the agent too, in a process of its own that a test below starts.
func TestMain(m *testing.M) {
	url := os.Getenv("TRPCSESSION_RUN")
	if url == "" {
		os.Exit(m.Run())
	}
	if err := runAgent(url); err != nil {
		log.Fatal(err)
	}
}

func runAgent(url string) error {
	look := function.NewFunctionTool(func(_ context.Context, w word) (word, error) { return w, nil },
		function.WithName("look"), function.WithDescription("looks a word up"))
	agent := llmagent.New("bot", llmagent.WithModel(scripted{}), llmagent.WithTools([]tool.Tool{look}))
	run := runner.NewRunner("demo", agent, runner.WithSessionService(trpcsession.New(url)))
	events, err := run.Run(ctx, "ann", "s1", model.NewUserMessage("hello"))
	if err != nil {
		return err
	}
	for e := range events {
		if e.Response != nil && len(e.Response.Choices) > 0 && e.Object != model.ObjectTypeRunnerCompletion {
			if text := e.Response.Choices[0].Message.Content; strings.HasPrefix(text, "messages") {
				fmt.Println(text)
			}
		}
	}
	return run.Close()
}

// R92: a run of the framework's runner goes on in another process, after the daemon was killed.
func TestARunnerGoesOnInAnotherProcessAfterARestart(t *testing.T) {
	d := daemon.Start(t, "")
	for _, want := range []string{"messages: 4; calls: 1\n", "messages: 8; calls: 2\n"} {
		process := exec.Command(os.Args[0])
		process.Env = append(os.Environ(), "TRPCSESSION_RUN="+d.URL)
		out, err := process.CombinedOutput()
		check(t, err)
		if !strings.Contains(string(out), want) {
			t.Fatalf("%s", out)
		}
		d.Restart(t)
	}
}

// R75: a summary of the daemon's plugin is the framework's own, in the session and by itself.
func TestSummariesOfAPlugin(t *testing.T) {
	d := daemon.Start(t, fmt.Sprintf("[summary]\nplugin = \"rolling\"\n[plugins.rolling]\npath = %q\n",
		daemon.Guest(t, "rolling-summary-python")))
	s := trpcsession.New(d.URL)
	key := session.Key{AppName: "a", UserID: "u", SessionID: "s"}
	sess, err := s.CreateSession(ctx, key, nil)
	check(t, err)
	check(t, s.AppendEvent(ctx, sess, said("e1", model.RoleUser, "where to?")))
	check(t, s.AppendEvent(ctx, sess, said("e2", model.RoleAssistant, "home")))
	check(t, s.CreateSessionSummary(ctx, sess, session.SummaryFilterKeyAllContents, true))
	text, ok := s.GetSessionSummaryText(ctx, sess)
	if !ok || !strings.Contains(text, "where to?") {
		t.Fatal(text, ok)
	}
	read, err := s.GetSession(ctx, key)
	check(t, err)
	summary := read.Summaries[session.SummaryFilterKeyAllContents]
	if summary == nil || summary.Summary != text || time.Since(summary.UpdatedAt) > time.Hour {
		t.Fatal(summary)
	}
	if held, _ := s.GetSessionSummaryText(ctx, read); held != text || ids(read) != "e1 e2" {
		t.Fatal(held, ids(read))
	}
}

// R84, R85: a token is taken from the options or the environment, and another user's session is not there.
func TestTokens(t *testing.T) {
	d, tokens := daemon.StartGuarded(t, "ann", "bob")
	key := session.Key{AppName: "shop", UserID: "ann", SessionID: "s"}
	owner := trpcsession.New(d.URL, sessiond.WithToken(tokens["ann"]))
	sess, err := owner.CreateSession(ctx, key, nil)
	check(t, err)
	check(t, owner.AppendEvent(ctx, sess, said("e1", model.RoleUser, "hello")))
	for token, code := range map[string]string{"sd_old": "token_unknown", "": "token_missing"} {
		t.Setenv("SESSIOND_TOKEN", token)
		if _, err := trpcsession.New(d.URL).GetSession(ctx, key); !sessiond.IsCode(err, code) {
			t.Fatal(code, err)
		}
	}
	t.Setenv("SESSIOND_TOKEN", tokens["bob"])
	// A session that is not there is no error of the framework's services, and neither is one of another user.
	if found, err := trpcsession.New(d.URL).GetSession(ctx, key); found != nil || err != nil {
		t.Fatal(found, err)
	}
	if err := trpcsession.New(d.URL).AppendEvent(ctx, sess, said("e2", model.RoleUser, "mine")); !sessiond.IsCode(err, "session_not_found") {
		t.Fatal(err)
	}
	t.Setenv("SESSIOND_TOKEN", tokens["ann"])
	found, err := trpcsession.New(d.URL).GetSession(ctx, key)
	check(t, err)
	if ids(found) != "e1" {
		t.Fatal(ids(found))
	}
}
