package sessiond

import (
	"context"
	"net/http"
)

// Scope is whose state: an app's, a user's, or what a session sees. See AppState and its like.
type Scope struct{ path string }

// AppState is the state of an app.
func AppState(app string) Scope { return Scope{appPath(app) + "/state"} }

// UserState is the state of a user of an app.
func UserState(app, user string) Scope { return Scope{userPath(app, user) + "/state"} }

// SessionState is the state that a session sees.
func SessionState(key Key) Scope { return Scope{key.path() + "/state"} }

// GetState reads the state of a scope.
func (c *Client) GetState(ctx context.Context, scope Scope) (State, error) {
	var reply struct {
		State State `json:"state"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: scope.path, repeatable: true}, &reply)
	return reply.State, err
}

// PatchState sets keys. null is a value: it is stored.
func (c *Client) PatchState(ctx context.Context, scope Scope, state State) error {
	body := map[string]any{"state": state}
	return c.do(ctx, call{method: http.MethodPatch, path: scope.path, body: body, repeatable: true}, nil)
}

// DeleteState removes a key. None there is no error.
func (c *Client) DeleteState(ctx context.Context, scope Scope, key string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: scope.path + "/" + part(key), repeatable: true}, nil)
}
