package sessiond_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	sessiond "github.com/sessiond/sessiond/clients/go"
	"github.com/sessiond/sessiond/clients/go/internal/daemon"
)

var quick = sessiond.WithRetry(sessiond.Retry{Attempts: 4, FirstDelay: time.Millisecond, LongestDelay: 20 * time.Millisecond})

// R76, R77: what stores like to lose.
const hard = `{"role":"user","content":"a\u0000<b>&👩‍🚀","big":1180591620717411303425,"small":-0.0,"exact":1.0,"null":null,"":[],"e":1e308,"s":"\ud83d"}`

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEverything(t *testing.T) {
	d := daemon.Start(t, "")
	client, ctx := sessiond.New(d.URL, quick), context.Background()
	t.Run("what is written is read, R76", func(t *testing.T) {
		key := sessiond.Key{App: "shop", User: "a:n/n", Session: "s 1:pop"}
		_, err := client.CreateSession(ctx, key, sessiond.State{"user:u": json.RawMessage(`1`)})
		check(t, err)
		_, err = client.Append(ctx, key, []sessiond.Item{{Event: json.RawMessage(hard)}}, sessiond.WriteOptions{})
		check(t, err)
		session, err := client.AllEvents(ctx, key, sessiond.ReadOptions{})
		check(t, err)
		if got := string(session.Events[0].Event); got != hard {
			t.Fatalf("%s\n%s", got, hard)
		}
		_, err = client.CreateSession(ctx, key, nil)
		if !sessiond.IsCode(err, "session_exists") {
			t.Fatal(err)
		}
		check(t, client.DeleteState(ctx, sessiond.UserState("shop", "a:n/n"), "u"))
		state, err := client.GetState(ctx, sessiond.SessionState(key))
		check(t, err)
		if len(state) != 0 {
			t.Fatal(state)
		}
	})
	t.Run("pages, edits, leases and tracks", func(t *testing.T) {
		key := sessiond.Key{App: "shop", User: "u", Session: "s"}
		_, err := client.EnsureSession(ctx, key, nil)
		check(t, err)
		for n := 0; n < 900; n += 300 {
			var items []sessiond.Item
			for i := n; i < n+300; i++ {
				items = append(items, sessiond.Item{Event: json.RawMessage(fmt.Sprintf(`{"role":"user","content":"%d"}`, i))})
			}
			_, err := client.Append(ctx, key, items, sessiond.WriteOptions{})
			check(t, err)
		}
		popped, err := client.Pop(ctx, key, 1, "")
		check(t, err)
		if string(popped.Events[0].Event) != `{"role":"user","content":"899"}` {
			t.Fatal(popped)
		}
		all, err := client.AllEvents(ctx, key, sessiond.ReadOptions{})
		check(t, err)
		if len(all.Events) != 899 {
			t.Fatal(len(all.Events))
		}
		lease, err := client.Lease(ctx, key, "10s", "me", "")
		check(t, err)
		if _, err = client.Clear(ctx, key, ""); !sessiond.IsCode(err, "leased") {
			t.Fatal(err)
		}
		cleared, err := client.Clear(ctx, key, lease.Token)
		check(t, err)
		if cleared.Removed != 899 {
			t.Fatal(cleared)
		}
		check(t, client.Release(ctx, key, lease.Token))
		check(t, client.AppendTrack(ctx, key, "t", []json.RawMessage{json.RawMessage(`{"a":1}`)}))
		track, err := client.Track(ctx, key, "t", 0, 10)
		check(t, err)
		if string(track.Events[0].Event) != `{"a":1}` {
			t.Fatal(track)
		}
		check(t, client.DeleteSession(ctx, key))
		if _, err = client.GetSession(ctx, key, sessiond.ReadOptions{}); !sessiond.IsCode(err, "session_not_found") {
			t.Fatal(err)
		}
	})
	t.Run("a retry is no second event, R4 and R11", func(t *testing.T) {
		lossy := &loses{left: 2}
		client := sessiond.New(d.URL, quick, sessiond.WithHTTPClient(&http.Client{Transport: lossy}))
		key := sessiond.Key{App: "shop", User: "r", Session: "s"}
		_, err := client.CreateSession(ctx, key, nil)
		check(t, err)
		reply, err := client.Append(ctx, key, []sessiond.Item{{Event: json.RawMessage(hard)}}, sessiond.WriteOptions{})
		check(t, err)
		all, err := client.AllEvents(ctx, key, sessiond.ReadOptions{})
		check(t, err)
		if len(all.Events) != 1 || !reply.Items[0].Duplicate || lossy.left != 0 {
			t.Fatal(len(all.Events), reply, lossy.left)
		}
	})
}

// loses sends, and loses the answers of the first appends: the daemon has done them.
type loses struct {
	sync.Mutex
	left int
}

func (l *loses) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	l.Lock()
	defer l.Unlock()
	if err == nil && strings.HasSuffix(request.URL.Path, "/events") && request.Method == http.MethodPost && l.left > 0 {
		l.left--
		_ = response.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return response, err
}

func TestRetriesAreBounded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, listener.Close())
	client := sessiond.New("http://"+listener.Addr().String(), quick)
	if _, err := client.GetState(context.Background(), sessiond.AppState("a")); err == nil {
		t.Fatal("it answers")
	}
}

// R93: the first connection breaks in the middle of a frame. The token is shown.
func TestAWatchGoesOnWhereItBroke(t *testing.T) {
	streams := []string{
		"id: 1-2\nevent: snapshot\ndata: {}\n\n: keep-alive\n\nid: 1-3\nevent: append\ndata: {\"seq\":3}\n\nevent: append\ndata: {\"s",
		"id: 1-4\nevent: append\ndata: {\"seq\":4}\n\nevent: delete\ndata: {}\n\n",
	}
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID")+" "+r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, streams[len(asked)-1])
	}))
	defer server.Close()
	client := sessiond.New(server.URL, quick, sessiond.WithToken("sd_1"))
	var seen []string
	key := sessiond.Key{App: "a", User: "u", Session: "s"}
	check(t, client.Watch(context.Background(), key, "", func(frame sessiond.Frame) bool {
		seen = append(seen, frame.Kind+frame.Cursor)
		return true
	}))
	if got := strings.Join(seen, " "); got != "snapshot1-2 append1-3 append1-4 delete1-4" {
		t.Fatal(got)
	}
	if got := strings.Join(asked, ","); got != " Bearer sd_1,1-3 Bearer sd_1" {
		t.Fatal(got)
	}
}

func TestTokensR84(t *testing.T) {
	d, tokens := daemon.StartGuarded(t, "ann", "bob")
	ctx, key := context.Background(), sessiond.Key{App: "shop", User: "ann", Session: "s"}
	owner := sessiond.New(d.URL, sessiond.WithToken(tokens["ann"]))
	_, err := owner.CreateSession(ctx, key, nil)
	check(t, err)
	refusal := func(token string) *sessiond.Error {
		t.Helper()
		t.Setenv("SESSIOND_TOKEN", token)
		_, err := sessiond.New(d.URL).GetSession(ctx, key, sessiond.ReadOptions{})
		var refused *sessiond.Error
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		return refused
	}
	// Nothing tells another user that there is such a session.
	if it := refusal(tokens["bob"]); it.Status != 404 || it.Code != "session_not_found" {
		t.Fatal(it)
	}
	if it := refusal("sd_old"); it.Status != 401 || it.Code != "token_unknown" {
		t.Fatal(it)
	}
	it := refusal("")
	if it.Status != 401 || it.Code != "token_missing" || !strings.Contains(it.Error(), "Authorization: Bearer TOKEN") {
		t.Fatal(it)
	}
	t.Setenv("SESSIOND_TOKEN", tokens["ann"])
	_, err = sessiond.New(d.URL).GetSession(ctx, key, sessiond.ReadOptions{})
	check(t, err)
}
