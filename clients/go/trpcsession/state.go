package trpcsession

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"trpc.group/trpc-go/trpc-agent-go/session"

	sessiond "github.com/sessiond/sessiond/clients/go"
)

// encodeState makes JSON values of bytes. As base64, so that every byte of them stays.
func encodeState(state session.StateMap) sessiond.State {
	encoded := make(sessiond.State, len(state))
	for key, value := range state {
		if value == nil {
			encoded[key] = json.RawMessage("null")
			continue
		}
		text, _ := json.Marshal(map[string][]byte{"$bytes": value})
		encoded[key] = text
	}
	return encoded
}

// decodeState is the inverse: what is JSON comes as JSON, other bytes as base64.
func decodeState(state sessiond.State) (session.StateMap, error) {
	decoded := make(session.StateMap, len(state))
	for key, value := range state {
		text := bytes.TrimSpace(value)
		switch {
		case bytes.Equal(text, []byte("null")):
			decoded[key] = nil
		case bytes.HasPrefix(text, []byte("{")) && bytes.Contains(text, []byte("$bytes")):
			var members map[string]json.RawMessage
			var raw []byte
			if err := json.Unmarshal(text, &members); err != nil {
				return nil, fmt.Errorf("state %q: %w", key, err)
			}
			if len(members) == 1 && json.Unmarshal(members["$bytes"], &raw) == nil && raw != nil {
				decoded[key] = raw
				continue
			}
			decoded[key] = append([]byte(nil), value...)
		default:
			decoded[key] = append([]byte(nil), value...)
		}
	}
	return decoded, nil
}

// UpdateAppState sets keys of the app's state.
func (s *Service) UpdateAppState(ctx context.Context, appName string, state session.StateMap) error {
	if appName == "" {
		return session.ErrAppNameRequired
	}
	return s.update(ctx, sessiond.AppState(appName), state, session.StateAppPrefix)
}

// ListAppStates gives the app's state, without prefixes.
func (s *Service) ListAppStates(ctx context.Context, appName string) (session.StateMap, error) {
	if appName == "" {
		return nil, session.ErrAppNameRequired
	}
	return s.list(ctx, sessiond.AppState(appName))
}

// DeleteAppState removes a key of the app's state.
func (s *Service) DeleteAppState(ctx context.Context, appName string, key string) error {
	if appName == "" {
		return session.ErrAppNameRequired
	}
	return s.remove(ctx, sessiond.AppState(appName), key)
}

// UpdateUserState sets keys of the user's state.
func (s *Service) UpdateUserState(ctx context.Context, userKey session.UserKey, state session.StateMap) error {
	if err := userKey.CheckUserKey(); err != nil {
		return err
	}
	for key := range state {
		if strings.HasPrefix(key, session.StateAppPrefix) || strings.HasPrefix(key, session.StateTempPrefix) {
			return fmt.Errorf("update user state failed: the key %q has the prefix of another scope", key)
		}
	}
	return s.update(ctx, sessiond.UserState(userKey.AppName, userKey.UserID), state, session.StateUserPrefix)
}

// ListUserStates gives the user's state, without prefixes.
func (s *Service) ListUserStates(ctx context.Context, userKey session.UserKey) (session.StateMap, error) {
	if err := userKey.CheckUserKey(); err != nil {
		return nil, err
	}
	return s.list(ctx, sessiond.UserState(userKey.AppName, userKey.UserID))
}

// DeleteUserState removes a key of the user's state.
func (s *Service) DeleteUserState(ctx context.Context, userKey session.UserKey, key string) error {
	if err := userKey.CheckUserKey(); err != nil {
		return err
	}
	return s.remove(ctx, sessiond.UserState(userKey.AppName, userKey.UserID), key)
}

// UpdateSessionState sets keys of a session's own state.
func (s *Service) UpdateSessionState(ctx context.Context, key session.Key, state session.StateMap) error {
	if err := key.CheckSessionKey(); err != nil {
		return err
	}
	for name := range state {
		for prefix, method := range map[string]string{
			session.StateAppPrefix: "UpdateAppState", session.StateUserPrefix: "UpdateUserState",
		} {
			if strings.HasPrefix(name, prefix) {
				return fmt.Errorf("update session state failed: %s is not allowed, use %s instead", name, method)
			}
		}
	}
	if len(state) == 0 {
		_, err := s.client.GetState(ctx, sessiond.SessionState(keyOf(key)))
		return wrap("update session state", err)
	}
	return wrap("update session state", s.client.PatchState(ctx, sessiond.SessionState(keyOf(key)), encodeState(state)))
}

func (s *Service) update(ctx context.Context, scope sessiond.Scope, state session.StateMap, prefix string) error {
	if len(state) == 0 {
		return nil
	}
	return wrap("update state", s.client.PatchState(ctx, scope, withPrefix(encodeState(state), prefix)))
}

func (s *Service) list(ctx context.Context, scope sessiond.Scope) (session.StateMap, error) {
	state, err := s.client.GetState(ctx, scope)
	if err != nil {
		return nil, wrap("list states", err)
	}
	return decodeState(state)
}

func (s *Service) remove(ctx context.Context, scope sessiond.Scope, key string) error {
	if key == "" {
		return errors.New("state key is required")
	}
	return wrap("delete state", s.client.DeleteState(ctx, scope, key))
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s failed: %w", what, err)
}
