package sessiond

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// part encodes a name for a path. A colon too, which is where verbs begin.
func part(name string) string {
	return strings.ReplaceAll(url.PathEscape(name), ":", "%3A")
}

func appPath(app string) string { return "/v1/apps/" + part(app) }

func userPath(app, user string) string { return appPath(app) + "/users/" + part(user) }

func (k Key) path() string { return userPath(k.App, k.User) + "/sessions/" + part(k.Session) }

func (o ReadOptions) query() url.Values {
	query := url.Values{}
	if o.Limit != nil {
		query.Set("limit", strconv.Itoa(*o.Limit))
	}
	texts := map[string]string{"window": o.Window, "summary": o.Summary}
	if !o.AfterTime.IsZero() {
		texts["after_time"] = o.AfterTime.UTC().Format(time.RFC3339Nano)
	}
	for name, text := range texts {
		if text != "" {
			query.Set(name, text)
		}
	}
	numbers := map[string]int64{"after_seq": o.AfterSeq, "before_seq": o.BeforeSeq, "max_bytes": o.MaxBytes}
	for name, number := range numbers {
		if number != 0 {
			query.Set(name, strconv.FormatInt(number, 10))
		}
	}
	return query
}

// CreateSession creates a session; without a name it gets one. If there is one of that name, the
// error has the code session_exists.
func (c *Client) CreateSession(ctx context.Context, key Key, state State) (*Session, error) {
	return c.create(ctx, key, state, false)
}

// EnsureSession gives the session of that name, and creates it if there is none.
func (c *Client) EnsureSession(ctx context.Context, key Key, state State) (*Session, error) {
	return c.create(ctx, key, state, true)
}

func (c *Client) create(ctx context.Context, key Key, state State, ensure bool) (*Session, error) {
	body := map[string]any{}
	if key.Session != "" {
		body["id"] = key.Session
	}
	if len(state) > 0 {
		body["state"] = state
	}
	call := call{method: http.MethodPost, path: userPath(key.App, key.User) + "/sessions", body: body}
	if ensure {
		// A create that failed on the way may have been done: only this one may be sent again.
		call.query, call.repeatable = url.Values{"if_exists": {"return"}}, key.Session != ""
	}
	session := &Session{}
	return session, c.do(ctx, call, session)
}

// GetSession reads state, a window of events, summaries.
func (c *Client) GetSession(ctx context.Context, key Key, options ReadOptions) (*Session, error) {
	session := &Session{}
	call := call{method: http.MethodGet, path: key.path(), query: options.query(), repeatable: true}
	return session, c.do(ctx, call, session)
}

// AllEvents reads the session with all its events, however many.
func (c *Client) AllEvents(ctx context.Context, key Key, options ReadOptions) (*Session, error) {
	limit := 1000
	options.Limit, options.Window = &limit, "exact"
	session, err := c.GetSession(ctx, key, options)
	if err != nil {
		return nil, err
	}
	before := int64(0)
	for _, event := range session.Events {
		if event.Seq != 0 {
			before = event.Seq
			break
		}
	}
	for before > 1 {
		page, err := c.Events(ctx, key, 0, before, limit)
		if err != nil {
			return nil, err
		}
		if page.Generation != session.Generation {
			return c.AllEvents(ctx, key, options)
		}
		session.Events = append(page.Events, session.Events...)
		before = page.NextBeforeSeq
	}
	return session, nil
}

// ListSessions lists a user's sessions, newest first. An empty token is the first page.
func (c *Client) ListSessions(ctx context.Context, app, user, token string, size int, withState bool) (*SessionPage, error) {
	query := url.Values{"page_size": {strconv.Itoa(size)}}
	if token != "" {
		query.Set("page_token", token)
	}
	if withState {
		query.Set("include", "state")
	}
	page := &SessionPage{}
	call := call{method: http.MethodGet, path: userPath(app, user) + "/sessions", query: query, repeatable: true}
	return page, c.do(ctx, call, page)
}

// GetSessions reads up to 100 sessions; those that are not there are left out.
func (c *Client) GetSessions(ctx context.Context, app, user string, ids []string, options ReadOptions) ([]Session, error) {
	var reply struct {
		Sessions []Session `json:"sessions"`
	}
	err := c.do(ctx, call{
		method: http.MethodPost, path: userPath(app, user) + "/sessions:batch_get",
		query: options.query(), body: map[string]any{"ids": ids}, repeatable: true,
	}, &reply)
	return reply.Sessions, err
}

// DeleteSession deletes a session with all that is stored of it. None there is no error.
func (c *Client) DeleteSession(ctx context.Context, key Key) error {
	return c.do(ctx, call{method: http.MethodDelete, path: key.path(), repeatable: true}, nil)
}

// SetTTL gives a session a time to live: a duration like "30m", "none" or "default".
func (c *Client) SetTTL(ctx context.Context, key Key, ttl, lease string) (*Session, error) {
	session := &Session{}
	call := call{
		method: http.MethodPatch, path: key.path(), body: map[string]string{"ttl": ttl},
		header: map[string]string{"Session-Lease": lease}, repeatable: true,
	}
	return session, c.do(ctx, call, session)
}
