package sessiond

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Frame is something that happened: Kind is snapshot, append, state, summary, reset or delete.
type Frame struct {
	Kind   string
	Cursor string
	Data   json.RawMessage
}

// errStop ends a watch that the caller has seen enough of.
var errStop = errors.New("stop")

// Watch tells what happens to a session: a snapshot, or what follows a cursor, and then as it comes.
// A broken connection is taken up where it broke. It ends when the session is deleted, the context is
// over, or see returns false.
func (c *Client) Watch(ctx context.Context, key Key, cursor string, see func(Frame) bool) error {
	for failures := 0; ; {
		again, err := c.watchOnce(ctx, key, &cursor, func(frame Frame) error {
			failures = 0
			if !see(frame) || frame.Kind == "delete" {
				return errStop
			}
			return nil
		})
		if errors.Is(err, errStop) {
			return nil
		}
		failures++
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !again || failures >= c.retry.Attempts {
			return err
		}
		if wait(ctx, c.retry.delay(failures, 0)) != nil {
			return ctx.Err()
		}
	}
}

// watchOnce follows one connection, and says whether another may follow.
func (c *Client) watchOnce(ctx context.Context, key Key, cursor *string, see func(Frame) error) (bool, error) {
	header := map[string]string{"Accept": "text/event-stream", "Last-Event-ID": *cursor}
	response, err := c.send(ctx, call{method: http.MethodGet, path: key.path() + ":watch", header: header}, nil)
	if err != nil {
		return true, fmt.Errorf("sessiond: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 400 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		problem := problemOf(response.StatusCode, text)
		return transient(problem.Status), problem
	}
	reader := bufio.NewReader(response.Body)
	kind, data := "", []string(nil)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return true, fmt.Errorf("sessiond: the stream has ended: %w", err)
		}
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "id":
			*cursor = value
		case name == "event":
			kind = value
		case name == "data":
			data = append(data, value)
		case strings.TrimRight(line, "\r\n") == "" && len(data) > 0:
			frame := Frame{Kind: kind, Cursor: *cursor, Data: json.RawMessage(strings.Join(data, "\n"))}
			kind, data = "", nil
			if frame.Kind == "error" {
				problem := problemOf(0, frame.Data)
				return false, problem
			}
			if err := see(frame); err != nil {
				return false, err
			}
		}
	}
}
