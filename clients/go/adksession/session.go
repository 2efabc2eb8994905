package adksession

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/adk/session"

	sessiond "github.com/sessiond/sessiond/clients/go"
)

// stored is a session as it was read, and what was appended through it since.
type stored struct {
	key        sessiond.Key
	generation int64

	mu      sync.RWMutex
	state   map[string]any
	events  []*session.Event
	updated time.Time
}

func sessionOf(key sessiond.Key, from *sessiond.Session) (*stored, error) {
	key.Session = from.ID
	to := &stored{key: key, generation: from.Generation, state: map[string]any{}, updated: from.UpdatedAt}
	for name, text := range from.State {
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			return nil, fmt.Errorf("state %q: %w", name, err)
		}
		to.state[name] = value
	}
	for i := range from.Events {
		// Those that other frameworks wrote are left out.
		if from.Events[i].Dialect != sessiond.ADK {
			continue
		}
		event, err := decode(from.Events[i].Event)
		if err != nil {
			return nil, fmt.Errorf("the event %q is not one of ADK: %w", from.Events[i].ID, err)
		}
		to.events = append(to.events, event)
	}
	return to, nil
}

// add makes the session what it is with an event. The event loses its temporary changes of state.
func (s *stored) add(event *session.Event, kept map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.state, event.Actions.StateDelta)
	event.Actions.StateDelta = kept
	s.events = append(s.events, event)
	s.updated = event.Timestamp
}

func (s *stored) ID() string      { return s.key.Session }
func (s *stored) AppName() string { return s.key.App }
func (s *stored) UserID() string  { return s.key.User }

func (s *stored) LastUpdateTime() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.updated
}

func (s *stored) State() session.State { return state{s} }

func (s *stored) Events() session.Events {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return events(s.events)
}

type state struct{ of *stored }

func (s state) Get(key string) (any, error) {
	s.of.mu.RLock()
	defer s.of.mu.RUnlock()
	value, ok := s.of.state[key]
	if !ok {
		return nil, session.ErrStateKeyNotExist
	}
	return value, nil
}

// Set changes this copy: what is to be stored goes into an event's delta.
func (s state) Set(key string, value any) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.state[key] = value
	return nil
}

func (s state) All() iter.Seq2[string, any] {
	s.of.mu.RLock()
	defer s.of.mu.RUnlock()
	return maps.All(maps.Clone(s.of.state))
}

type events []*session.Event

func (e events) All() iter.Seq[*session.Event] { return slices.Values(e) }
func (e events) Len() int                      { return len(e) }

func (e events) At(i int) *session.Event {
	if i < 0 || i >= len(e) {
		return nil
	}
	return e[i]
}
