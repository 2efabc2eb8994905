// Package adksession keeps the sessions of Google's Agent Development Kit for Go in sessiond.
//
//	service := adksession.New("http://127.0.0.1:7717")
//	runner.New(runner.Config{AppName: "app", Agent: agent, SessionService: service})
package adksession

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/adk/session"

	sessiond "github.com/sessiond/sessiond/clients/go"
)

// Service is a session.Service over a daemon. It may be used by many goroutines at once.
type Service struct {
	client *sessiond.Client
}

var _ session.Service = (*Service)(nil)

// New makes a service over the daemon at a URL. An empty one is the variable SESSIOND_URL, or the
// daemon's default.
func New(url string, options ...sessiond.Option) *Service {
	return &Service{client: sessiond.New(url, options...)}
}

// Close ends the connections that nobody uses.
func (s *Service) Close() { s.client.Close() }

// Create creates a session; without an id it gets one.
func (s *Service) Create(ctx context.Context, request *session.CreateRequest) (*session.CreateResponse, error) {
	if request.AppName == "" || request.UserID == "" {
		return nil, errors.New("app_name and user_id are required")
	}
	state := sessiond.State{}
	for key, value := range request.State {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("the state %q is not JSON: %w", key, err)
		}
		state[key] = text
	}
	key := sessiond.Key{App: request.AppName, User: request.UserID, Session: request.SessionID}
	stored, err := s.client.CreateSession(ctx, key, state)
	if sessiond.IsCode(err, "session_exists") {
		return nil, fmt.Errorf("session %s already exists: %w", request.SessionID, err)
	}
	if err != nil {
		return nil, err
	}
	created, err := sessionOf(key, stored)
	if err != nil {
		return nil, err
	}
	return &session.CreateResponse{Session: created}, nil
}

// largestRead is the most events that the daemon gives at once.
const largestRead = 10_000

// Get gives a session, with no more events than are asked for.
func (s *Service) Get(ctx context.Context, request *session.GetRequest) (*session.GetResponse, error) {
	if request.AppName == "" || request.UserID == "" || request.SessionID == "" {
		return nil, errors.New("app_name, user_id and session_id are required")
	}
	key := sessiond.Key{App: request.AppName, User: request.UserID, Session: request.SessionID}
	stored, err := s.read(ctx, key, request.NumRecentEvents)
	if sessiond.IsCode(err, "session_not_found") {
		return nil, fmt.Errorf("session %s not found: %w", request.SessionID, err)
	}
	if err != nil {
		return nil, err
	}
	found, err := sessionOf(key, stored)
	if err != nil {
		return nil, err
	}
	if count := request.NumRecentEvents; count > 0 && len(found.events) > count {
		found.events = found.events[len(found.events)-count:]
	}
	for len(found.events) > 0 && found.events[0].Timestamp.Before(request.After) {
		found.events = found.events[1:]
	}
	return &session.GetResponse{Session: found}, nil
}

func (s *Service) read(ctx context.Context, key sessiond.Key, count int) (*sessiond.Session, error) {
	if count > 0 && count <= largestRead {
		return s.client.GetSession(ctx, key, sessiond.ReadOptions{Limit: &count, Window: "exact"})
	}
	return s.client.AllEvents(ctx, key, sessiond.ReadOptions{})
}

// List lists the sessions of a user, oldest first, without events. There is no list over all users.
func (s *Service) List(ctx context.Context, request *session.ListRequest) (*session.ListResponse, error) {
	if request.AppName == "" || request.UserID == "" {
		return nil, errors.New("sessiond lists the sessions of one user: app_name and user_id are required")
	}
	sessions := []session.Session{}
	for token := ""; ; {
		page, err := s.client.ListSessions(ctx, request.AppName, request.UserID, token, 1000, true)
		if err != nil {
			return nil, err
		}
		for i := range page.Sessions {
			key := sessiond.Key{App: request.AppName, User: request.UserID, Session: page.Sessions[i].ID}
			listed, err := sessionOf(key, &page.Sessions[i])
			if err != nil {
				return nil, err
			}
			sessions = append([]session.Session{listed}, sessions...)
		}
		if token = page.NextPageToken; token == "" {
			return &session.ListResponse{Sessions: sessions}, nil
		}
	}
}

// Delete deletes a session. None there is no error.
func (s *Service) Delete(ctx context.Context, request *session.DeleteRequest) error {
	if request.AppName == "" || request.UserID == "" || request.SessionID == "" {
		return errors.New("app_name, user_id and session_id are required")
	}
	key := sessiond.Key{App: request.AppName, User: request.UserID, Session: request.SessionID}
	return s.client.DeleteSession(ctx, key)
}

// AppendEvent appends an event, and changes the given session likewise once it is stored. Keys with
// the prefix temp: stay in that session. A partial event is nothing.
func (s *Service) AppendEvent(ctx context.Context, current session.Session, event *session.Event) error {
	if current == nil || event == nil {
		return errors.New("session and event are required")
	}
	ours, ok := current.(*stored)
	if !ok {
		return fmt.Errorf("the session %s is a %T, which another service has made", current.ID(), current)
	}
	if event.Partial {
		return nil
	}
	kept := *event
	kept.Actions.StateDelta = withoutTemporary(event.Actions.StateDelta)
	body, err := encode(&kept)
	if err != nil {
		return err
	}
	item := sessiond.Item{ID: event.ID, Dialect: sessiond.ADK, Event: body}
	options := sessiond.WriteOptions{Generation: ours.generation}
	if _, err := s.client.Append(ctx, ours.key, []sessiond.Item{item}, options); err != nil {
		return fmt.Errorf("append event to session %s: %w", current.ID(), err)
	}
	ours.add(event, kept.Actions.StateDelta)
	return nil
}

func withoutTemporary(delta map[string]any) map[string]any {
	if delta == nil {
		return nil
	}
	kept := make(map[string]any, len(delta))
	for key, value := range delta {
		if !strings.HasPrefix(key, session.KeyPrefixTemp) {
			kept[key] = value
		}
	}
	return kept
}
