// Package trpcsession keeps the sessions of trpc-agent-go in sessiond.
//
//	service := trpcsession.New("http://127.0.0.1:7717")
//	runner := runner.NewRunner("app", agent, runner.WithSessionService(service))
package trpcsession

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"trpc.group/trpc-go/trpc-agent-go/event"
	"trpc.group/trpc-go/trpc-agent-go/session"

	sessiond "github.com/sessiond/sessiond/clients/go"
)

// Service is a session.Service over a daemon. It is a session.TrackService and a
// session.WindowService too. It may be used by many goroutines at once.
//
// Limits, times to live, hooks and the summarizer are the daemon's: its configuration has them.
type Service struct {
	client *sessiond.Client
}

var (
	_ session.Service       = (*Service)(nil)
	_ session.TrackService  = (*Service)(nil)
	_ session.WindowService = (*Service)(nil)
)

// New makes a service over the daemon at a URL. An empty one is the variable SESSIOND_URL, or the
// daemon's default.
func New(url string, options ...sessiond.Option) *Service {
	return &Service{client: sessiond.New(url, options...)}
}

// Close ends the connections that nobody uses.
func (s *Service) Close() error {
	s.client.Close()
	return nil
}

func keyOf(key session.Key) sessiond.Key {
	return sessiond.Key{App: key.AppName, User: key.UserID, Session: key.SessionID}
}

func sessionKey(sess *session.Session) (session.Key, error) {
	if sess == nil {
		return session.Key{}, session.ErrNilSession
	}
	key := session.Key{AppName: sess.AppName, UserID: sess.UserID, SessionID: sess.ID}
	return key, key.CheckSessionKey()
}

func optionsOf(options []session.Option) *session.Options {
	all := &session.Options{}
	for _, option := range options {
		option(all)
	}
	return all
}

func isMissing(err error) bool { return sessiond.IsCode(err, "session_not_found") }

// CreateSession creates a session, or gives the one of that name.
func (s *Service) CreateSession(
	ctx context.Context, key session.Key, state session.StateMap, _ ...session.Option,
) (*session.Session, error) {
	if err := key.CheckUserKey(); err != nil {
		return nil, err
	}
	if key.SessionID == "" {
		// An id of ours, so that the create may be sent again.
		key.SessionID = sessiond.NewID()
	}
	stored, err := s.client.EnsureSession(ctx, keyOf(key), encodeState(state))
	if err != nil {
		return nil, fmt.Errorf("create session failed: %w", err)
	}
	return sessionOf(key, stored, nil)
}

// GetSession gives a session, or nil if there is none.
func (s *Service) GetSession(
	ctx context.Context, key session.Key, options ...session.Option,
) (*session.Session, error) {
	if err := key.CheckSessionKey(); err != nil {
		return nil, err
	}
	opts := optionsOf(options)
	if err := session.ValidateGetSessionOptions(opts, true); err != nil {
		return nil, err
	}
	sess, err := s.read(ctx, key, opts)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get session failed: %w", err)
	}
	return sess, s.addTracks(ctx, sess, opts)
}

// largestRead is the most events that the daemon gives at once.
const largestRead = 10_000

// read reads a session, and no more events of it than are asked for, where that is enough.
func (s *Service) read(ctx context.Context, key session.Key, opts *session.Options) (*session.Session, error) {
	if opts.EventNum > 0 && opts.EventNum <= largestRead && opts.EventTime.IsZero() && opts.EventPage == nil {
		limit := opts.EventNum
		stored, err := s.client.GetSession(ctx, keyOf(key),
			sessiond.ReadOptions{Limit: &limit, Window: "exact", Summary: "include"})
		if err != nil {
			return nil, err
		}
		sess, err := sessionOf(key, stored, opts)
		if err != nil || len(sess.Events) > 0 {
			return sess, err
		}
		// No user's turn among them: the newest one before them belongs to the answer.
	}
	stored, err := s.client.AllEvents(ctx, keyOf(key), sessiond.ReadOptions{Summary: "include"})
	if err != nil {
		return nil, err
	}
	return sessionOf(key, stored, opts)
}

// ListSessions lists a user's sessions, newest first.
func (s *Service) ListSessions(
	ctx context.Context, userKey session.UserKey, options ...session.Option,
) ([]*session.Session, error) {
	if err := userKey.CheckUserKey(); err != nil {
		return nil, err
	}
	opts := optionsOf(options)
	if err := session.ValidateListSessionsOptions(opts); err != nil {
		return nil, err
	}
	sessions := []*session.Session{}
	for token := ""; ; {
		page, err := s.client.ListSessions(ctx, userKey.AppName, userKey.UserID, token, 1000, true)
		if err != nil {
			return nil, fmt.Errorf("list sessions failed: %w", err)
		}
		for i := range page.Sessions {
			key := session.Key{AppName: userKey.AppName, UserID: userKey.UserID, SessionID: page.Sessions[i].ID}
			sess, err := s.listed(ctx, key, &page.Sessions[i], opts, options)
			if err != nil {
				return nil, err
			}
			if sess != nil {
				sessions = append(sessions, sess)
			}
		}
		if token = page.NextPageToken; token == "" {
			return sessions, nil
		}
	}
}

// listed gives a session of a list. Nil: it was deleted in the meantime.
func (s *Service) listed(
	ctx context.Context, key session.Key, stored *sessiond.Session, opts *session.Options, options []session.Option,
) (*session.Session, error) {
	if opts.ListSessionOnlyMeta {
		return sessionOf(key, stored, nil)
	}
	return s.GetSession(ctx, key, options...)
}

// DeleteSession deletes a session with all that is stored of it. None there is no error.
func (s *Service) DeleteSession(ctx context.Context, key session.Key, _ ...session.Option) error {
	if err := key.CheckSessionKey(); err != nil {
		return err
	}
	if err := s.client.DeleteSession(ctx, keyOf(key)); err != nil {
		return fmt.Errorf("delete session failed: %w", err)
	}
	return nil
}

// AppendEvent appends an event, and changes the given session likewise once it is stored.
//
// An event without content changes the state only, and a partial one too.
func (s *Service) AppendEvent(
	ctx context.Context, sess *session.Session, e *event.Event, options ...session.Option,
) error {
	key, err := sessionKey(sess)
	if err != nil {
		return err
	}
	if e == nil {
		return errors.New("event is nil")
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("marshal event failed: %w", err)
	}
	item := sessiond.Item{ID: e.ID, Dialect: sessiond.TRPC, Event: body}
	if _, err := s.client.Append(ctx, keyOf(key), []sessiond.Item{item}, sessiond.WriteOptions{}); err != nil {
		if isMissing(err) {
			return fmt.Errorf("append event failed: session not found: %s/%s/%s: %w", key.AppName, key.UserID, key.SessionID, err)
		}
		return fmt.Errorf("append event failed: %w", err)
	}
	sess.UpdateUserSession(e, options...)
	return nil
}

// CreateSessionSummary has the daemon make a summary, and waits for it.
func (s *Service) CreateSessionSummary(
	ctx context.Context, sess *session.Session, filterKey string, force bool,
) error {
	return s.summarize(ctx, sess, filterKey, force, true)
}

// EnqueueSummaryJob has the daemon make a summary in its own time.
func (s *Service) EnqueueSummaryJob(
	ctx context.Context, sess *session.Session, filterKey string, force bool,
) error {
	return s.summarize(ctx, sess, filterKey, force, false)
}

func (s *Service) summarize(
	ctx context.Context, sess *session.Session, filterKey string, force, wait bool,
) error {
	key, err := sessionKey(sess)
	if errors.Is(err, session.ErrNilSession) {
		return err
	}
	if err != nil {
		return fmt.Errorf("check session key failed: %w", err)
	}
	_, err = s.client.Summarize(ctx, keyOf(key), filterKey, force, wait)
	if sessiond.IsCode(err, "no_summarizer") {
		return nil
	}
	return err
}

// GetSessionSummaryText gives a summary: that which the given session holds, else the stored one.
func (s *Service) GetSessionSummaryText(
	ctx context.Context, sess *session.Session, options ...session.SummaryOption,
) (string, bool) {
	key, err := sessionKey(sess)
	if err != nil {
		return "", false
	}
	wanted := session.SummaryOptions{}
	for _, option := range options {
		option(&wanted)
	}
	sess.SummariesMu.RLock()
	held := sess.Summaries[wanted.FilterKey]
	sess.SummariesMu.RUnlock()
	if held != nil && held.Summary != "" {
		return held.Summary, true
	}
	summaries, err := s.client.Summaries(ctx, keyOf(key))
	if err != nil {
		return "", false
	}
	texts := map[string]string{}
	for _, summary := range summaries {
		texts[summary.FilterKey] = summary.Text
	}
	for _, filterKey := range []string{wanted.FilterKey, session.SummaryFilterKeyAllContents} {
		if text := texts[filterKey]; text != "" {
			return text, true
		}
	}
	return "", false
}

// GetEventWindow gives an event and what stands around it.
func (s *Service) GetEventWindow(
	ctx context.Context, request session.EventWindowRequest,
) (*session.EventWindow, error) {
	if err := request.Key.CheckSessionKey(); err != nil {
		return nil, err
	}
	if request.AnchorEventID == "" || request.Before < 0 || request.After < 0 {
		return nil, errors.New("an event window needs an anchor, and no negative numbers")
	}
	stored, err := s.client.AllEvents(ctx, keyOf(request.Key), sessiond.ReadOptions{})
	if err != nil {
		return nil, fmt.Errorf("get event window failed: %w", err)
	}
	entries, anchor := []session.EventWindowEntry{}, -1
	for i := range stored.Events {
		e, ok, err := decodeEvent(&stored.Events[i])
		if err != nil {
			return nil, err
		}
		if !ok || !hasRole(e, request) {
			continue
		}
		if stored.Events[i].ID == request.AnchorEventID {
			anchor = len(entries)
		}
		entries = append(entries, session.EventWindowEntry{Event: *e, CreatedAt: stored.Events[i].Time})
	}
	if anchor < 0 {
		return nil, fmt.Errorf("event window anchor not found: %s", request.AnchorEventID)
	}
	from, to := anchor-request.Before, anchor+request.After+1
	if from < 0 {
		from = 0
	}
	if to > len(entries) {
		to = len(entries)
	}
	return &session.EventWindow{
		SessionKey: request.Key, AnchorEventID: request.AnchorEventID, Entries: entries[from:to],
	}, nil
}

// hasRole tells whether an event is wanted; the anchor always is.
func hasRole(e *event.Event, request session.EventWindowRequest) bool {
	if len(request.Roles) == 0 || e.ID == request.AnchorEventID {
		return true
	}
	if e.Response == nil || len(e.Response.Choices) == 0 {
		return false
	}
	for _, role := range request.Roles {
		if e.Response.Choices[0].Message.Role == role {
			return true
		}
	}
	return false
}

// sessionOf makes a session of a stored one. With options its events are those that they ask for.
func sessionOf(key session.Key, stored *sessiond.Session, opts *session.Options) (*session.Session, error) {
	state, err := decodeState(stored.State)
	if err != nil {
		return nil, err
	}
	sess := session.NewSession(key.AppName, key.UserID, stored.ID,
		session.WithSessionCreatedAt(stored.CreatedAt), session.WithSessionUpdatedAt(stored.UpdatedAt))
	sess.State = state
	for i := range stored.Events {
		e, ok, err := decodeEvent(&stored.Events[i])
		if err != nil {
			return nil, err
		}
		if ok {
			sess.Events = append(sess.Events, *e)
		}
	}
	if opts != nil {
		filter(sess, opts)
	}
	for _, summary := range stored.Summaries {
		if sess.Summaries == nil {
			sess.Summaries = map[string]*session.Summary{}
		}
		sess.Summaries[summary.FilterKey] = &session.Summary{
			Summary: summary.Text, Topics: summary.Topics, UpdatedAt: summary.UpdatedAt.UTC(),
		}
	}
	return sess, nil
}

func filter(sess *session.Session, opts *session.Options) {
	if page := opts.EventPage; page != nil {
		to := len(sess.Events) - page.Offset
		if to < 0 {
			to = 0
		}
		from := to - page.Limit
		if from < 0 {
			from = 0
		}
		sess.Events = sess.Events[from:to]
		return
	}
	sess.ApplyEventFiltering(session.WithEventNum(opts.EventNum), session.WithEventTime(opts.EventTime))
}

// decodeEvent gives a stored event. Those that other frameworks wrote are left out.
func decodeEvent(stored *sessiond.StoredEvent) (*event.Event, bool, error) {
	if stored.Dialect != sessiond.TRPC {
		return nil, false, nil
	}
	e := &event.Event{}
	if err := json.Unmarshal(stored.Event, e); err != nil {
		return nil, false, fmt.Errorf("the event %q is not one of trpc-agent-go: %w", stored.ID, err)
	}
	return e, true, nil
}

func withPrefix(state sessiond.State, prefix string) sessiond.State {
	bare := make(sessiond.State, len(state))
	for key, value := range state {
		bare[strings.TrimPrefix(key, prefix)] = value
	}
	return bare
}

// since tells whether a time is not before another; the zero time is before all.
func since(at, from time.Time) bool { return from.IsZero() || !at.Before(from) }
