package sessiond

import (
	"encoding/json"
	"time"
)

// Key names a session: any text of up to 512 bytes each.
type Key struct{ App, User, Session string }

// State is keys and JSON values, kept as text. Bytes that are not JSON are {"$bytes": BASE64}.
type State map[string]json.RawMessage

// The dialects, for Item.Dialect. An empty one is found from the event's shape.
const (
	TRPC   = "trpc"
	ADK    = "adk"
	Chat   = "chat"
	OpenAI = "openai"
)

// Item is an event to append. Without an ID it gets one, which makes a retry recognizable.
type Item struct {
	ID         string          `json:"id,omitempty"`
	Dialect    string          `json:"dialect,omitempty"`
	Event      json.RawMessage `json:"event"`
	StateDelta State           `json:"state_delta,omitempty"`
}

// StoredEvent is an event as it is stored. Seq is 0 for one that a plugin only shows.
type StoredEvent struct {
	Seq        int64           `json:"seq"`
	ID         string          `json:"id"`
	Time       time.Time       `json:"time"`
	Dialect    string          `json:"dialect"`
	Event      json.RawMessage `json:"event"`
	StateDelta State           `json:"state_delta"`
}

// Session is a session. Lists have no Events, and State only if asked for.
type Session struct {
	ID         string        `json:"id"`
	Generation int64         `json:"generation"`
	Revision   int64         `json:"revision"`
	LastSeq    int64         `json:"last_seq"`
	CreatedAt  time.Time     `json:"created_at"`
	UpdatedAt  time.Time     `json:"updated_at"`
	ExpiresAt  *time.Time    `json:"expires_at"`
	State      State         `json:"state"`
	Events     []StoredEvent `json:"events"`
	Summaries  []Summary     `json:"summaries"`
	Truncated  bool          `json:"truncated"`
}

// Summary is a summary of a branch; an empty FilterKey is the whole session.
type Summary struct {
	FilterKey string    `json:"filter_key"`
	Text      string    `json:"text"`
	Topics    []string  `json:"topics"`
	FirstSeq  int64     `json:"first_seq"`
	LastSeq   int64     `json:"last_seq"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Appended says what became of an item.
type Appended struct {
	ID        string `json:"id"`
	Seq       int64  `json:"seq"`
	Duplicate bool   `json:"duplicate"`
	DroppedBy string `json:"dropped_by"`
	Partial   bool   `json:"partial"`
}

// AppendReply says what became of each item, in order.
type AppendReply struct {
	Generation int64      `json:"generation"`
	Revision   int64      `json:"revision"`
	LastSeq    int64      `json:"last_seq"`
	Items      []Appended `json:"items"`
}

// EditReply says what an edit took out.
type EditReply struct {
	Generation int64         `json:"generation"`
	Revision   int64         `json:"revision"`
	LastSeq    int64         `json:"last_seq"`
	Removed    int64         `json:"removed"`
	Events     []StoredEvent `json:"events"`
}

// Lease is the right to write, until a time.
type Lease struct {
	Token     string    `json:"lease"`
	Holder    string    `json:"holder"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Page is a page of events, in ascending order. A Next of 0 says that it is the last.
type Page struct {
	Generation    int64         `json:"generation"`
	Events        []StoredEvent `json:"events"`
	NextAfterSeq  int64         `json:"next_after_seq"`
	NextBeforeSeq int64         `json:"next_before_seq"`
}

// SessionPage is a page of sessions, newest first. An empty NextPageToken says that it is the last.
type SessionPage struct {
	Sessions      []Session `json:"sessions"`
	NextPageToken string    `json:"next_page_token"`
}

// SummaryOutcome says what became of a wish for a summary.
type SummaryOutcome struct {
	Outcome string `json:"outcome"`
	LastSeq int64  `json:"last_seq"`
}

// ReadOptions narrow a read. The zero value is the newest 1000 events, from a user's turn.
type ReadOptions struct {
	// Limit is how many of the newest events at most. None: 1000.
	Limit *int
	// Window is "turn" or "exact".
	Window string
	// AfterSeq and BeforeSeq leave out what is not between them. 0: no bound.
	AfterSeq, BeforeSeq int64
	// AfterTime leaves out what is before the first event of this time or later on.
	AfterTime time.Time
	// Summary is "none", "include" or "replace".
	Summary string
	// MaxBytes leaves out the oldest events beyond so many bytes. 0: no bound.
	MaxBytes int64
}

// WriteOptions are conditions of a write.
type WriteOptions struct {
	// Generation: only if the session is still this one. 0: whichever.
	Generation int64
	// IfMatch: only if the session still has this ETag.
	IfMatch string
	// Lease is the token of the lease that the writer holds.
	Lease string
}
