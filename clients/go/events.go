package sessiond

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

func (o WriteOptions) header() map[string]string {
	return map[string]string{"If-Match": o.IfMatch, "Session-Lease": o.Lease}
}

// Append appends events, all or none. Sent again, it is still one append.
func (c *Client) Append(ctx context.Context, key Key, items []Item, options WriteOptions) (*AppendReply, error) {
	named := make([]Item, len(items))
	for i, item := range items {
		if item.ID == "" {
			item.ID = NewID()
		}
		named[i] = item
	}
	body := map[string]any{"events": named}
	if options.Generation != 0 {
		body["generation"] = options.Generation
	}
	reply := &AppendReply{}
	return reply, c.do(ctx, call{
		method: http.MethodPost, path: key.path() + "/events", body: body, header: options.header(),
		// A repeated If-Match would fail because of the first attempt.
		repeatable: options.IfMatch == "",
	}, reply)
}

// Events gives a page of events: with afterSeq the oldest after it, else the newest. 0: no bound.
func (c *Client) Events(ctx context.Context, key Key, afterSeq, beforeSeq int64, limit int) (*Page, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if afterSeq != 0 {
		query.Set("after_seq", strconv.FormatInt(afterSeq, 10))
	}
	if beforeSeq != 0 {
		query.Set("before_seq", strconv.FormatInt(beforeSeq, 10))
	}
	page := &Page{}
	call := call{method: http.MethodGet, path: key.path() + "/events", query: query, repeatable: true}
	return page, c.do(ctx, call, page)
}

// Event gives an event, and so many before and after it.
func (c *Client) Event(ctx context.Context, key Key, id string, before, after int) ([]StoredEvent, error) {
	query := url.Values{"before": {strconv.Itoa(before)}, "after": {strconv.Itoa(after)}}
	var page Page
	call := call{method: http.MethodGet, path: key.path() + "/events/" + part(id), query: query, repeatable: true}
	err := c.do(ctx, call, &page)
	return page.Events, err
}

// edit sends a verb.
func (c *Client) edit(ctx context.Context, key Key, verb string, body any, lease string, repeatable bool, into any) error {
	return c.do(ctx, call{
		method: http.MethodPost, path: key.path() + ":" + verb, body: body,
		header: map[string]string{"Session-Lease": lease}, repeatable: repeatable,
	}, into)
}

// Pop takes the newest events out, and gives them. It is never done twice.
func (c *Client) Pop(ctx context.Context, key Key, count int, lease string) (*EditReply, error) {
	reply := &EditReply{}
	return reply, c.edit(ctx, key, "pop", map[string]int{"count": count}, lease, false, reply)
}

// Trim keeps the newest events.
func (c *Client) Trim(ctx context.Context, key Key, keepLast int, lease string) (*EditReply, error) {
	reply := &EditReply{}
	return reply, c.edit(ctx, key, "trim", map[string]int{"keep_last": keepLast}, lease, true, reply)
}

// Clear removes all events and summaries; state stays.
func (c *Client) Clear(ctx context.Context, key Key, lease string) (*EditReply, error) {
	reply := &EditReply{}
	return reply, c.edit(ctx, key, "clear", struct{}{}, lease, true, reply)
}

// Rewind goes back to a sequence, the session's state too.
func (c *Client) Rewind(ctx context.Context, key Key, toSeq int64, lease string) (*EditReply, error) {
	reply := &EditReply{}
	return reply, c.edit(ctx, key, "rewind", map[string]int64{"to_seq": toSeq}, lease, false, reply)
}

// Fork makes a session of this one as it was at a sequence; 0 is as it is. An empty id is the daemon's choice.
func (c *Client) Fork(ctx context.Context, key Key, id string, toSeq int64) (*Session, error) {
	body := map[string]any{}
	if id != "" {
		body["id"] = id
	}
	if toSeq != 0 {
		body["to_seq"] = toSeq
	}
	session := &Session{}
	return session, c.edit(ctx, key, "fork", body, "", false, session)
}

// Lease takes the right to write, for a duration like "30s", or goes on with the lease of a token.
func (c *Client) Lease(ctx context.Context, key Key, ttl, holder, token string) (*Lease, error) {
	body := map[string]string{"ttl": ttl}
	if holder != "" {
		body["holder"] = holder
	}
	lease := &Lease{}
	return lease, c.edit(ctx, key, "lease", body, token, false, lease)
}

// Release ends a lease.
func (c *Client) Release(ctx context.Context, key Key, token string) error {
	return c.edit(ctx, key, "release", struct{}{}, token, true, nil)
}

// Summaries gives the summaries, one for each filter key.
func (c *Client) Summaries(ctx context.Context, key Key) ([]Summary, error) {
	var reply struct {
		Summaries []Summary `json:"summaries"`
	}
	call := call{method: http.MethodGet, path: key.path() + "/summaries", repeatable: true}
	err := c.do(ctx, call, &reply)
	return reply.Summaries, err
}

// Summarize asks for a summary, and waits for it if told so.
func (c *Client) Summarize(ctx context.Context, key Key, filterKey string, force, wait bool) (*SummaryOutcome, error) {
	body := map[string]any{"filter_key": filterKey, "force": force, "wait": wait}
	outcome := &SummaryOutcome{}
	call := call{method: http.MethodPost, path: key.path() + "/summaries", body: body, repeatable: true}
	return outcome, c.do(ctx, call, outcome)
}

// AppendTrack appends events to a track.
func (c *Client) AppendTrack(ctx context.Context, key Key, track string, events []json.RawMessage) error {
	items := make([]Item, len(events))
	for i, event := range events {
		items[i] = Item{ID: NewID(), Event: event}
	}
	return c.do(ctx, call{
		method: http.MethodPost, path: key.path() + "/tracks/" + part(track),
		body: map[string]any{"events": items}, repeatable: true,
	}, nil)
}

// Track gives a page of a track, oldest first, after a sequence.
func (c *Client) Track(ctx context.Context, key Key, track string, afterSeq int64, limit int) (*Page, error) {
	query := url.Values{
		"after_seq": {strconv.FormatInt(afterSeq, 10)}, "limit": {strconv.Itoa(limit)},
	}
	page := &Page{}
	call := call{method: http.MethodGet, path: key.path() + "/tracks/" + part(track), query: query, repeatable: true}
	return page, c.do(ctx, call, page)
}
